"""`terrarium task` on the command line."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest

from terrarium.app.cli import main
from terrarium.app.commands import task
from terrarium.models.library.library import Library
from tests.models.recipes.small_recipes import N_ROWS, few_rows, small


@pytest.fixture(autouse=True)
def small_recipes(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task, "ALL_RECIPES", MappingProxyType({"mood": small("mood")}))


def test_json_of_two_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    with few_rows():
        assert main(["task", "mood", "--device", "cpu", "--seed", "5", "--seeds", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["task"] == "mood"
    assert found["metric"] == "accuracy"
    assert len(found["seeds"]) == 2
    assert found["score"] == pytest.approx(sum(one["score"] for one in found["seeds"]) / 2)


def test_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with few_rows():
        assert main(["task", "mood", "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "The goal is NOT reached: " in printed
    assert "(Accuracy of “seen” at least 98.0\N{NO-BREAK SPACE}%)" in printed
    assert "Naive Bayes" in printed
    assert f"unseen: {N_ROWS} rows" in printed


def test_bad_numbers_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task", "mood", "--seeds", "0"]) == 2
    assert "--seeds must be at least 1" in capsys.readouterr().err
