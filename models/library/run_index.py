"""A cached list of runs; only runs whose files changed are read again. No torch import."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock

from terrarium.models.library.lowest_loss import LowestLoss, find_lowest_loss
from terrarium.models.library.run_record import MARK_FILE, RunInfo, inspect_run, listed_status

_WATCHED = ("run.json", "metrics.jsonl", "notes.json", "tokenizer.json", "checkpoints", MARK_FILE)
_RECORDED_STATUS = {"running": "running", "interrupted": "running", "queued": "queued", "preparing": "queued"}
"""The status in run.json of runs whose shown status depends on the lock."""

_MANY = 200
_BEFORE_A_BREAK, _BREAK_S = 64, 0.001

Stamp = tuple[tuple[int, int, int] | None, ...]
"""(mtime, size, inode) of each watched file, None if missing; all three, since two quick changes may share an mtime."""


@dataclass
class _Known:
    """The cache entry of a run, with the stamps of its files when it was read and measured."""

    stamp: Stamp
    info: RunInfo
    measured: Stamp = ()
    lowest: LowestLoss = field(default_factory=LowestLoss)


class RunIndex:
    """Caches the runs of a folder. `refresh` is cheap, `measure` reads more; both may run at the same time."""

    def __init__(self, runs: Path) -> None:
        self._runs = runs
        self._known: dict[str, _Known] = {}
        self._lock = Lock()

    def refresh(self, *, gives_way: bool = False) -> list[RunInfo]:
        """Return all runs, newest first; best loss and size are as last measured.

        gives_way: sleep periodically to yield to other threads, which a thread with frequent file system calls would
        otherwise starve.
        """
        with self._lock:
            before = set(self._known)
        there = set[str]()
        for name, stamp in self._stamps():
            if gives_way and len(there) % _BEFORE_A_BREAK == 0:
                time.sleep(_BREAK_S)
            with self._lock:  # released after each run, so that `find` on the window's thread does not wait for all
                self._seen(name, stamp)
            there.add(name)
        with self._lock:
            for gone in before - there:  # not all absent names: `find` may have added a newer run during this scan
                self._known.pop(gone, None)
        return self.infos()

    def _seen(self, name: str, stamp: Stamp) -> _Known:
        """Return the cache entry of a run, updated. The caller must hold the lock."""
        entry = self._known.get(name)
        if entry is None:
            entry = self._known[name] = _Known(stamp, inspect_run(self._runs / name))
        elif entry.stamp != stamp:
            seen = inspect_run(self._runs / name)
            before = entry.info
            entry.info = replace(
                seen, best_loss=before.best_loss, best_metric=before.best_metric, size_bytes=before.size_bytes
            )
            entry.stamp = stamp
        elif entry.info.status in _RECORDED_STATUS:
            entry.info = replace(entry.info, status=_status_now(entry.info))
        return entry

    def find(self, run_id: str) -> RunInfo:
        """Return the run with an id; ValueError if it is missing."""
        folder = self._runs / run_id
        if run_id and folder.parent == self._runs and folder.is_dir():  # the usual place, unless the folder was renamed
            with self._lock:
                entry = self._seen(folder.name, _stamps(str(folder)))
            if entry.info.id == run_id:
                return entry.info
        for info in self.refresh():
            if info.id == run_id:
                return info
        raise ValueError("This run is no longer in the library: it may have been moved or deleted.")

    @property
    def is_large(self) -> bool:
        """Whether there are so many runs that merely detecting changes takes a while."""
        return len(self._known) > _MANY

    def infos(self) -> list[RunInfo]:
        """Return the cached runs, the newest first."""
        with self._lock:
            infos = [entry.info for entry in self._known.values()]
        return sorted(infos, key=lambda info: (info.created, info.id), reverse=True)

    def n_unseen(self, at_most: int) -> int:
        """Return the number of runs that `refresh` would read, counted up to `at_most`."""
        n = 0
        for name, stamp in self._stamps():
            entry = self._known.get(name)
            n += entry is None or entry.stamp != stamp
            if n >= at_most:
                break
        return n

    def measure(self) -> Iterator[RunInfo]:
        """Measure the best loss and the size on disk of each run that changed since it was measured, newest first.

        Yields each measured run.
        """
        with self._lock:
            stale = [entry for entry in self._known.values() if entry.measured != entry.stamp]
        for entry in sorted(stale, key=lambda entry: entry.info.created, reverse=True):
            stamp = entry.stamp
            entry.lowest = find_lowest_loss(entry.info.folder, entry.lowest)
            size = size_on_disk(entry.info.folder)
            with self._lock:
                entry.info = replace(
                    entry.info, best_loss=entry.lowest.loss, best_metric=entry.lowest.metric, size_bytes=size
                )
                entry.measured = stamp
            yield entry.info

    def _stamps(self) -> Iterator[tuple[str, Stamp]]:
        """Yield the folder name and the stamp of each run. Uses strings, since creating Paths would double the time."""
        try:
            names = sorted(entry.name for entry in os.scandir(self._runs) if entry.is_dir())
        except OSError:  # the folder does not exist yet, or cannot be read
            return
        for name in names:
            if not name.startswith("."):
                yield name, _stamps(f"{self._runs}{os.sep}{name}")


def _stamps(folder: str) -> Stamp:
    return tuple(_stamp(f"{folder}{os.sep}{file}") for file in _WATCHED)


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        there = os.stat(path)
    except OSError:
        return None
    return there.st_mtime_ns, there.st_size, there.st_ino


def _status_now(info: RunInfo) -> str:
    try:
        return listed_status(info.folder, _RECORDED_STATUS[info.status])
    except ValueError:  # the run was just deleted: the next refresh drops it
        return info.status


def size_on_disk(folder: Path) -> int:
    """Compute the total size of all files below `folder` in bytes; files deleted during the scan do not count."""
    total = 0
    for where, _, files in os.walk(folder):
        for file in files:
            there = _stamp(os.path.join(where, file))
            total += there[1] if there is not None else 0
    return total
