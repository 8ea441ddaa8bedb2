"""Tasks learned from weights, and by several processes."""

from __future__ import annotations

import dataclasses
import socket
import sys
from pathlib import Path

import pytest

from terrarium.models import load_model
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tune_spec import TuneSpec
from terrarium.models.training.trainer import prepare_run
from tests.models.tasks.small_tasks import DESIGNS, make_dataset, make_task_run, make_task_spec
from tests.models.training.parallel.several import N_PROCESSES, train_in_turn
from tests.models.training.support import fork, train


def tuned(spec: RunSpec, parent: RunFolder, **settings: str) -> RunSpec:
    return dataclasses.replace(spec, tune=TuneSpec(parent=parent.id, **settings))


@pytest.mark.parametrize("topology", DESIGNS)
def test_a_language_model_learns_labels(tmp_path: Path, topology: str) -> None:
    library = Library(tmp_path)
    make_dataset(library, "classification")
    text = tmp_path / "text.txt"
    text.write_text("anna smiles in rome and ben cries\n" * 60, "utf-8")
    plain = make_task_spec(library, "classification", topology, steps=4, eval_interval=0, optimizer="adamw")
    data = DataSpec(source="files", files=(str(text),))
    parent = result_of(prepare_run(library, dataclasses.replace(plain, name="parent", data=data)))
    train(parent, library)
    spec = dataclasses.replace(plain, train=dataclasses.replace(plain.train, eval_interval=2))
    run = result_of(prepare_run(library, tuned(spec, parent, mode="lora")))
    assert (run.spec.model.head, run.spec.model.n_label) == ("sequence", 3)
    assert (run.spec.data.task, run.spec.data.labels) == ("classification", ("angry", "glad", "sad"))
    train(run, library)
    assert [row["metric"] for row in run.read_metrics() if row["kind"] == "val"] == ["macro_f1"] * 3
    model, _ = load_model(run.folder)
    assert model.config.head == "sequence"

    again = result_of(prepare_run(library, tuned(spec, run)))
    assert again.spec.data.labels == run.spec.data.labels
    train(again, library)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="torchrun is no friend of Windows")
def test_several_processes_match_a_single_one(tmp_path: Path) -> None:
    library = Library(tmp_path)
    settings = {"steps": 4, "eval_interval": 2, "precision": "float32", "batch_size": 7}
    cases = [
        ("span", "encoder-only", "ddp"),
        ("multi-label", "encoder-decoder", "fsdp"),
        ("tagging", "decoder-only", "ddp"),
    ]
    for task, _, _ in cases:
        make_dataset(library, task, n=40)
    runs = [make_task_run(library, task, topology, **settings, parallel=how) for task, topology, how in cases]
    with socket.create_server(("localhost", 0)) as server:
        port = server.getsockname()[1]
    in_turn = [(run.folder, 0) for run in runs]
    processes = [fork(train_in_turn, rank, port, library.home, in_turn) for rank in range(N_PROCESSES)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    for run, (task, topology, _) in zip(runs, cases, strict=True):
        alone = make_task_run(library, task, topology, **settings)
        train(alone, library)
        for row, other in zip(run.read_metrics(), alone.read_metrics(), strict=True):
            assert row["loss"] == pytest.approx(other["loss"], rel=1e-4)
            assert row.get("metric_value") == pytest.approx(other.get("metric_value"))
