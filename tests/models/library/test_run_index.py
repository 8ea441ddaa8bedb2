"""The run index and the log tail: incremental reads that stay correct."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from terrarium.models.files.atomic import atomic_write_bytes, atomic_write_json
from terrarium.models.files.log_tail import LogTail
from terrarium.models.library.library import Library
from terrarium.models.library.lowest_loss import find_lowest_loss
from terrarium.models.library.run_index import RunIndex, size_on_disk
from terrarium.models.library.run_notes import RunNotes, read_notes, write_notes
from terrarium.models.library.run_record import RunInfo, inspect_run, last_saved_step, lock_of
from terrarium.models.settings.model_config import ModelConfig
from tests.runs_on_disk import make_run, metrics_line


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "metrics.jsonl"


def test_a_tail_reads_each_row_once(log: Path) -> None:
    tail = LogTail(log)
    assert tail.rows() == []
    log.write_bytes(b'{"step": 1}\n{"step": 2}\n{"st')
    assert [row["step"] for row in tail.rows()] == [1, 2]
    assert tail.rows() == []
    with log.open("ab") as file:
        file.write(b'ep": 3}\n')
    assert tail.rows() == [{"step": 3}]


def test_a_tail_reads_long_lines_and_many_blocks(log: Path) -> None:
    rows = [{"step": i, "text": "ü" * (300_000 if i == 5 else 90)} for i in range(9_000)]
    log.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert LogTail(log).rows() == rows


@pytest.mark.parametrize("replaced", [b'{"step": 1}\n', b'{"step": 1}\n{"step": 4}\n{"step": 5}\n{"step": 6}\n'])
def test_a_tail_restarts_where_a_resume_truncated_the_log(log: Path, replaced: bytes) -> None:
    log.write_bytes(b'{"step": 1}\n{"step": 2}\n{"step": 3}\n')
    tail = LogTail(log)
    assert len(tail.rows()) == 3
    assert not tail.was_replaced()
    atomic_write_bytes(log, replaced)
    assert tail.was_replaced()
    assert tail.rows() == [json.loads(line) for line in replaced.splitlines()]


@pytest.mark.parametrize("damage", [b"{", b"3", b"", b'{"a": 1},{"b": 2}', b"\xff\xfe", b"[" * 100_000])
def test_a_tail_names_the_damaged_line(log: Path, damage: bytes) -> None:
    log.write_bytes(b'{"step": 1}\n{"step": 2}\n')
    tail = LogTail(log)
    tail.rows()
    with log.open("ab") as file:
        file.write(b'{"step": 3}\n' + damage + b'\n{"step": 5}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl is damaged: line 4 is not a JSON object\."):
        tail.rows()


def test_the_lowest_loss_is_that_of_all_validations(log: Path) -> None:
    assert find_lowest_loss(log.parent).loss is None
    log.write_text(metrics_line("train", 1, 0.1) + metrics_line("val", 1, 3.0) + metrics_line("val", 2, 2.0), "utf-8")
    first = find_lowest_loss(log.parent)
    assert first.loss == 2.0
    with log.open("a") as file:
        file.write(metrics_line("val", 3, None) + metrics_line("val", 4, 1.5) + metrics_line("val", 5, 1.0)[:-5])
    second = find_lowest_loss(log.parent, first)
    assert second.loss == 1.5
    atomic_write_bytes(log, metrics_line("val", 1, 3.0).encode())
    assert find_lowest_loss(log.parent, second).loss == 3.0


def test_the_lowest_loss_before_a_checkpoint_is_taken_from_it(log: Path) -> None:
    log.write_text(metrics_line("val", 1, 3.0), "utf-8")
    state = {"lowest_loss": 2.5, "log_sizes": {"metrics": log.stat().st_size}}
    atomic_write_json(log.parent / "checkpoints" / "step-00000001" / "state.json", state)
    assert find_lowest_loss(log.parent).loss == 2.5
    with log.open("a") as file:
        file.write(metrics_line("val", 2, 2.0))
    assert find_lowest_loss(log.parent).loss == 2.0
    log.write_text('{"kind": "val", "loss": 4.0}\n', "utf-8")  # shorter than the checkpoint knew it
    assert find_lowest_loss(log.parent).loss == 4.0


def test_the_best_metric_is_that_of_all_validations(log: Path) -> None:
    rows = [("macro_f1", 0.5), ("macro_f1", 0.9), ("macro_f1", None), ("macro_f1", 0.7), ("unheard of", 1.0)]
    lines = [{"kind": "val", "step": 1, "loss": 1.0, "metric": name, "metric_value": value} for name, value in rows]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (log.parent / "checkpoints" / "step-00000001").mkdir(parents=True)
    state = {"lowest_loss": 1.0, "highest_score": 0.9, "log_sizes": {"metrics": log.stat().st_size}}
    atomic_write_json(log.parent / "checkpoints" / "step-00000001" / "state.json", state)
    first = find_lowest_loss(log.parent)
    assert first.metric == ("macro_f1", 0.9), "also where a checkpoint knows the loss"
    with log.open("a") as file:
        file.write(json.dumps(lines[1] | {"metric_value": 0.95}) + "\n")
    assert find_lowest_loss(log.parent, first).metric == ("macro_f1", 0.95)
    log.write_text("".join(json.dumps(line | {"metric": "mae"}) + "\n" for line in lines[:2]))
    assert find_lowest_loss(log.parent).metric == ("mae", 0.5), "where less is better"


def test_a_folder_that_is_no_checkpoint_has_no_step(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config, "run")
    assert last_saved_step(run) == 0
    (run / "checkpoints" / "step-tmp").mkdir(parents=True)
    assert last_saved_step(run) == inspect_run(run).step == 0
    (run / "checkpoints" / "step-00000007").mkdir()
    assert last_saved_step(run) == 7


def test_an_index_reads_only_changed_runs(library: Library, tiny_config: ModelConfig) -> None:
    index = RunIndex(library.runs)
    assert index.refresh() == []
    old = make_run(library, tiny_config, "old", losses=(3.0, 2.0), created="2026-01-01T00:00:00")
    new = make_run(library, tiny_config, "new", losses=(5.0,), created="2026-01-02T00:00:00")
    assert index.n_unseen(9) == 2
    assert [info.name for info in index.refresh()] == ["new", "old"]
    assert index.n_unseen(9) == 0
    assert {info.name: info.best_loss for info in index.measure()} == {"new": 5.0, "old": 2.0}
    assert list(index.measure()) == []
    assert {info.name: info.size_bytes for info in index.infos()} == {
        "new": size_on_disk(new),
        "old": size_on_disk(old),
    }
    with (old / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("val", 9, 1.0))
    assert index.n_unseen(9) == 1
    assert [info.step for info in index.refresh()] == [1, 9]
    assert [info.best_loss for info in index.measure()] == [1.0]
    os.rename(new, new.with_name("gone"))
    assert {info.folder.name for info in index.refresh()} == {old.name, "gone"}


def test_finding_a_run_reads_it_only_where_it_has_changed(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_run(library, tiny_config, "asked for often", losses=(3.0,), created="2026-01-01T00:00:00")
    index, read = RunIndex(library.runs), list[Path]()

    def counted(folder: Path) -> RunInfo:
        read.append(folder)
        return inspect_run(folder)

    monkeypatch.setattr("terrarium.models.library.run_index.inspect_run", counted)
    run_id = inspect_run(folder).id
    assert [index.find(run_id).step for _ in range(5)] == [1] * 5
    assert read == [folder]
    assert index.n_unseen(9) == 0
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("val", 9, 1.0))
    assert [index.find(run_id).step for _ in range(5)] == [9] * 5
    assert read == [folder, folder]
    shutil.rmtree(folder)
    with pytest.raises(ValueError, match="no longer in the library"):
        index.find(run_id)


def test_a_dead_writer_is_noticed_without_a_change_of_files(library: Library, tiny_config: ModelConfig) -> None:
    folder = make_run(library, tiny_config, "killed", status="running")
    index = RunIndex(library.runs)
    with lock_of(folder):
        assert [info.status for info in index.refresh()] == ["running"]
    assert [info.status for info in index.refresh()] == ["interrupted"]


def test_a_run_that_is_being_set_up_is_shown_as_preparing(library: Library, tiny_config: ModelConfig) -> None:
    folder = make_run(library, tiny_config, "begins", status="queued")
    index = RunIndex(library.runs)
    assert [info.status for info in index.refresh()] == ["queued"]
    with lock_of(folder):
        assert [info.status for info in index.refresh()] == ["preparing"]
    assert [info.status for info in index.refresh()] == ["queued"]


def test_notes_and_tags_are_kept_with_the_run(library: Library, tiny_config: ModelConfig) -> None:
    folder = make_run(library, tiny_config, "noted")
    assert read_notes(folder) == RunNotes()
    write_notes(folder, "Diverged late.\nTry less.", (" sweep", "low lr", "sweep", ""))
    assert read_notes(folder) == RunNotes(notes="Diverged late.\nTry less.", tags=("sweep", "low-lr"))
    (info,) = library.list_runs()
    assert (info.tags, info.notes) == (("sweep", "low-lr"), "Diverged late.\nTry less.")


@pytest.mark.parametrize("damage", ["{", '{"notes": 3}', '{"tags": "sweep"}'])
def test_damaged_notes_are_reported_and_left_alone(library: Library, tiny_config: ModelConfig, damage: str) -> None:
    folder = make_run(library, tiny_config, "noted")
    (folder / "notes.json").write_text(damage)
    problem = read_notes(folder).problem
    assert problem is not None
    assert "notes.json is damaged" in problem
    with pytest.raises(ValueError, match=r"notes\.json is damaged"):
        write_notes(folder, "new", ())
    assert (folder / "notes.json").read_text() == damage
    assert library.list_runs()[0].status == "finished"


def test_a_run_that_begins_while_the_list_is_read_stays_in_it(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The names are read first; another thread asks for the run before the list is complete."""
    make_run(library, tiny_config, "old")
    index = RunIndex(library.runs)
    index.refresh()
    found: list[RunInfo] = []

    def meanwhile(seconds: float) -> None:
        if not found:
            make_run(library, tiny_config, "new")
            found.append(index.find("new"))

    monkeypatch.setattr("terrarium.models.library.run_index.time.sleep", meanwhile)
    assert {info.id for info in index.refresh(gives_way=True)} == {"old", "new"}
    shutil.rmtree(library.runs / "new")
    assert [info.id for info in index.refresh()] == ["old"]
