"""From the worker's thread to the window's: what is posted often is handed over seldom, in order."""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from app.worker.job import Job

INTERVAL_S = 1 / 30
"""Measured: 30 signals for each training step halve its speed."""


class Mail(NamedTuple):
    """Something that happened to a job (None: to no job), named as the worker's signal that tells of it."""

    signal: str
    job: Job | None
    payload: tuple[object, ...] = ()


class Mailbox(QObject):
    """Takes mail from any thread and hands it over on its own, at most once in INTERVAL_S.

    Signals:
        came(mail): a list of Mail, in the order in which it was posted.
    """

    came = Signal(object)
    _posted = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._mail: list[Mail] = []
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.deliver)
        self._posted.connect(self._on_posted, Qt.ConnectionType.QueuedConnection)

    def post(self, mail: Mail) -> None:
        """Any thread: put it in."""
        with self._lock:
            was_empty = not self._mail
            self._mail.append(mail)
        if was_empty:
            self._posted.emit()

    @Slot()
    def deliver(self) -> None:
        """Hand over what has come since the last time."""
        with self._lock:
            mail, self._mail = self._mail, []
        self._last = time.monotonic()
        if mail:
            self.came.emit(mail)

    @Slot()
    def _on_posted(self) -> None:
        if self._timer.isActive():
            return
        wait = self._last + INTERVAL_S - time.monotonic()
        if wait > 0:
            self._timer.start(int(wait * 1000) + 1)
        else:
            self.deliver()
