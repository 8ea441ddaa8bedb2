"""From other threads to the window's: objects posted often are delivered in batches, in order."""

from __future__ import annotations

import threading
import time
from typing import Any

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

INTERVAL_S = 1 / 30
"""Measured: 30 signals per training step halve its speed."""


class Mailbox(QObject):
    """Takes objects from any thread and delivers them on its own, at most once per INTERVAL_S unless urgent.

    Signals:
        received(mail): a list of the posted objects, in order.
    """

    received = Signal(object)
    _posted = Signal(bool)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._mail: list[Any] = []
        self._closed = False
        self._last = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.deliver)
        self._posted.connect(self._on_posted, Qt.ConnectionType.QueuedConnection)

    def post(self, mail: object, *, at_once: bool = False) -> None:
        """Any thread: post an object. `at_once`: deliver it, and all before it, as soon as the event loop runs."""
        with self._lock:  # also while emitting, so that no thread does after `close`
            if self._closed:
                return
            was_empty = not self._mail
            self._mail.append(mail)
            if was_empty or at_once:
                self._posted.emit(at_once)

    def close(self) -> None:
        """Drop the undelivered objects, and all that are posted from now on."""
        with self._lock:
            self._closed, self._mail = True, []
        self._timer.stop()

    @Slot()
    def deliver(self) -> None:
        """Deliver everything posted since the last delivery."""
        with self._lock:
            mail, self._mail = self._mail, []
        self._last = time.monotonic()
        if mail:
            self.received.emit(mail)

    @Slot(bool)
    def _on_posted(self, at_once: bool) -> None:
        wait = 0.0 if at_once else self._last + INTERVAL_S - time.monotonic()
        if wait <= 0:
            self.deliver()
        elif not self._timer.isActive():
            self._timer.start(int(wait * 1000) + 1)
