"""The demonstrations “taught by hand” and “Goodhart”: stages, bars, going on and bad input, in very few steps."""

from __future__ import annotations

import dataclasses
import itertools
import json
from typing import Any

import pytest
import torch

from terrarium.app.cli import main
from terrarium.models.corpora.corpus import open_run_corpus
from terrarium.models.events import Evaluated, Finished, Progress, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.preferences.store import SIMULATED, Pair, PreferenceSet, Reply, list_sets
from terrarium.models.recipes import own_text, quickstart
from terrarium.models.recipes.demonstrations import bases, goodhart, running, taught
from terrarium.models.recipes.demonstrations.bases import list_bases
from terrarium.models.recipes.demonstrations.demonstrated import read_demonstrated
from terrarium.models.recipes.demonstrations.demonstration import Bench
from terrarium.models.recipes.demonstrations.kept import list_halted
from terrarium.models.recipes.demonstrations.results import StageResult
from terrarium.models.recipes.demonstrations.running import DemonstrationRun
from terrarium.models.recipes.job import RunJob, SingleRun
from terrarium.models.recipes.mark import MARK_FILE, RunMark, write_run_mark
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.recipes.recipes import resume
from terrarium.models.runs.run_folder import RunFolder, rename_run
from terrarium.models.tiny_world import corpus
from terrarium.models.tokenizers import train_tokenizer
from tests.app.small_models import put_model
from tests.models.interop.support import drive
from tests.models.recipes.demonstrations.support import job_of, make_little, stages_of

_KINDS = ("knowledge", "requests", "reading", "state", "sums", "translation")


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    make_little(monkeypatch)


@pytest.fixture
def base(library: Library) -> str:
    return put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=400)


