"""`terrarium find`: trials on the command line, with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from terrarium.app.cli import main
from terrarium.models.library.library import Library
from terrarium.models.training.estimates import batch_finder
from tests.app.commands.test_cli import SPEC, TEXT


@pytest.fixture
def spec(tmp_path: Path, library: Library) -> str:
    """A SPEC.toml beside its text, over an empty library."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    (tmp_path / "SPEC.toml").write_text(SPEC.format(steps=4))
    return str(tmp_path / "SPEC.toml")


def test_a_learning_rate_is_found(spec: str, library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "lr", spec]) == 0
    out, err = capsys.readouterr()
    assert "Use lr " in out
    assert " and muon_lr " in out
    assert "Trying learning rates" in err
    assert library.list_runs() == []


def test_a_batch_size_is_found(spec: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_finder, "GAIN", 1e9)
    assert main(["find", "batch", spec, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [point["batch_size"] for point in found["points"]] == [1, 2, 4]
    assert main(["find", "batch", spec, "--set", "model.n_layer=1"]) == 0
    out = capsys.readouterr().out
    assert "batch_size  tokens/s  memory" in out
    assert "Memory was no limit." in out


def test_the_cost_of_a_run_is_measured(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find", "cost", spec]) == 0
    assert "ms per step" in capsys.readouterr().out
    assert main(["find", "cost", spec, "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)
    assert cost["fits"]
    assert cost["seconds"] == pytest.approx(cost["training_s"] + cost["validation_s"] + cost["samples_s"])


def test_bad_usage_is_exit_2(spec: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["find"]) == 2
    assert main(["find", "lr", spec, "--preset", "gpt2-tiny"]) == 2
