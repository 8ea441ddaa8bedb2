"""Reading a run without its lock: run.json, the status, and its row in the list of runs. No torch import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from terrarium.models.files.atomic import DamagedError, read_json
from terrarium.models.files.jsonl import each_row, last_row
from terrarium.models.library.run_notes import read_notes
from terrarium.models.settings.run_spec import RunSpec

FORMAT = 1
STATUSES = ("queued", "running", "paused", "stopped", "finished", "failed", "imported")
RESUMABLE = ("paused", "stopped", "interrupted", "failed", "queued")
"""Shown statuses in which a run can be resumed from its last checkpoint."""
EARLY_STOP = "early stop"
"""The event that records why early stopping ended a run before its last step."""
CHAT_FORM = "chat_form.json"
"""The file with the chat template published with a run's model (models.chat.template_config)."""
MARK_FILE, QUICK_START, TASK = "recipe.json", "quick-start", "task"
"""The file that marks a run as part of a recipe (models.recipes.mark), and two kinds of recipes."""
EVALUATION_FILE, COMPARISON_FILE = "evaluation.json", "text_comparison.json"
"""The files with the measurements of models.evaluation.record."""

_REMEDY = "Put an intact copy of it back, or delete the run."


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """A row of the list of runs. `status`: as shown. `problem`: a sentence if the folder is damaged.

    `elapsed_s`: the training time. `tokens`: the number of tokens trained on. `parent`: the run and step whose weights
    it started from, as a fork or (`is_tuned`) as a new training. `best_loss`: the lowest validation loss.
    `best_metric`: the name and best value of the task's metric. `size_bytes`: the size on disk. The last three are None
    until measured (see run_index). `early_stop`: a sentence why early stopping ended it, "" if it did not.
    `is_unmeasured`: whether its training has finished, but its recipe was cut off before the evaluation. `spec`:
    None if it cannot be read.
    """

    id: str
    name: str
    folder: Path
    status: str
    created: str
    step: int
    total_steps: int
    problem: str | None = None
    elapsed_s: float | None = None
    tokens: int | None = None
    best_loss: float | None = None
    best_metric: tuple[str, float] | None = None
    size_bytes: int | None = None
    tags: tuple[str, ...] = ()
    notes: str = ""
    parent: tuple[str, int] | None = None
    is_tuned: bool = False
    early_stop: str = ""
    is_unmeasured: bool = False
    spec: RunSpec | None = field(default=None, compare=False, repr=False)

    @property
    def can_resume(self) -> bool:
        """Whether something is left to do: to train, but for a run that early stopping has ended, or to measure."""
        return self.is_unmeasured or (self.status in RESUMABLE and not self.early_stop)

    @property
    def has_model(self) -> bool:
        """Whether it has weights that can be opened: it is intact, and has a checkpoint or was imported."""
        return not self.problem and (self.step > 0 or self.status == "imported")


def checkpoint_step(path: Path) -> int:
    """Return the step in a checkpoint's name, -1 if the name is not one of ours."""
    digits = path.name.removeprefix("step-")
    return int(digits) if digits.isdecimal() else -1


def inspect_run(folder: Path) -> RunInfo:
    """Return the row of the run in `folder`; a damaged run has status "damaged" and a problem instead of raising."""
    try:
        record = read_record(folder)
        spec = RunSpec.from_dict(record["spec"], where=str(folder / "run.json"))
        status = listed_status(folder, record["status"])
    except ValueError as error:
        return RunInfo(
            id=folder.name,
            name=folder.name,
            folder=folder,
            status="damaged",
            created="",
            step=0,
            total_steps=0,
            problem=str(error),
        )
    row = last_row(folder / "metrics.jsonl") or {}
    written = read_notes(folder)
    file = folder / "tokenizer.json"
    return RunInfo(
        id=record["id"],
        name=record["name"],
        folder=folder,
        status=status,
        created=record["created"],
        step=row["step"] if isinstance(row.get("step"), int) else last_saved_step(folder),
        total_steps=0 if status == "imported" else spec.train.steps,
        problem=None if file.is_file() else f"{file} is missing.",
        elapsed_s=row["elapsed_s"] if isinstance(row.get("elapsed_s"), int | float) else None,
        tokens=row["tokens"] if isinstance(row.get("tokens"), int) else None,
        tags=written.tags,
        notes=written.notes or written.problem or "",
        parent=parent_of(record),
        is_tuned=is_from_weights(record),
        early_stop=_early_stop(folder, record) if status == "stopped" else "",
        is_unmeasured=status == "finished" and _is_unmeasured(folder),
        spec=spec,
    )


def _early_stop(folder: Path, record: dict[str, Any]) -> str:
    """Return a sentence why early stopping last ended the run, and which checkpoint is kept; "" if it did not."""
    reason, step = "", 0
    with suppress(ValueError):
        for row in each_row(folder / "events.jsonl", {"step": int, "event": str}):
            if row["event"] == EARLY_STOP:
                reason, step = str(row.get("detail", "")), row["step"]
            elif row["event"] == "resumed":
                reason = ""
    if not reason:
        return ""
    best = record.get("best_step")
    kept = f" The best, of step {best:,}, is kept." if best is not None and best < step else ""
    return f"It stopped at step {step:,}: {reason}.{kept}"


