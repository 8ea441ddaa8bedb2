"""The run's own clock, which counts only the time spent training, not the time its caller spends between events."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing

from terrarium.models.events import Event


class Clock:
    """Counts the seconds between `start` and `stop`, added to those of earlier sessions."""

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Seconds counted so far."""
        return self._before if self._started is None else self._before + time.perf_counter() - self._started

    def set(self, seconds: float) -> None:
        """Continue counting from `seconds`."""
        self._before = seconds
        if self._started is not None:
            self._started = time.perf_counter()

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        self._before, self._started = self.seconds, None

    def drive(self, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
        """Yield `events`; the clock runs only while an event is being produced."""
        with closing(events):
            self.start()
            for event in events:
                self.stop()
                yield event
                self.start()
            self.stop()


class EtaEstimator:
    """Estimates the remaining seconds from this session's steps, except the first, which includes warm-up.

    After the first step, it uses the average of the whole run, earlier sessions included.
    """

    def __init__(self, seconds: float, step: int) -> None:
        self._since, self._step, self._first = seconds, step, step + 1

    def seconds_left(self, seconds: float, step: int, total_steps: int) -> float:
        """Return the estimated seconds for the steps after `step`, at the average speed so far."""
        if step == self._first:
            self._since, self._step = seconds, step
            return seconds / step * (total_steps - step)
        return (seconds - self._since) / (step - self._step) * (total_steps - step)
