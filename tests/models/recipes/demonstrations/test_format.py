"""The demonstration “Say it twice.”: its stages, its bars, and the command, in as few steps as there can be."""

from __future__ import annotations

import dataclasses
import json

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.align import describe_format
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations import demonstration, refuse
from terrarium.models.recipes.demonstrations import format as recipe
from terrarium.models.recipes.demonstrations.format import LESSONS
from terrarium.models.recipes.demonstrations.results import FormatResult
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tiny_world import reply_format
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.recipes.demonstrations.support import ask_little, format_result


def test_each_stage_is_a_run_from_the_base(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask_little(monkeypatch)
    monkeypatch.setattr(reply_format, "SIZES", dict.fromkeys(reply_format.SIZES, 6))
    monkeypatch.setattr(reply_format, "_N_VAL", 3)
    monkeypatch.setattr(demonstration, "MAX_REPLY_TOKENS", 8)
    monkeypatch.setattr(recipe, "MAX_REPLY_TOKENS", 8)
    monkeypatch.setattr(refuse, "_BATCH", 2)
    short = {name: dataclasses.replace(lesson, steps=1) for name, lesson in LESSONS.items()}
    monkeypatch.setattr(recipe, "LESSONS", short)
    base = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400)
    assert main(["align", "format", "--base", base, "--n", "3", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], list(found["stages"])) == ("format", ["base", *LESSONS])
    for name in LESSONS:
        run = RunFolder.open(library.find_run(found["stages"][name]["run"]))
        assert (run.status, run.lineage["parent"]["run"]) == ("finished", base)
        assert run.spec.data.dataset == f"Tiny World 0, {LESSONS[name].dataset}"
    assert found["bars"][0]["met"] is False, "random weights say nothing twice"


def test_bars_are_those_of_the_issue() -> None:
    assert all(bar.is_met for bar in format_result(0.85, 0.96, 0.96, 0.96, 0.96).bars)
    assert not any(bar.is_met for bar in format_result(0.84, 0.9, 0.9, 0.9, 0.9).bars)


def test_a_result_is_read_as_it_was_written() -> None:
    found = format_result(0.95)
    assert FormatResult.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_words_say_what_came_of_it() -> None:
    lines = describe_format(format_result(0.95)).replace("\u00a0", " ").splitlines()
    assert lines[0].split()[:2] == ["said", "twice"]
    assert lines[2].split()[:3] == ["format", "95", "%"]
    assert lines[4].startswith("met   Said twice, and right: 95 %")
