"""A run that another process writes, or that rests, read beside the window and followed while it grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.session.run_history import RunHistory
from app.worker.background import LatestTask
from app.worker.failures import Failure
from models.files.jsonl import Row
from models.files.log_tail import LogTail
from models.runs.run_folder import LOG_NAMES

_POLL_MS, _DAMAGED_POLL_MS = 1000, 10_000
"""How often a folder is looked at; one with a damaged log is read from the beginning each time."""


class RunFollower(QObject):
    """Keeps a history equal to the logs in a run's folder: reads all of them, then what is added, once a second.

    Signals:
        loaded(): the history holds for the first time what the folder does.
        grew(): the history holds more, or other things, than before; a problem is one.
        failed(sentence): a log is damaged or cannot be read; said once until it can be.
    """

    loaded = Signal()
    grew = Signal()
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
        self._poll.timeout.connect(self.look)

    @property
    def is_loaded(self) -> bool:
        """Whether the history holds what was in the folder when it was last read."""
        return self._is_loaded

    @property
    def is_following(self) -> bool:
        """Whether there is a folder that is followed."""
        return self._reader is not None

    def follow(self, folder: Path, history: RunHistory) -> None:
        """Let `history` hold what `folder` does, whatever it held before, and go on with that until `stop`."""
        self.stop()
        self._history, self._reader = history, RunReader(folder)
        history.is_loading, history.problem = True, ""
        self._poll.start(_POLL_MS)
        self.look()

    def stop(self) -> None:
        """Leave the history as it is."""
        self._poll.stop()
        self._task.cancel()
        self._reader, self._is_loaded = None, False

    @Slot()
    def look(self) -> None:
        """Read now what was added; nothing happens while that is being done."""
        reader = self._reader
        if reader is not None and not self._task.busy:
            self._task.ask(lambda: (reader, _advance(reader)))

    @Slot(object)
    def _on_read(self, result: tuple[RunReader, Growth | str]) -> None:
        reader, growth = result
        if reader is not self._reader:
            return
        self._history.is_loading = False
        if isinstance(growth, str):
            self._on_problem(growth)
            return
        self._poll.setInterval(_POLL_MS)
        self._history.problem = ""
        changed = growth.add_to(self._history)
        if not self._is_loaded:
            self._is_loaded = True
            self.loaded.emit()
        elif changed:
            self.grew.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._history.is_loading = False
        self._on_problem(failure.sentence)

    def _on_problem(self, sentence: str) -> None:
        self._poll.setInterval(_DAMAGED_POLL_MS)
        if sentence != self._history.problem:
            self._history.problem = sentence
            self.failed.emit(sentence)
            self.grew.emit()


def _advance(reader: RunReader) -> Growth | str:
    """What is new, or what is damaged: that is no failure of this program, which its log would tell again and again."""
    try:
        return reader.advance()
    except ValueError as error:
        return str(error)


@dataclass(frozen=True, eq=False)
class Growth:
    """What was read: a history of its own, where all of it is new, or the rows that were added to each log."""

    anew: RunHistory | None
    rows: dict[str, Sequence[Row]]

    def add_to(self, history: RunHistory) -> bool:
        """Let `history`, which holds what was read before, hold this too; whether that changes anything."""
        if self.anew is not None:
            history.become(self.anew)
        for log, rows in self.rows.items():
            history.take(log, rows)
        return self.anew is not None or bool(self.rows)


class RunReader:
    """Reads the logs of one run. The first time, and after a resume has cut one of them, it reads all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._tails: dict[str, LogTail] = {}

    def advance(self) -> Growth:
        """What is new since the last call; ValueError names a damaged file, and then the next call reads all again."""
        try:
            if not self._tails or any(tail.was_replaced() for tail in self._tails.values()):
                return Growth(self._read_all(), {})
            added = {log: tail.rows() for log, tail in self._tails.items()}
        except ValueError:
            self._tails.clear()
            raise
        return Growth(None, {log: rows for log, rows in added.items() if rows})

    def _read_all(self) -> RunHistory:
        self._tails = {log: LogTail(self.folder / f"{log}.jsonl") for log in LOG_NAMES}
        history = RunHistory()
        for log, tail in self._tails.items():
            for rows in tail.blocks():
                history.take(log, rows)
        return history
