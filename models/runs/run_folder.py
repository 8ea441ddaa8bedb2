"""A run's folder: run.json, the lock, the logs and the paths of its checkpoints. No torch import.

The folder holds the complete state of a run, and stays readable if the process is killed at any moment.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import Timeout

from terrarium.models.custom_blocks.carried import carry_texts, repair_texts
from terrarium.models.files.atomic import (
    TEMPORARY_PREFIX,
    atomic_folder,
    atomic_write_bytes,
    atomic_write_json,
    link_or_copy,
    read_json,
    remove_folder,
    replace_path,
)
from terrarium.models.files.jsonl import JsonLines, Row, cut_rows, each_row, read_rows
from terrarium.models.library.run_record import (
    FORMAT,
    STATUSES,
    checkpoint_step,
    lock_of,
    read_record,
    remove_recreated,
    shown_status,
)
from terrarium.models.runs.checkpoint_state import kept_designs
from terrarium.models.runs.curve_index import BLOCK_ROWS, CurveIndex
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tokenizers import find_tokenizer

if TYPE_CHECKING:
    from terrarium.models.library.library import Library

READ_WHOLE = ("metrics", "samples", "events", "layers", "attention", "alignment", "accuracy")
"""The logs that a view of a run reads completely."""
LOG_NAMES = (*READ_WHOLE, "rollouts")
_LOCK_TIMEOUT_S = 2.0
"""How long to wait for a run's lock, which those who only look at its status hold for a moment, in seconds."""
_INDEXED = 1 << 17
"""Bytes of the metrics log to index after each 128 rows: three or four times the size of those rows, to catch up."""


