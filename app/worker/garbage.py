"""Collects reference cycles on the window's thread only.

Python collects them on whichever thread happens to allocate. On the worker's thread this would destroy Qt objects of
the window, which Qt forbids and which can deadlock: the worker waits for the GIL in a destructor that holds one of Qt's
locks, while the window's thread holds the GIL and waits for that lock (this has happened).
"""

from __future__ import annotations

import gc

from PySide6.QtCore import QObject, QTimer, Slot

_INTERVAL_MS = 500


def due_generation(
    counts: tuple[int, int, int], thresholds: tuple[int, int, int], pending: int, total: int
) -> int | None:
    """Return the generation that Python itself would collect now, or None.

    A full collection runs only if the objects that have become old since the last one, `pending`, exceed a
    quarter of the `total` that was left then, so that this takes a constant share of the time however many there are.
    Python 3.14 has no oldest generation (its threshold is 0): it collects the young ones with a part of all others.
    """
    if thresholds[2] == 0:
        return 1 if counts[0] > thresholds[0] > 0 else None
    due = [age for age in range(3) if counts[age] > thresholds[age] > 0]
    if due and due[-1] == 2 and 4 * pending <= total:
        due.pop()
    return due[-1] if due else None


class MainThreadCollector(QObject):
    """Replaces Python's automatic garbage collection, until `close`."""

    def __init__(self, parent: QObject, interval_ms: int = _INTERVAL_MS) -> None:
        super().__init__(parent)
        gc.disable()
        self._pending = self._total = 0
        self._timer = QTimer(self)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._collect)
        self._timer.start()

    def close(self) -> None:
        """Turn automatic collection on again; call it when the other threads have ended."""
        self._timer.stop()
        gc.unfreeze()
        gc.enable()

    @Slot()
    def _collect(self) -> None:
        """Collect the generation that is due."""
        thresholds = gc.get_threshold()
        age = due_generation(gc.get_count(), thresholds, self._pending, self._total)
        if age is None:
            return
        young = sum(len(gc.get_objects(generation=each)) for each in (0, 1)) if age == 1 and thresholds[2] else 0
        n_garbage = gc.collect(age)
        if age == 1:
            self._pending += max(0, young - n_garbage)
        elif age == 2:
            self._pending, self._total = 0, len(gc.get_objects(generation=2))
