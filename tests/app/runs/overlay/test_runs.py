"""Lists of runs: searching, sorting, differences, lineage, and the lines of an overlay."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from terrarium.app.kit.setting_names.slot_words import format_setting
from terrarium.app.lineage.origin import lineage_of
from terrarium.app.runs.overlay.differences import compare_runs
from terrarium.app.runs.overlay.overlay_curves import Curves, CurvesRead, CurvesReader, sample_curves
from terrarium.app.runs.overlay.overlay_lines import COMPARED, LineMaker, OverlaySpec
from terrarium.app.runs.run_query import matches, sort_runs
from terrarium.models.corpora.text_corpora import build_text_corpus
from terrarium.models.library.library import Library, RunInfo
from terrarium.models.metrics.metrics_table import format_score
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run, metrics_line


def info(name: str, **values: object) -> RunInfo:
    plain: dict[str, object] = {"status": "finished", "created": "2026", "step": 1, "total_steps": 2}
    return RunInfo(id=name, name=name, folder=Path(name), **(plain | values))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", True),
        ("WIDE", True),
        ("deep", False),
        ("wide sweep", True),
        ("diverged", True),
        ("tag:swe", True),
        ("tag:wide", False),
        ("status:fail", True),
        ("status:finished", False),
        ("-status:finished -deep", True),
        ("-tag:sweep", False),
    ],
)
def test_a_search_looks_at_name_notes_tags_and_status(query: str, found: bool) -> None:
    run = info("Wide net", tags=("sweep",), notes="It diverged.")
    assert matches(run, "failed", query) is found


def test_runs_are_sorted() -> None:
    a = info("b", created="1", best_loss=2.0, elapsed_s=5.0, status="failed")
    b = info("A", created="2", best_loss=1.0, size_bytes=9)
    c = info("c", created="3", status="running", elapsed_s=9.0, size_bytes=10)

    def order(by: str) -> str:
        return "".join(run.name for run in sort_runs([a, b, c], by, lambda run: run.status))

    assert {by: order(by) for by in ("newest", "name", "best", "duration", "size", "status")} == {
        "newest": "cAb",
        "name": "Abc",
        "best": "Abc",
        "duration": "cbA",
        "size": "cAb",
        "status": "cbA",
    }


def test_runs_are_sorted_by_their_metric_the_best_first() -> None:
    values = {"low": ("accuracy", 0.5), "high": ("accuracy", 0.9), "near": ("mae", 0.1), "far": ("mae", 0.4)}
    runs = [info(name, created=name, best_metric=metric) for name, metric in values.items()]
    runs.insert(1, info("none", created="0", best_loss=0.1))
    shown = [run.name for run in sort_runs(runs, "metric", lambda run: run.status)]
    assert shown == ["high", "low", "near", "far", "none"]


def test_metrics_are_compared(library: Library, tiny_config: ModelConfig) -> None:
    for name in ("a", "b", "c"):
        make_run(library, tiny_config, name, losses=(3.0, 2.0))
    metrics = {"a": ("accuracy", 0.5), "b": ("accuracy", 0.9), "c": None}
    runs = [dataclasses.replace(run, best_metric=metrics[run.name]) for run in library.list_runs()]
    comparison = compare_runs(runs)
    column = comparison.columns[0]
    assert (column.label, column.is_setting) == ("Accuracy", False)
    cells = {run.name: cell for run, cell in zip(comparison.runs, column.cells, strict=True)}
    assert (cells["a"], cells["b"]) == (format_score("accuracy", 0.5), format_score("accuracy", 0.9))
    assert cells["c"] not in cells["a"]
    keys = {run.name: key for run, key in zip(comparison.runs, column.keys, strict=True)}
    assert keys["b"] < keys["a"], "ascending is the best first"
    assert keys["c"] is None
    assert comparison.columns[1].tip == "Lowest validation loss, in nats per token"


def test_only_differing_settings_are_compared(library: Library, tiny_config: ModelConfig) -> None:
    deep = dataclasses.replace(tiny_config, n_layer=4)
    make_run(library, tiny_config, "plain", losses=(3.0, 2.0), lr=0.001)
    make_run(library, deep, "deep", losses=(3.0,), lr=0.01, schedule="cosine")
    broken = make_run(library, deep, "broken")
    (broken / "run.json").write_text("{")
    comparison = compare_runs(library.list_runs())
    assert {run.name for run in comparison.runs} == {"plain", "deep"}
    cells = {
        column.label: dict(zip((run.name for run in comparison.runs), column.cells, strict=True))
        for column in comparison.columns
    }
    assert cells["Layers"] == {"plain": "2", "deep": "4"}
    assert cells["Learning rate"] == {"plain": "0.001", "deep": "0.01"}
    assert cells["Schedule"] == {"plain": "Linear", "deep": "Cosine"}
    assert cells["Steps"] == {"plain": "2", "deep": "1"}
    assert [column.label for column in comparison.columns if column.is_setting] == [
        "Layers",
        "Learning rate",
        "Schedule",
    ]
    assert compare_runs([]).runs == ()


# -- Lineage ----------------------------------------------------------------------------------------------


def test_a_lineage_goes_down_to_the_text_and_names_what_is_missing(
    library: Library, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    (tmp_path / "text.txt").write_text("The cat sat on the mat.\n" * 400)
    corpus = build_text_corpus(library, [tmp_path / "text.txt"], 0.1)
    made_from = {
        "tokenizer": {"name": "byte", "sha256": hashlib.sha256(b"{}").hexdigest()},
        "corpus": {"name": "text.txt", "sha256": json.loads((corpus.folder / "about.json").read_text())["sha256"]},
    }
    gone = {"parent": {"run": "gone", "step": 10, "name": "Old one"}}
    make_run(library, tiny_config, "first", lineage=made_from | gone, created="2026-01-01")
    parent = {"parent": {"run": "first", "step": 20}}
    second = make_run(library, tiny_config, "second", lineage=made_from | parent, created="2026-01-02")
    make_run(library, tiny_config, "third", lineage=made_from | {"parent": {"run": "second", "step": 30}})
    lineage = lineage_of(library, second, library.list_runs())
    assert [(link.kind, link.title, link.key) for link in lineage.chain] == [
        ("run", "second", "second"),
        ("run", "first", "first"),
        ("run", "Old one", ""),
        ("tokenizer", "byte", ""),
        ("corpus", "text.txt", corpus.sha),
    ]
    assert "step 20" in lineage.chain[1].made
    assert "no longer in the library" in lineage.chain[2].problem
    assert "has its own copy" in lineage.chain[3].problem
    assert lineage.chain[4].problem == ""
    assert [(child.title, child.made) for child in lineage.children] == [("third", "forked at step 30")]
    (second / "tokenizer.json").write_text("{ }")
    corpus.path("val").unlink()
    lineage = lineage_of(library, second, library.list_runs())
    assert "has changed since the run was created" in lineage.chain[3].problem
    assert "val.txt" in lineage.chain[4].problem


def test_runs_that_started_from_weights_are_told_from_forks(library: Library, tiny_config: ModelConfig) -> None:
    weights = {"kind": "weights", "run": "base", "step": 20, "name": "base"}
    foreign = {"kind": "weights", "name": "smol", "path": "/models/smol", "format": "hugging-face"}
    base = make_run(library, tiny_config, "base", lineage={"parent": foreign}, created="2026-01-01")
    tuned = make_run(library, tiny_config, "tuned", lineage={"parent": weights}, created="2026-01-02")
    forked = {"parent": {"run": "tuned", "step": 5, "name": "tuned"}}
    make_run(library, tiny_config, "fork", lineage=forked, created="2026-01-03")
    runs = library.list_runs()
    of_base = lineage_of(library, base, runs)
    assert [(link.kind, link.title, link.made) for link in of_base.chain[:2]] == [
        ("run", "base", ""),
        ("model", "smol", "started from its weights"),
    ]
    assert of_base.can_be_forked
    assert [(child.title, child.made) for child in of_base.children] == [
        ("tuned", "started from its weights at step 20")
    ]
    of_tuned = lineage_of(library, tuned, runs)
    assert [link.made for link in of_tuned.chain[1:3]] == [
        "started from its weights at step 20",
        "started from its weights",
    ]
    assert [(child.title, child.made) for child in of_tuned.children] == [("fork", "forked at step 5")]


def test_a_cyclic_lineage_ends(library: Library, tiny_config: ModelConfig) -> None:
    a = make_run(library, tiny_config, "a", lineage={"parent": {"run": "b", "step": 1}})
    make_run(library, tiny_config, "b", lineage={"parent": {"run": "a", "step": 1}})
    chain = lineage_of(library, a, library.list_runs()).chain
    assert [link.title for link in chain if link.kind == "run"] == ["a", "b"]


# -- The lines of an overlay ------------------------------------------------------------------------------


def read_all(
    reader: CurvesReader, folders: dict[str, Path], held: Mapping[str, Curves] | None = None
) -> list[tuple[str, Curves]]:
    events = [event for event in reader.read(folders, held or {}) if isinstance(event, CurvesRead)]
    return [(event.run_id, event.curves) for event in events if event.curves is not None]


def test_curves_are_read_as_a_sample_then_in_full_then_incrementally(
    library: Library, tiny_config: ModelConfig
) -> None:
    losses = [5 - i / 1000 for i in range(3500)]
    folders = {"a": make_run(library, tiny_config, "a", losses=losses, validations=(1.5,))}
    reader = CurvesReader()
    (_, sample), (_, validated), (_, whole) = read_all(reader, folders)
    assert (validated.is_whole, validated.column("val", "loss").tolist()) == (False, [1.5])
    assert (sample.is_whole, whole.is_whole, len(whole)) == (False, True, 3500)
    assert 1400 <= len(sample) <= 1500
    assert whole.column("train", "loss") == pytest.approx(np.float32(losses))
    assert whole.column("val", "loss").tolist() == [1.5]
    assert read_all(reader, folders, {"a": whole}) == []
    with (folders["a"] / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("train", 3501, 1.0))
    ((_, grown),) = read_all(reader, folders, {"a": whole})
    assert (len(grown), grown.column("train", "step")[-1]) == (3501, 3501)


def test_curves_of_a_cancelled_read_are_yielded_again(library: Library, tiny_config: ModelConfig) -> None:
    folders = {"a": make_run(library, tiny_config, "a", losses=(2.0, 1.0))}
    reader = CurvesReader()
    *_, (_, lost) = read_all(reader, folders)
    ((_, again),) = read_all(reader, folders, {})
    assert again.column("train", "loss").tolist() == lost.column("train", "loss").tolist() == [2.0, 1.0]
    assert read_all(reader, folders, {"a": again}) == []


def test_a_damaged_run_keeps_its_curves_and_does_not_stop_others(library: Library, tiny_config: ModelConfig) -> None:
    folders = {name: make_run(library, tiny_config, name, losses=(2.0, 1.0)) for name in ("a", "b")}
    (folders["a"] / "metrics.jsonl").write_text("broken\n")
    curves = dict(read_all(CurvesReader(), folders))
    assert "metrics.jsonl is damaged: line 1" in curves["a"].problem
    assert (len(curves["a"]), len(curves["b"])) == (0, 2)
    assert len(sample_curves(library.home, 10)) == 0


def spec(**changes: object) -> OverlaySpec:
    plain = {"quantity": COMPARED["loss"], "axis": "step", "unit": 1.0, "left": 0.0, "right": 10_000.0}
    return OverlaySpec(**(plain | {"n_columns": 100, "smoothing": 0.4, "log": False} | changes))  # type: ignore[arg-type]


@pytest.fixture
def spiky(library: Library, tiny_config: ModelConfig) -> Curves:
    """10,000 steps at a loss of 3, with one spike and one gap, and no validation."""
    losses: list[float] = [3.0] * 10_000
    losses[7_000], losses[8_000] = 9.0, math.nan
    folder = make_run(library, tiny_config, "spiky", losses=losses, validations=())
    (folder / "metrics.jsonl").write_text((folder / "metrics.jsonl").read_text().replace("NaN", "null"))
    return read_all(CurvesReader(), {"spiky": folder})[-1][1]


def test_thin_lines_keep_peaks_and_thick_lines_have_few_points(spiky: Curves) -> None:
    line = LineMaker().lines({"a": spiky}, spec())["a"]
    assert line.is_thinned
    assert len(line.raw[0]) < 500
    assert np.nanmax(line.raw[1]) == 9.0
    assert len(line.smooth[0]) <= 102
    assert 3.0 < float(np.nanmax(line.smooth[1])) < 3.2
    assert line.end[0] == pytest.approx(10_000, abs=3)
    near = LineMaker().lines({"a": spiky}, spec(left=6_990.0, right=7_010.0, smoothing=0.0))["a"]
    assert near.raw is near.smooth
    assert near.raw[0][np.nanargmax(near.raw[1])] == 7_001


def test_lines_follow_axis_and_scale(spiky: Curves) -> None:
    maker = LineMaker()
    by_tokens = maker.lines({"a": spiky}, spec(axis="tokens", unit=1000.0, right=640.0))["a"]
    assert by_tokens.end[0] == pytest.approx(640, abs=1)
    log = maker.lines({"a": spiky}, spec(log=True, smoothing=0.0))["a"]
    assert log.end[1] == pytest.approx(math.log10(3.0))
    assert maker.lines({"a": spiky}, spec(quantity=COMPARED["val"])) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"),
        (True, "yes"),
        (20_000, "20,000"),
        (0.00031, "0.00031"),
        ("gelu_tanh", "GELU (tanh)"),
        ((), "–"),
        (("/data/a.txt", "C:\\data\\b.txt"), "a.txt, b.txt"),
        (("either/or",), "either/or"),
    ],
)
def test_settings_are_formatted_for_people(value: object, expected: str) -> None:
    assert format_setting(value) == expected
