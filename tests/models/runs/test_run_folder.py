import json
import math
import os
from pathlib import Path

import pytest
from filelock import FileLock

from terrarium.models.files.jsonl import JsonLines, cut_rows, last_row, read_rows
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from tests.models.training.support import make_run


def test_nonfinite_numbers_become_null(tmp_path: Path) -> None:
    log = JsonLines(tmp_path / "a.jsonl")
    log.append({"loss": math.nan, "top": ((1, math.inf), (2, 0.5))})
    log.close()
    assert read_rows(tmp_path / "a.jsonl") == [{"loss": None, "top": [[1, None], [2, 0.5]]}]


def test_an_unterminated_last_line_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"step": 1}\n{"step": 2}\n{"step": 3')
    assert read_rows(file) == [{"step": 1}, {"step": 2}]
    assert last_row(file) == {"step": 2}
    assert read_rows(tmp_path / "none.jsonl") == []
    assert last_row(tmp_path / "none.jsonl") is None


def test_a_damaged_line_is_named_and_kept_in_a_backup(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text('{"step": 1}\n\0\0\0\n{"step": 2}\n{"step": 3}\n')
    with pytest.raises(ValueError, match=r"a\.jsonl is damaged: line 2"):
        read_rows(file)
    before = file.read_bytes()
    backup = cut_rows(file, None, lambda row: row["step"] < 3)
    assert read_rows(file) == [{"step": 1}, {"step": 2}]
    assert backup is not None
    assert backup.read_bytes() == before


def test_a_write_that_fails_half_way_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = JsonLines(tmp_path / "a.jsonl")
    log.append({"step": 1})
    real, calls = os.write, []

    def fills_up(descriptor: int, data: bytes) -> int:
        calls.append(data)
        if len(calls) == 1:
            return real(descriptor, data[:5])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fills_up)
    with pytest.raises(OSError, match="No space"):
        log.append({"step": 2})
    monkeypatch.setattr(os, "write", real)
    log.append({"step": 2})
    log.close()
    assert read_rows(tmp_path / "a.jsonl") == [{"step": 1}, {"step": 2}]


def test_run_json_records_settings_and_lineage(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    record = json.loads((run.folder / "run.json").read_text())
    assert record["format"] == 1
    assert record["id"] == run.folder.name
    assert record["status"] == "queued"
    assert record["threads"] is None
    assert record["best_step"] is None
    assert record["lineage"]["parent"] is None
    assert record["lineage"]["tokenizer"]["name"] == "byte"
    assert record["lineage"]["corpus"]["name"] == "text.txt"
    assert len(record["lineage"]["corpus"]["sha256"]) == 64
    assert record["spec"]["model"]["vocab_size"] == 261
    assert RunFolder.open(run.folder).spec == run.spec


def test_runs_created_at_the_same_moment_get_separate_folders(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_run(library, tiny_config)
    taken, free_name = iter([first.id]), library.free_name

    def too_late(folder: Path, name: str) -> str:
        return next(taken, "") or free_name(folder, name)

    monkeypatch.setattr(library, "free_name", too_late)
    second = make_run(library, tiny_config)
    assert {info.id for info in library.list_runs()} == {first.id, second.id}


def test_there_is_one_writer(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    run.acquire()
    with pytest.raises(ValueError, match="'small' is being trained by another"):
        RunFolder.open(run.folder).acquire()
    with pytest.raises(ValueError, match="is being trained by another"):
        run.acquire()
    run.release()
    other = RunFolder.open(run.folder)
    other.acquire()
    other.release()


def test_a_run_that_cannot_be_read_is_not_kept_locked(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    whole = (run.folder / "run.json").read_text()
    (run.folder / "run.json").write_text(whole[:-9])
    with pytest.raises(ValueError, match=r"run\.json is damaged"):
        run.acquire()
    (run.folder / "run.json").write_text(whole)
    other = RunFolder.open(run.folder)
    other.acquire()
    other.release()


def test_running_without_a_writer_is_shown_as_interrupted(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    reader = RunFolder.open(run.folder)
    run.acquire()
    run.update(status="running")
    assert run.status == "running"
    assert RunFolder.open(run.folder).status == library.list_runs()[0].status == "running"
    run.release()
    assert RunFolder.open(run.folder).status == library.list_runs()[0].status == "interrupted"
    assert reader.status == "queued"  # what it read
    run.acquire()
    run.update(status="finished")
    run.release()
    assert library.list_runs()[0].status == "finished"


def test_a_run_that_ends_during_a_read_is_not_shown_as_interrupted(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    run.acquire()
    run.update(status="running")
    reader = RunFolder.open(run.folder)  # reads "running" …
    run.update(status="finished")
    run.release()  # … and then finds the lock free
    assert reader.status == "finished"


def test_half_written_files_of_a_killed_writer_are_removed(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    half = run.folder / "checkpoints" / ".tmp-step-00000003-abc"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_bytes(b"half")
    (run.folder / ".tmp-run.json-abc").write_text("{")
    assert run.checkpoints() == []
    run.acquire()
    run.release()
    assert not half.exists()
    assert not (run.folder / ".tmp-run.json-abc").exists()


def test_the_last_checkpoints_and_the_best_are_kept(library: Library, tiny_config: ModelConfig) -> None:
    run = make_run(library, tiny_config)
    for step in (0, 5, 10, 15, 100_000_000):
        run.checkpoint_path(step).mkdir(parents=True)
    (run.folder / "checkpoints" / "step-notes").mkdir()
    run.update(best_step=5)
    run.prune_checkpoints(2)
    assert [path.name for path in run.checkpoints()] == ["step-00000005", "step-00000015", "step-100000000"]
    assert run.latest_checkpoint() == run.checkpoint_path(100_000_000)
    assert (run.folder / "checkpoints" / "step-notes").exists()


def test_a_checkpoint_that_another_window_reads_is_removed_later(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows behaves: it refuses to rename a folder in which a file is open. The run must go on."""
    run = make_run(library, tiny_config)
    for step in (0, 5, 10):
        run.checkpoint_path(step).mkdir(parents=True)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "in use")

    with monkeypatch.context() as windows:
        windows.setattr(os, "rename", refuse)
        windows.setattr(os, "replace", refuse)
        windows.setattr(Path, "rename", refuse)
        run.prune_checkpoints(1)
    assert len(run.checkpoints()) == 3
    run.prune_checkpoints(1)
    assert [path.name for path in run.checkpoints()] == ["step-00000010"]


def test_a_run_that_was_deleted_meanwhile_leaves_no_folder(
    library: Library, tiny_config: ModelConfig, tmp_path: Path
) -> None:
    run = make_run(library, tiny_config)
    run.folder.rename(tmp_path / "trash")
    with pytest.raises(ValueError, match="was deleted meanwhile: restore it"):
        run.acquire()
    assert not run.folder.exists()


def test_a_run_that_is_deleted_while_its_lock_is_acquired_is_called_deleted(
    library: Library, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(library, tiny_config)

    def gone(*args: object, **others: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(FileLock, "acquire", gone)
    with pytest.raises(ValueError, match="was deleted meanwhile: restore it from the trash"):
        run.acquire()
