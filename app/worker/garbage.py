"""Collects reference cycles on the window's thread only.

Python collects them on whichever thread happens to allocate. On the worker's thread this would destroy Qt objects of
the window, which Qt forbids and which can deadlock: the worker waits for the GIL in a destructor that holds one of Qt's
locks, while the window's thread holds the GIL and waits for that lock (this has happened).
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer, Slot

_INTERVAL_MS = 500


class MainThreadCollector(QObject):
    """Replaces Python's automatic garbage collection, until `close`."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        gc.disable()
        self._timer = QTimer(self)
        self._timer.setInterval(_INTERVAL_MS)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def close(self) -> None:
        """Turn automatic collection on again; call it when the other threads have ended."""
        self._timer.stop()
        gc.unfreeze()
        gc.enable()

    @Slot()
    def _collect(self) -> None:
        """Collect the oldest generation that is due by Python's thresholds."""
        counts, thresholds = gc.get_count(), gc.get_threshold()
        due = [age for age in range(3) if counts[age] > thresholds[age] > 0]
        if due:
            gc.collect(due[-1])
