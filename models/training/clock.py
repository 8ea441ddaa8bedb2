"""The run's own clock, which stands still while whoever drives the run is busy with something else."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing

from models.events import Event


class Clock:
    """Counts seconds between `start` and `stop`, from where an earlier session ended."""

    def __init__(self) -> None:
        self._before = 0.0
        self._started: float | None = None

    @property
    def seconds(self) -> float:
        """Counted so far."""
        return self._before if self._started is None else self._before + time.perf_counter() - self._started

    def set(self, seconds: float) -> None:
        """Go on from `seconds`."""
        self._before = seconds
        if self._started is not None:
            self._started = time.perf_counter()

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        self._before, self._started = self.seconds, None

    def drive(self, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
        """The same events; runs only while they are being made."""
        with closing(events):
            self.start()
            for event in events:
                self.stop()
                yield event
                self.start()
            self.stop()


class EtaEstimator:
    """Estimates the seconds left from the steps of this session; the first is left out, since it warms up.

    Until there is a second one, the run's own average counts, earlier sessions included.
    """

    def __init__(self, seconds: float, step: int) -> None:
        self._since, self._step, self._first = seconds, step, step + 1

    def seconds_left(self, seconds: float, step: int, total_steps: int) -> float:
        """How long the steps after `step` take if they go on as on average so far."""
        if step == self._first:
            self._since, self._step = seconds, step
            return seconds / step * (total_steps - step)
        return (seconds - self._since) / (step - self._step) * (total_steps - step)
