"""What the logs in a run's folder hold, and what is added to them: read on any thread. No Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from app.session.run_history import RunHistory
from models.files.jsonl import Row
from models.files.log_tail import LogTail
from models.runs.run_folder import LOG_NAMES


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
