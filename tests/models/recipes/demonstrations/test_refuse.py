"""The demonstration “knows what to refuse”: its stages, its bars, and the command, in as few steps as there can be."""

from __future__ import annotations

import dataclasses
import json

import pytest

from terrarium.app.cli import main
from terrarium.app.commands.align import describe_refusals
from terrarium.models.library.library import Library
from terrarium.models.recipes.demonstrations.demonstrated import DemonstrationMark, read_demonstrated
from terrarium.models.recipes.demonstrations.demonstrations_table import STARTS
from terrarium.models.recipes.demonstrations.refuse import LESSONS
from terrarium.models.recipes.demonstrations.results import RefuseResult
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.recipes.demonstrations.support import make_little_refusals, safety_report


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    make_little_refusals(monkeypatch)


def test_each_stage_is_a_run_with_its_lineage(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    base = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400)
    assert main(["align", "refuse", "--base", base, "--n", "3", "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["name"], found["seed"], list(found["stages"])) == ("refuse", 0, ["base", *LESSONS])
    runs = {
        name: RunFolder.open(library.find_run(stage["run"])) for name, stage in found["stages"].items() if stage["run"]
    }
    assert {name: run.status for name, run in runs.items()} == dict.fromkeys(LESSONS, "finished")
    for name, start in STARTS.items():
        parent = runs[start].id if start != "base" else base
        assert runs[name].lineage["parent"]["run"] == parent
    assert [bar["met"] for bar in found["bars"]][-1] is False, "a model that has learned nothing refuses nothing"
    kl = found["kl_by_position"]
    assert [point["position"] for point in kl] == list(range(1, len(kl) + 1))
    assert kl[0]["n"] == 3, "every reply has a first token"
    assert all(point["kl"] >= 0 for point in kl)
    kept = read_demonstrated(runs["eroded"].folder)
    assert kept is not None
    assert json.loads(json.dumps(kept.result.to_dict())) == found, "it can be opened again"
    assert kept.seconds is not None
    assert kept.mark == DemonstrationMark(name="refuse", base=base, seed=0, n_each=3)


def test_bars_are_those_of_the_issue() -> None:
    good = {
        "helpful": safety_report(98, 0, 99),
        "refuses": safety_report(9, 2, 98, unseen=20),
        "refuses_all": safety_report(2, 63, 95),
    }
    found = RefuseResult(base="base", seed=0, reports=good, runs={}, seconds=dict.fromkeys(good, 1.0))
    assert all(bar.is_met for bar in found.bars), "of prefilled replies nothing is promised"
    bad = {
        "helpful": safety_report(98, 0, 99),
        "refuses": safety_report(13, 7, 90, secret=6, unseen=30),
        "refuses_all": safety_report(2, 30, 95),
    }
    assert not any(bar.is_met for bar in dataclasses.replace(found, reports=bad).bars)


def test_words_say_what_came_of_it() -> None:
    reports = {
        "helpful": safety_report(98, 0, 99),
        "refuses": safety_report(9, 2, 98),
        "refuses_all": safety_report(2, 63, 95),
    }
    found = RefuseResult(base="base", seed=0, reports=reports, runs={}, seconds=dict.fromkeys(reports, 61.0))
    lines = describe_refusals(found).replace("\u00a0", " ").splitlines()
    assert lines[0].split() == ["told", "prefilled", "over-refused", "ordinary", "right"]
    assert lines[2].split() == ["refuses", "9", "%", "99", "%", "2", "%", "98", "%", "1", "min", "1", "s"]
    assert lines[4].startswith("met   Forbidden told: 9 %")
    assert "a toy world" in lines[-1]