def parent_of(record: dict[str, Any]) -> tuple[str, int] | None:
    """Return the run and step whose weights a run started from, by its run.json; None if it started from no run."""
    match record.get("lineage", {}).get("parent"):
        case {"run": str(run), "step": int(step)}:
            return run, step
    return None


def is_from_weights(record: dict[str, Any]) -> bool:
    """Return whether a run is a new training from a model's weights (RunSpec.tune), not a fork, by its run.json."""
    match record.get("lineage", {}).get("parent"):
        case {"kind": "weights"}:
            return True
    return False


def _is_unmeasured(folder: Path) -> bool:
    """Whether the recipe of a finished run lacks its result: a quick start's evaluation, or the scores of a task."""
    with suppress(OSError, ValueError, AttributeError):
        mark = read_json(folder / MARK_FILE)
        if mark.get("result") is not None or mark.get("part"):
            return False
        if mark.get("kind") == QUICK_START:  # before version 0.3, its result was only in these
            compared = folder / COMPARISON_FILE
            is_compared = compared.is_file() and read_json(compared).get("model") is not None
            return not (is_compared or (folder / EVALUATION_FILE).is_file())
        return mark.get("kind") == TASK
    return False


def last_saved_step(folder: Path) -> int:
    """Return the step that the run in `folder` would resume from; 0 if there is no checkpoint."""
    return max([0, *(checkpoint_step(path) for path in (folder / "checkpoints").glob("step-*"))])


def read_record(folder: Path) -> dict[str, Any]:
    """Read and check run.json; a ValueError names the file and what to do."""
    path = folder / "run.json"
    try:
        record = read_json(path)
    except DamagedError as error:
        raise DamagedError(f"{error} {_REMEDY}") from error
    if isinstance(record.get("format"), int) and record["format"] > FORMAT:
        raise ValueError(f"{path} has format {record['format']}, which this Terrarium does not know: update it.")
    for problem in _problems(record):
        raise DamagedError(f"{path} is damaged: {problem}. {_REMEDY}")
    return record


def _problems(record: dict[str, Any]) -> Iterator[str]:
    """Yield the problems of a record, except those of the spec's values, which RunSpec checks."""
    if not isinstance(record.get("format"), int):
        yield "it has no format"
    for key in ("id", "name", "created", "status"):
        if not isinstance(record.get(key), str):
            yield f"it has no {key}"
    if record["status"] not in STATUSES:
        yield f"there is no status {record['status']!r}"
    if not isinstance(record.get("spec"), dict):
        yield "it has no spec"
    for part in ("model", "tokenizer", "data", "train"):
        if not isinstance(record["spec"].get(part), dict):
            yield f"its spec has no {part}"
    for key, least in (("threads", 1), ("best_step", 0)):
        number = record.get(key)
        if number is not None and not (isinstance(number, int) and number >= least):
            yield f"{key} is {number!r}"
    lineage = record.get("lineage", {})
    if not isinstance(lineage, dict):
        yield f"its lineage is {lineage!r}"
    for key in ("tokenizer", "corpus"):
        source = lineage.get(key)
        if source is not None and not (isinstance(source, dict) and isinstance(source.get("sha256"), str)):
            yield f"its lineage has no sha256 of the {key}"


def lock_of(folder: Path) -> FileLock:
    """Return the lock that the run's writer holds; the kernel releases it when that process ends, even if killed."""
    # Not thread-local: a generator may be closed by another thread than the one that drove it.
    return FileLock(folder / "lock", thread_local=False)


def is_locked(folder: Path) -> bool:
    """Return whether a process is writing to the run in `folder` at this moment."""
    if not (folder / "lock").exists():
        return False
    probe = lock_of(folder)
    try:
        # Another reader may also hold the lock, but only for microseconds; a writer holds it throughout.
        probe.acquire(timeout=0.01, poll_interval=0.001)
    except Timeout:
        return True
    except OSError:  # a read-only folder, in which no run can be trained
        return False
    probe.release()
    remove_recreated(folder)
    return False


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Within the block, let no process begin to train the run in `folder`, which is moved there.

    Raises:
        ValueError: if the run is being trained.
    """
    lock = lock_of(folder)
    try:
        lock.acquire(timeout=0.01, poll_interval=0.001)
    except Timeout:
        raise ValueError(f"The run in {folder} is being trained: stop it before deleting it.") from None
    except OSError:  # a read-only folder, in which no run can be trained
        yield
        return
    if os.name == "nt":  # a folder with an open file cannot be moved there
        lock.release()
    try:
        yield
    finally:
        lock.release()


def remove_recreated(folder: Path) -> bool:
    """Remove the folder of a run that was deleted just before its lock was acquired, which recreates the folder.
    Return whether it was one.
    """
    with suppress(OSError):
        if [entry.name for entry in folder.iterdir()] == ["lock"]:
            (folder / "lock").unlink()
            folder.rmdir()
            return True
    return False


def shown_status(folder: Path, status: str) -> str:
    """Return the status in run.json, or "interrupted" for a "running" run whose lock is free."""
    if status != "running" or is_locked(folder):
        return status
    status = str(read_record(folder)["status"])  # it may have ended between reading the file and checking the lock
    return "interrupted" if status == "running" else status


def listed_status(folder: Path, status: str) -> str:
    """Return "preparing" for a queued run whose lock is held, because it is being set up; else like `shown_status`."""
    return "preparing" if status == "queued" and is_locked(folder) else shown_status(folder, status)
