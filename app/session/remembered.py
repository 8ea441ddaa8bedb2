"""Settings that persist between launches, in a JSON file in the library's home that several windows may share."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure, describe
from terrarium.app.worker.notices import Notices
from terrarium.models.files.atomic import atomic_write_json, read_json

FILE_NAME, LOCK_NAME = "settings.json", "settings.lock"
WRITE_AFTER_MS = 300
"""Debounce: how long changes are collected before they are written, in milliseconds."""
_LOCK_TIMEOUT_S = 5.0
SIMPLE, EVERYTHING = "simple", "everything"
_DETAIL = "detail"

_Path = tuple[str, ...]
"""The key of a setting, or its key and the name of one of its entries."""

log = logging.getLogger(__name__)


class Remembered(QObject):
    """Named JSON values, written in the background soon after they change; failures are reported as notices.

    Other windows write to the file, too: a write merges only this window's changes into the current file, and then
    adopts the values of the other windows.

    problem: a sentence if the file was damaged at launch; nothing is written until the file is deleted.
    """

    def __init__(self, home: Path, notices: Notices, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._path, self._notices = home / FILE_NAME, notices
        self._values: dict[str, Any] = {}
        self._changes: dict[_Path, Any] = {}
        """Changes not yet written to the file; None for a removed entry."""
        self._lock = threading.Lock()
        self._task: LatestTask | None = None
        self.problem: str | None = None
        self._timer = QTimer(self, singleShot=True, interval=WRITE_AFTER_MS)
        self._timer.timeout.connect(self._write_in_background)
        try:
            self._values = self._read()
        except ValueError as error:
            self.problem = str(error)
        self._reported = self.problem or ""

    def get(self, key: str, default: Any) -> Any:
        """Return the value of `key`, or the default if it has no value of the default's type."""
        value = self._values.get(key, default)
        return value if default is None or isinstance(value, type(default)) else default

    def set(self, key: str, value: Any) -> None:
        """Save a JSON-serializable value for the next launch."""
        if self._values.get(key) != value:
            self._change((key,), value)

    def set_entry(self, key: str, name: str, value: Any) -> None:
        """Change one entry of a dictionary setting, leaving the others unchanged; None removes it."""
        if self.get(key, {}).get(name) != value:
            self._change((key, name), value)

    def flush(self) -> None:
        """Write all pending changes and wait until they are written. Called when the window closes."""
        self._timer.stop()
        if self._task is not None:
            self._task.wait()
        if self._changes:
            try:
                self._write()
            except (OSError, ValueError) as error:
                log.warning("The settings could not be written: %s", describe(error).details)

    def _change(self, path: _Path, value: Any) -> None:
        with self._lock:
            for other in [other for other in self._changes if other[: len(path)] == path]:
                del self._changes[other]
            self._changes[path] = value
            self._values = _merged(self._values, {path: value})
        if not self._timer.isActive():
            self._timer.start()

    @Slot()
    def _write_in_background(self) -> None:
        if self._task is None:
            self._task = LatestTask(self)
            self._task.done.connect(self._on_written)
            self._task.failed.connect(self._on_failed)
        if self._task.busy:
            self._timer.start()
        else:
            self._task.ask(self._write)

    def _read(self) -> dict[str, Any]:
        try:
            return read_json(self._path) if self._path.exists() else {}
        except ValueError as error:
            raise ValueError(
                f"{error} Delete it to start with fresh settings; until then no settings are saved."
            ) from error

    def _write(self) -> None:
        """Merge the changes into the file, and adopt the values that other windows wrote. May run on any thread."""
        with self._lock:
            changes = dict(self._changes)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_name(LOCK_NAME), timeout=_LOCK_TIMEOUT_S):
            values = _merged(self._read(), changes)
            atomic_write_json(self._path, values)
        with self._lock:
            for path, value in changes.items():
                if path in self._changes and self._changes[path] is value:
                    del self._changes[path]
            self._values = _merged(values, self._changes)

    @Slot()
    def _on_written(self) -> None:
        self._reported = ""

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        """Report a failure once; the changes are written with the next change."""
        if failure.sentence != self._reported:
            self._reported = failure.sentence
            self._notices.fail(failure)


class Detail(QObject):
    """The level of detail of the window: only what newcomers need, or everything (the default).

    Signals:
        changed(): the level has changed.
    """

    changed = Signal()

    def __init__(self, remembered: Remembered, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._remembered = remembered

    @property
    def level(self) -> str:
        """SIMPLE or EVERYTHING."""
        return SIMPLE if self._remembered.get(_DETAIL, "") == SIMPLE else EVERYTHING

    @property
    def is_simple(self) -> bool:
        """Whether only what newcomers need is shown, with the rest one click away."""
        return self.level == SIMPLE

    @property
    def is_chosen(self) -> bool:
        """Whether the user has chosen a level, in this or an earlier launch."""
        return self._remembered.get(_DETAIL, "") in (SIMPLE, EVERYTHING)

    def choose(self, level: str) -> None:
        """Show SIMPLE or EVERYTHING from now on."""
        assert level in (SIMPLE, EVERYTHING), level
        was = self.level
        self._remembered.set(_DETAIL, level)
        if level != was:
            self.changed.emit()


def _merged(values: Mapping[str, Any], changes: Mapping[_Path, Any]) -> dict[str, Any]:
    """Return the values with the changes applied; no dictionary is changed in place."""
    merged = dict(values)
    for (key, *name), value in changes.items():
        if not name:
            merged[key] = value
            continue
        entries = merged.get(key)
        entries = dict(entries) if isinstance(entries, dict) else {}
        if value is None:
            entries.pop(name[0], None)
        else:
            entries[name[0]] = value
        merged[key] = entries
    return merged
