"""Follows in the background the logs of a run that is idle or that another process trains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.session.run_history import RunHistory
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.files.jsonl import Row
from terrarium.models.files.log_tail import LogTail
from terrarium.models.runs.curve_index import AT_ONCE, CurveIndex

_POLL_MS, _DAMAGED_POLL_MS, _BEHIND_POLL_MS = 1000, 10_000, 0
"""Milliseconds between polls: usually; with a damaged log, since each poll rereads everything; and while a long log
without an index is read in parts."""


class RunFollower(QObject):
    """Keeps a history up to date with the logs of a run: reads them fully, then polls for new rows.

    Signals:
        loaded(): the history was read completely for the first time.
        appended(): the history has changed, or its problem has.
        failed(sentence): a log is damaged or cannot be read; emitted once per problem.
    """

    loaded = Signal()
    appended = Signal()
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._history = RunHistory()
        self._reader: RunReader | None = None
        self._is_loaded = False
        self._task = LatestTask(self)
        self._task.done.connect(self._on_read)
        self._task.failed.connect(self._on_failed)
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self.poll)

    @property
    def is_loaded(self) -> bool:
        """Whether the history has been read completely at least once."""
        return self._is_loaded

    @property
    def is_following(self) -> bool:
        """Whether a folder is being followed."""
        return self._reader is not None

    def follow(self, folder: Path, history: RunHistory) -> None:
        """Replace the content of `history` by the logs in `folder`, and update it until `stop`."""
        self.stop()
        self._history, self._reader = history, RunReader(folder)
        history.is_loading, history.problem = True, ""
        self._poll.start(_POLL_MS)
        self.poll()

    def stop(self) -> None:
        """Stop following; the history is unchanged."""
        self._poll.stop()
        self._task.cancel()
        self._reader, self._is_loaded = None, False

    @Slot()
    def poll(self) -> None:
        """Read appended rows in the background, unless a read is in progress."""
        reader = self._reader
        if reader is not None and not self._task.busy:
            self._task.ask(lambda: (reader, _advance(reader)))

    @Slot(object)
    def _on_read(self, result: tuple[RunReader, LogUpdate | str]) -> None:
        reader, growth = result
        if reader is not self._reader:
            return
        self._history.is_loading = not isinstance(growth, str) and growth.is_behind
        if isinstance(growth, str):
            self._on_problem(growth)
            return
        self._poll.setInterval(_BEHIND_POLL_MS if growth.is_behind else _POLL_MS)
        self._history.problem = ""
        changed = growth.add_to(self._history)
        if not self._is_loaded and not growth.is_behind:
            self._is_loaded = True
            self.loaded.emit()
        elif changed:
            self.appended.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._history.is_loading = False
        self._on_problem(failure.sentence)

    def _on_problem(self, sentence: str) -> None:
        self._poll.setInterval(_DAMAGED_POLL_MS)
        if sentence != self._history.problem:
            self._history.problem = sentence
            self.failed.emit(sentence)
            self.appended.emit()


def _advance(reader: RunReader) -> LogUpdate | str:
    """Return the update, or a sentence about a damaged log: an exception would be logged at every poll."""
    try:
        return reader.advance()
    except ValueError as error:
        return str(error)


@dataclass(frozen=True, eq=False)
class LogUpdate:
    """The result of a read.

    full: a history that replaces the previous one, or None. rows: the rows appended to each log. is_behind: whether
    more remains to be read.
    """

    full: RunHistory | None
    rows: dict[str, Sequence[Row]]
    is_behind: bool = False

    def add_to(self, history: RunHistory) -> bool:
        """Apply the update to `history`; return whether it changed."""
        if self.full is not None:
            history.replace_with(self.full)
        for log, rows in self.rows.items():
            history.take(log, rows)
        return self.full is not None or bool(self.rows)


class RunReader:
    """Reads the logs of a run: completely at first and after a resume has truncated one, else only appended rows."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = CurveIndex(folder)
        self._tails: dict[str, LogTail] = {}

    def advance(self) -> LogUpdate:
        """Return the update since the last call.

        Raises:
            ValueError: if a file is damaged; the message names the problem. The next call rereads everything.
        """
        try:
            if not self._tails or any(tail.was_replaced() for tail in self._tails.values()):
                return self._read_all()
            added = {log: tail.rows() for log, tail in self._tails.items()}
        except ValueError:
            self._tails.clear()
            raise
        return LogUpdate(None, {log: rows for log, rows in added.items() if rows})

    def _read_all(self) -> LogUpdate:
        self._tails.clear()
        curve, history = self._index.read(AT_ONCE), RunHistory()
        tails = history.begin(self.folder, curve)
        if not curve.is_behind:
            self._tails = {tail.path.stem: tail for tail in tails}
            for log, tail in self._tails.items():
                for rows in tail.blocks():
                    history.take(log, rows)
        return LogUpdate(history, {}, curve.is_behind)