def align(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    assert main(["align", *words, "--n", "3", "--device", "cpu", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_taught_has_each_stage_with_its_figures(
    library: Library, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = align(capsys, "taught", "--base", base, "--seed", "2")
    assert (found["name"], found["base"], found["seed"]) == ("taught", base, 2)
    assert list(found["stages"]) == ["base", "rm_few", "rm", "ppo", "dpo", "grpo"]
    for name in ("base", "ppo", "dpo", "grpo"):
        stage = found["stages"][name]
        assert all(0 <= stage[share] <= 1 for share in ("gold", "happy", "right", "ended"))
        assert set(stage["kinds"]) == set(_KINDS)
        assert stage["proxy"] is not None
        assert stage["kl"] >= 0
    assert found["stages"]["base"]["kl"] == pytest.approx(0, abs=1e-6)
    assert 0 <= found["stages"]["rm"]["accuracy"] <= 1
    assert [point["step"] for point in found["stages"]["ppo"]["curve"]] == [0, 1]
    assert found["pairs"] == {"own": 0, "simulated": 6}
    assert "97\u00a0%" in found["note"], "random weights are a weak base"
    runs = {
        name: RunFolder.open(library.find_run(stage["run"])) for name, stage in found["stages"].items() if stage["run"]
    }
    assert all(run.lineage["parent"]["run"] == base for run in runs.values())
    learned = open_run_corpus(library, runs["rm"])
    assert not [row for split in ("train", "val") for row in learned.rows(split) if row.get("choice") == "tie"]
    assert runs["ppo"].spec.align is not None
    assert runs["ppo"].spec.align.reward_model == f"{runs['rm'].id}@1"


def test_what_people_have_judged_comes_first(library: Library, base: str) -> None:
    mine = [
        Pair(prompt=({"role": "user", "content": f"Say {i}"},), a=Reply(content="a"), b=Reply(content="b"), choice="a")
        for i in range(2)
    ]
    PreferenceSet(library, "Mine").add([*mine, dataclasses.replace(mine[0], id="x", choice="skip")])
    run = job_of(library, "taught", base, own="Mine")
    events = run.events()
    assert next(event for event in events if isinstance(event, RunStarted))
    assert run.trainer is not None
    learned = open_run_corpus(library, run.trainer.run)
    events.close()
    assert [row["source"] == SIMULATED for row in learned.rows("train")] == [False, False, True]


def test_a_base_may_be_called_what_no_folder_can(library: Library, base: str) -> None:
    rename_run(library.find_run(base), "Mine: 1/2?")
    work = job_of(library, "taught", base)
    for event in (events := work.events()):
        if isinstance(event, RunStarted):
            break
    events.close()
    assert {f"Stories of {base}, seed 0", f"Taught by hand, {base}, seed 0"} <= {*list_sets(library)}


def test_a_set_without_choices_is_refused_in_a_sentence(
    library: Library, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["align", "taught", "--base", base, "--preferences", "None", "--n", "3", "--device", "cpu"]) == 1
    assert "has no pair of which somebody has chosen the better reply" in capsys.readouterr().err


def test_a_model_that_cannot_reply_is_refused(library: Library) -> None:
    encoder = put_model(library, train_tokenizer([""], "byte", 0), "encoder-only")
    with pytest.raises(ValueError, match="cannot reply"):
        Bench(stages=stages_of(library), base=encoder)


def test_a_short_context_is_refused(library: Library) -> None:
    short = put_model(library, train_tokenizer([""], "byte", 0), "decoder-only", context_length=8)
    with pytest.raises(ValueError, match="context of 8 tokens"):
        Bench(stages=stages_of(library), base=short)


def test_goodhart_has_its_curves_and_the_step_to_fork_from(
    library: Library, base: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = align(capsys, "goodhart", "--base", base)
    assert list(found["stages"]) == ["base", "best_of", "rm", "ppo", "stopped"]
    best = found["stages"]["best_of"]["curve"]
    assert [point["n"] for point in best] == [1, 2, 4]
    assert all(a["proxy"] <= b["proxy"] for a, b in itertools.pairwise(best))
    assert [point["step"] for point in found["stages"]["ppo"]["curve"]] == [0, 1, 2]
    assert all({"proxy", "gold", "kl"} <= point.keys() for point in found["stages"]["ppo"]["curve"])
    run, _, step = found["peak"]["fork"].rpartition("@")
    assert (run, int(step)) == (found["stages"]["ppo"]["run"], found["peak"]["step"])
    assert found["stages"]["stopped"]["run"] == run
    assert all(point["n"] > 0 for point in found["stages"]["ppo"]["curve"])
    kept = read_demonstrated(library.find_run(run))
    assert kept is not None
    assert json.loads(json.dumps(kept.result.to_dict())) == found, "it can be opened again"
    job_of(library, "goodhart", base, n_each=9).mark(RunFolder.open(kept.run))
    assert read_demonstrated(kept.run) == kept, "what a stage has come to is kept when another try begins"
    assert main(["align", "goodhart", "--base", base, "--n", "3", "--device", "cpu"]) == 0
    words = capsys.readouterr().out  # of what is there already
    for part in ("best_of", "Best of n by the annotator's own score", "SHORT", "Stop at the peak", "goals mean little"):
        assert part in words
    (kept.run / MARK_FILE).unlink()
    was = dataclasses.asdict(kept.mark) | {"result": found, "seconds": 1, "created": ""}
    (kept.run / "demonstration.json").write_text(json.dumps(was))
    old = read_demonstrated(kept.run)
    assert old is not None
    assert (old.mark, old.result) == (kept.mark, kept.result), "as before version 0.3"
    write_run_mark(kept.run, RunMark(kind="demonstration", arguments={"name": "goodhart"}, result={}))
    with pytest.raises(ValueError, match="is damaged"):
        read_demonstrated(kept.run)


def test_it_goes_on_where_it_was_cut_short(library: Library, base: str) -> None:
    bench = Bench(stages=stages_of(library), base=base, n_each=3)
    events = goodhart.goodhart(bench)
    for event in events:
        if isinstance(event, TrainMetrics) and event.total_steps == 2:
            break
    events.close()
    before = {run.name: run.status for run in map(RunFolder.open, library.runs.iterdir())}
    sets = {path: path.read_bytes() for path in library.preferences.rglob("pairs.jsonl")}
    seen, found = drive(goodhart.goodhart(bench))
    after = {run.name: run.status for run in map(RunFolder.open, library.runs.iterdir())}
    assert before.keys() == after.keys(), "no run is made again"
    assert set(after.values()) == {"finished"}
    assert {path: path.read_bytes() for path in sets} == sets, "no pair is judged again"
    assert [event.status for event in seen if isinstance(event, Finished)] == ["finished"], "what was there is kept"
    assert found.stages["ppo"].curve[-1]["step"] == 2


def stage(share: float = 0.0, **more: Any) -> StageResult:
    values: dict[str, Any] = {"gold": share, "happy": share, "right": 0.85, "ended": 0.99, "proxy": 0.0, "kl": 0.0}
    return StageResult(**values | {"kinds": dict.fromkeys(_KINDS, 1.0), "accuracy": 0.95} | more)


def test_bars_of_taught_are_those_of_the_issue() -> None:
    good = {name: stage(0.85) for name in ("rm", "rm_few", "ppo", "dpo", "grpo")} | {"base": stage(0.06)}
    assert all(bar.is_met for bar in taught.bars(good))
    dull = {"knowledge": 0.9, "requests": 0.9, "reading": 1.0, "state": 1.0}
    bad = {name: stage(0.4, kinds=dull, right=0.7, ended=0.9, accuracy=0.7) for name in good} | {"base": stage(0.06)}
    assert not any(bar.is_met for bar in taught.bars(bad))


def test_bars_of_goodhart_are_those_of_the_issue() -> None:
    def best(*golds: float) -> list[dict[str, float]]:
        return [{"n": 4**i, "gold": gold, "proxy": float(i), "kl": 0.0} for i, gold in enumerate(golds)]

    def looks(*golds: float) -> list[dict[str, float]]:
        return [{"step": 5 * i, "gold": gold, "proxy": float(i), "kl": 0.0} for i, gold in enumerate(golds)]

    good = {
        "base": stage(0.05),
        "best_of": stage(curve=best(0.05, 0.2, 0.4, 0.2, 0.05)),
        "ppo": stage(0.02, proxy=2.5, curve=looks(0.05, 0.3, 0.32, 0.1, 0.02)),
    }
    assert all(bar.is_met for bar in goodhart.bars(good))
    assert goodhart.peak_of(good["ppo"].curve) == 10
    early = goodhart.bars(good | {"best_of": stage(curve=best(0.05, 0.4, 0.3, 0.2, 0.05))})
    assert [bar.is_met for bar in early] == [False, *[True] * 5]
    assert early[0].bound == "8 to 48 replies"
    never = {
        "base": stage(0.05),
        "best_of": stage(curve=best(0.05, 0.2, 0.3, 0.35, 0.4)),
        "ppo": stage(0.1, proxy=0.5, curve=looks(0.05, 0.1, 0.12)),
    }
    met = [bar.is_met for bar in goodhart.bars(never)]
    assert met == [False, False, True, False, False, False]


def test_what_is_below_a_limit_never_looks_as_if_it_had_reached_it(library: Library, base: str) -> None:
    notes = [
        Bench(stages=stages_of(library), base=base, accuracy=accuracy).note for accuracy in (0.97, 0.96999, 0.9649)
    ]
    assert notes[0] == ""
    assert "decoder-only answers 96.9\u00a0% of the held-out questions. Below 97\u00a0%" in notes[1]
    assert "96.4\u00a0%" in notes[2]


def test_stopped_between_two_stages_it_has_not_finished(
    library: Library, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "faster_thread_count", lambda: 1)
    run = job_of(library, "goodhart", base)
    seen, threads = [], set()
    torch.set_num_threads(2)
    try:
        for event in run.events():
            seen.append(event)
            if run.trainer is not None:
                threads.add(torch.get_num_threads())
            if isinstance(event, Finished):
                run.request_stop()
        assert threads == {1}, "as many as were the faster"
        assert torch.get_num_threads() == 2, "and afterwards as before"
    finally:
        torch.set_num_threads(1)
    assert [event.status for event in seen if isinstance(event, Finished)] == ["finished", "stopped"]
    assert run.result is None
    assert run.trainer is None
    (stage,) = (info for info in library.list_runs() if info.is_tuned)
    again = resume(library, RunFolder.open(stage.folder), device="cpu").recipe
    assert isinstance(again, DemonstrationRun)
    assert again.arguments() == run.recipe.arguments()
    assert isinstance(resume(library, RunFolder.open(library.runs / base)).recipe, SingleRun)


def test_what_was_measured_before_the_first_run_is_kept(library: Library, base: str) -> None:
    """Stopped while the best of n is written: the base and the prompts that are done are not asked again."""
    run, folder = job_of(library, "goodhart", base), library.runs / base / "demonstrations"
    for event in run.events():
        if isinstance(event, Progress) and (folder / "best of 4, prompt 0.json").exists():
            run.request_stop()
    assert run.result is None
    assert not any(info.is_tuned for info in library.list_runs()), "no run yet"
    written = {path: path.stat().st_mtime_ns for path in folder.glob("*.json") if "stopped" not in path.name}
    assert {path.stem for path in written} == {"stories", "kinds", "best of 4, prompt 0"}
    (halted,) = list_halted(library.runs / base)
    made = run.recipe
    assert isinstance(made, DemonstrationRun)
    assert (halted.mark, halted.stages) == (made.mark, ())
    assert halted.phase == "Writing 4 stories for each of 32 prompts"
    again = job_of(library, "goodhart", base)
    seen = list(again.events())
    assert again.result is not None
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert not any(isinstance(event, Evaluated) for event in seen), "how good the base is was measured once"
    assert not list(list_halted(library.runs / base)), "it has come to its end"
    other = job_of(library, "goodhart", base, seed=1)
    for event in other.events():
        if isinstance(event, RunStarted):
            other.request_stop()
    assert {path: path.stat().st_mtime_ns for path in written} != written, "another seed writes other stories"
    (halted,) = list_halted(library.runs / base)
    assert halted.phase == "Reward model that likes length"


def test_what_is_damaged_is_measured_again(library: Library, base: str) -> None:
    folder = library.runs / base / "demonstrations"
    folder.mkdir()
    for name in ("stories", "kinds", "stopped-goodhart"):
        (folder / f"{name}.json").write_text('{"about": ')
    bench = Bench(stages=stages_of(library), base=base, n_each=3)
    _, (stage, _) = drive(bench.measured(None))
    _, (again, _) = drive(bench.measured(None))
    assert json.dumps(again.to_dict()) == json.dumps(stage.to_dict())
    assert json.loads((folder / "kinds.json").read_text())["found"] == stage.kinds
    assert not list(list_halted(library.runs / base))


def test_a_weak_base_is_trained_on_first(
    library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(corpus, "N_TRAIN", 30)
    monkeypatch.setattr(corpus, "N_VAL", 4)
    monkeypatch.setattr(bases, "STRONG_STEPS", 4)
    narrow = dataclasses.replace(quickstart.TINY_WORLD_MODEL, n_layer=1, d_model=32)
    monkeypatch.setattr(quickstart, "TINY_WORLD_MODEL", narrow)
    monkeypatch.setattr(quickstart, "PROBE_STEPS", 4)
    quick = RunJob(library, QuickStart(0.001, 3), device="cpu")
    monkeypatch.setattr(own_text, "MIN_STEPS", 2)
    drive(quick.events())
    assert quick.run is not None
    weak = quick.run.id
    (listed,) = list_bases(library.list_runs())
    assert (listed.run_id, listed.n_more) == (weak, 2)
    assert listed.seconds_more is not None
    run = job_of(library, "goodhart", weak)
    for event in run.events():
        if isinstance(event, TrainMetrics):
            run.request_stop()
    assert run.result is None
    (longer,) = (info for info in library.list_runs() if info.id != weak)
    assert (longer.name, longer.status, longer.parent) == ("Tiny World 3, trained on", "stopped", (weak, 2))
    (halted,) = list_halted(library.runs / weak)
    assert halted.phase == "Training Tiny World 3 on"
    found = align(capsys, "goodhart", "--base", weak)
    assert found["base"] == longer.id, "the stopped one was trained to its end"
    assert "Tiny World 3, trained on answers" in found["note"]
    names = [each.name for each in list_bases(library.list_runs())]
    assert names == ["Tiny World 3, trained on", "Tiny World 3"], "the next one can start from it at once"
