"""Measures the load of other programs on this computer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from terrarium.models.number_words import format_percent


@dataclass(frozen=True)
class Times:
    """Processor seconds of all cores: in total, busy, and those of this process and its children."""

    total: float
    busy: float
    own: float


class ComputerLoad:
    """Measures the share of the processor time that other programs use."""

    def __init__(self, read: Callable[[], Times] | None = None) -> None:
        self._read = read or read_times
        self._before = self._read()

    def measure(self) -> float | None:
        """Return the share since the last call, from 0 to 1, or None if no time has passed."""
        before, self._before = self._before, self._read()
        total = self._before.total - before.total
        if total <= 0:
            return None
        others = (self._before.busy - before.busy) - (self._before.own - before.own)
        return min(max(others / total, 0.0), 1.0)


def read_times() -> Times:
    """Return the processor times of now: about 10 ms on a computer with some hundred processes.

    On Windows and macOS, a child process that has ended no longer counts as ours.
    """
    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # user and nice include these
    idle = times.idle + getattr(times, "iowait", 0.0)
    process, own = psutil.Process(), 0.0
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # the process has just ended
            spent = each.cpu_times()
            own += spent.user + spent.system + spent.children_user + spent.children_system
    return Times(total=total, busy=total - idle, own=own)


def describe_load(share: float | None) -> str:
    """Describe the load of other programs as a clause; "" if they use less than half of the computer."""
    if share is None or share < 0.5:
        return ""
    return f"other programs use {format_percent(share)} of this computer"