class RunFolder:
    """One run's folder. Reading needs no lock; writing does (`acquire`, `release`)."""

    def __init__(self, folder: Path, record: dict[str, Any], spec: RunSpec) -> None:
        self.folder, self.spec = folder, spec
        self._record = record
        self._logs: dict[str, JsonLines] = {}
        self._n_measured = 0
        self._lock = lock_of(folder)

    @classmethod
    def create(
        cls,
        library: Library,
        spec: RunSpec,
        tokenizer_name: str,
        corpus_sha: str,
        own_tokenizer: bytes | None = None,
        *,
        contents: Path | None = None,
        lineage: Mapping[str, Any] | None = None,
    ) -> RunFolder:
        """Create a run with status "queued".

        The tokenizer and the texts of custom blocks are copied into the folder, so that the run does not depend on the
        library's copies.

        Args:
            tokenizer_name: the name of a tokenizer in the library, or a path.
            corpus_sha: the name of the corpus's folder in the library.
            own_tokenizer: the content of the run's tokenizer.json if it differs from that of `tokenizer_name`.
            contents: a folder whose files are copied into the run's (models.interop.parents).
            lineage: further sources of the run, besides tokenizer and corpus.
        """
        tokenizer = own_tokenizer
        if tokenizer is None:
            tokenizer_file = find_tokenizer(tokenizer_name, library)
            tokenizer_name, tokenizer = tokenizer_file.parent.name, tokenizer_file.read_bytes()
        corpus = read_json(library.corpora / corpus_sha / "about.json")
        identity = library.new_run_id(spec.name)
        folder = library.runs / identity
        record = {
            "format": FORMAT,
            "id": identity,
            "name": spec.name,
            "created": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "status": "queued",
            "spec": spec.to_dict(),
            "threads": None,
            "best_step": None,
            "lineage": {
                "tokenizer": {"name": tokenizer_name, "sha256": hashlib.sha256(tokenizer).hexdigest()},
                "corpus": {"name": corpus["label"], "sha256": corpus["sha256"]},
                "parent": None,
                **(lineage or {}),
            },
        }
        try:
            with atomic_folder(folder) as half_made:
                if contents is not None:
                    shutil.copytree(contents, half_made, copy_function=link_or_copy, dirs_exist_ok=True)
                atomic_write_bytes(half_made / "tokenizer.json", tokenizer)
                carry_texts([spec.model, *kept_designs(half_made)], half_made)
                atomic_write_json(half_made / "run.json", record)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process took this name just now
                return cls.create(
                    library, spec, tokenizer_name, corpus_sha, tokenizer, contents=contents, lineage=lineage
                )
            raise
        return cls(folder, record, spec)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open an existing run. Texts of its custom blocks that the library lacks are put back from its folder.

        Raises:
            ValueError: if run.json is missing, damaged or from a newer Terrarium, naming it.
        """
        record = read_record(path)
        spec = RunSpec.from_dict(record["spec"], where=str(path / "run.json"))
        repair_texts(spec.model, path)
        return cls(path.absolute(), record, spec)

    @property
    def id(self) -> str:
        return str(self._record["id"])

    @property
    def name(self) -> str:
        return str(self._record["name"])

    @property
    def created(self) -> str:
        """The creation time, ISO 8601 in UTC."""
        return str(self._record["created"])

    @property
    def status(self) -> str:
        """The status in run.json as last read or written; "interrupted" for a "running" run whose lock is free."""
        status = str(self._record["status"])
        return status if self._lock.is_locked else shown_status(self.folder, status)

    @property
    def threads(self) -> int | None:
        """The number of threads of the first training; None before."""
        threads = self._record.get("threads")
        return None if threads is None else int(threads)

    @property
    def best_step(self) -> int | None:
        """The step of the best checkpoint, by the score of a task or the validation loss; None if there is none."""
        step = self._record.get("best_step")
        return None if step is None else int(step)

    @property
    def measured(self) -> dict[str, float]:
        """Numbers recorded by the last set-up of the training (`TrainingContext.measured`); empty before."""
        measured = self._record.get("measured")
        return dict(measured) if isinstance(measured, dict) else {}

    @property
    def lineage(self) -> dict[str, Any]:
        """The run's tokenizer, corpus and parent, with hashes of the first two.

        A fork's parent is {run, name, step}. The parent of a run from weights (RunSpec.tune) also has kind "weights",
        and {path, format} instead of run and step if it is not a run; its training data is in "parent_corpus".
        """
        return dict(self._record.get("lineage", {}))

    def made_from(self, what: str) -> str:
        """Return the SHA-256 of the run's "tokenizer" or "corpus"; ValueError if run.json lacks it."""
        source = self.lineage.get(what)
        if source is None:
            raise ValueError(
                f"{self.folder / 'run.json'} does not name the {what} of the run, so it cannot be resumed: put an "
                "intact copy back, or start a new run."
            )
        return str(source["sha256"])

    @property
    def tokenizer_file(self) -> Path:
        return self.folder / "tokenizer.json"

    def update(self, **changes: Any) -> None:
        """Change fields of run.json atomically."""
        assert changes.get("status", "queued") in STATUSES
        record = {**self._record, **changes}
        atomic_write_json(self.folder / "run.json", record)
        self._record = record

    # The lock

    def acquire(self) -> None:
        """Acquire the lock, reread run.json, and delete the temporary files of a killed writer.

        Raises:
            ValueError: if another process (or another part of this one) holds the lock, the run was deleted, or
                run.json is damaged.
        """
        try:
            if self._lock.is_locked:  # by this object: acquiring again would increment a counter instead of failing
                raise Timeout(str(self.folder / "lock"))
            self._lock.acquire(timeout=_LOCK_TIMEOUT_S, poll_interval=0.01)
        except Timeout:
            raise ValueError(
                f"The run {self.name!r} is being trained by another window or command: stop it there, or wait "
                "until it ends."
            ) from None
        except FileNotFoundError:
            raise ValueError(self._deleted) from None
        except OSError as error:
            raise ValueError(f"Could not write to {self.folder}: {error.strerror}.") from error
        try:
            self._record = read_record(self.folder)
            self._clear_leftovers()
        except (ValueError, OSError):
            self._lock.release()
            if remove_recreated(self.folder):
                raise ValueError(self._deleted) from None
            raise

    @property
    def _deleted(self) -> str:
        return f"The run {self.name!r} was deleted meanwhile: restore it from the trash to train it."

    def _clear_leftovers(self) -> None:
        for folder in (self.folder, self.folder / "checkpoints", *self.checkpoints()):
            for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
                with contextlib.suppress(OSError):  # on Windows another window may still be reading it
                    if leftover.is_dir():
                        shutil.rmtree(leftover)
                    else:
                        leftover.unlink()

    def release(self) -> None:
        """Close the logs and release the lock."""
        for log in self._logs.values():
            log.close()
        self._logs.clear()
        self._lock.release()

    # The logs

    def append(self, log: str, row: Row) -> None:
        """Append a row to one of LOG_NAMES. Raises OSError if the disk is full; nothing is written then."""
        if log not in self._logs:
            assert log in LOG_NAMES
            assert self._lock.is_locked
            self._logs[log] = JsonLines(self.folder / f"{log}.jsonl")
        self._logs[log].append(row)
        if log == "metrics":
            self._n_measured += 1
            if self._n_measured % BLOCK_ROWS == 0:
                CurveIndex(self.folder).extend(_INDEXED)

    def append_event(self, event: str, step: int, detail: str = "") -> None:
        """Log an event of the run (started, saved, failed …)."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.append("events", {"time": now, "step": step, "event": event, "detail": detail})

    def sync_logs(self) -> dict[str, int]:
        """Flush all logs to disk and return their sizes in bytes.

        A checkpoint stores the sizes, so that a resume can remove exactly the rows written after it.
        """
        for log in self._logs.values():
            log.sync()
        paths = {log: self.folder / f"{log}.jsonl" for log in LOG_NAMES}
        return {log: path.stat().st_size for log, path in paths.items() if path.exists()}

    def cut_after(self, step: int, sizes: dict[str, int]) -> list[str]:
        """Remove the log rows written after the checkpoint of `step`, when the logs had `sizes`, before a resume.

        Events of that step remain (such as saved or paused). Returns a sentence for each damaged file.
        """
        assert not self._logs
        notices = []
        for log in LOG_NAMES:
            path = self.folder / f"{log}.jsonl"
            size = None if log == "events" else sizes.get(log, 0)
            backup = cut_rows(path, size, lambda row: isinstance(row.get("step"), int) and row["step"] <= step)
            if backup is not None:
                notices.append(
                    f"{path} was damaged: its intact rows were kept, and the original was renamed to {backup.name}."
                )
            if size and not path.exists():
                notices.append(f"{path} is missing: its data of steps before {step} is lost.")
        CurveIndex(self.folder).extend(_INDEXED)  # drops the blocks of removed rows before new rows are appended
        return notices

    def read_metrics(self) -> list[Row]:
        """Return all rows of `each_metric`, which take about 2 KB of memory each."""
        return list(self.each_metric())

    def each_metric(self) -> Iterator[Row]:
        """Iterate over rows {kind, step, tokens, elapsed_s, loss, …}; ValueError names a damaged file."""
        return each_row(self.folder / "metrics.jsonl", {"kind": str, "step": int})

    def read_samples(self) -> list[Row]:
        """Return rows {step, prompt, seed, text, top: [[id, p], …]}; ValueError names a damaged file."""
        return read_rows(self.folder / "samples.jsonl", {"step": int, "prompt": str, "text": str})

    def read_layers(self) -> list[Row]:
        """Return rows {step, tokens, elapsed_s, update_ratio: {layer: ratio}}; ValueError names a damaged file."""
        return read_rows(self.folder / "layers.jsonl", {"step": int, "update_ratio": dict})

    def read_alignment(self) -> list[Row]:
        """Return rows {step, tokens, elapsed_s, is_validation, figures: {name: value}}; ValueError as `read_layers`."""
        return read_rows(self.folder / "alignment.jsonl", {"step": int, "figures": dict})

    def read_accuracy(self) -> list[Row]:
        """Return rows like models.events.AccuracyMeasured; ValueError names a damaged file."""
        return read_rows(self.folder / "accuracy.jsonl", {"step": int, "kinds": list})

    def read_attention(self) -> list[Row]:
        """Return rows {step, prompt, site, ids, weights: H × T × S}; ValueError names a damaged file."""
        return read_rows(self.folder / "attention.jsonl")

    def read_events(self) -> list[Row]:
        """Return rows {time, step, event, detail}; ValueError names a damaged file."""
        return read_rows(self.folder / "events.jsonl", {"step": int, "event": str})

    # The checkpoints (their content: models.training.checkpoint)

    def checkpoint_path(self, step: int) -> Path:
        return self.folder / "checkpoints" / f"step-{step:08d}"

    def checkpoints(self) -> list[Path]:
        """Return all complete checkpoints, the oldest first."""
        found = (self.folder / "checkpoints").glob("step-*")
        return sorted((path for path in found if checkpoint_step(path) >= 0), key=checkpoint_step)

    def latest_checkpoint(self) -> Path | None:
        """Return the newest complete checkpoint, or None if there is none."""
        return next(reversed(self.checkpoints()), None)

    def prune_checkpoints(self, keep: int) -> None:
        """Delete all checkpoints except the last `keep` and the best."""
        for path in self.checkpoints()[:-keep]:
            if checkpoint_step(path) != self.best_step:
                with contextlib.suppress(OSError):  # on Windows, another window is reading it: deleted at the next call
                    remove_folder(path)

    def set_aside(self, checkpoint: Path) -> Path:
        """Rename a damaged checkpoint, so that it is neither loaded nor overwritten."""
        n = 1
        while (aside := checkpoint.with_name(f"damaged-{checkpoint.name}" + (f"-{n}" if n > 1 else ""))).exists():
            n += 1
        replace_path(checkpoint, aside)
        return aside


def rename_run(folder: Path, name: str) -> None:
    """Rename a run; ValueError if it is being trained or no longer exists."""
    run = RunFolder.open(folder)
    run.acquire()
    try:
        run.update(name=name)
    finally:
        run.release()
