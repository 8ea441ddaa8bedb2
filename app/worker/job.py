"""A job for the worker: a generator to drive, with switches that steer it from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from terrarium.models.events import Event

BACKGROUND = "background"
INTERACTIVE = "interactive"


class Job:
    """A generator to drive, with switches that steer it from any thread.

    Args:
        make_events: called on the worker's thread; its result is closed there when the job ends or is cancelled.
        is_step: whether an event ends a step of a background job. Interactive jobs run only between steps, and `step()`
            runs one step.
    """

    def __init__(
        self,
        name: str,
        make_events: Callable[[], Iterator[Event]],
        priority: str = BACKGROUND,
        is_step: Callable[[Event], bool] = lambda event: True,
    ) -> None:
        assert priority in (BACKGROUND, INTERACTIVE), priority
        self.name = name
        self.make_events = make_events
        self.priority = priority
        self.is_step = is_step
        self._cancelled = threading.Event()
        self._steering = threading.Lock()  # guards the three below: both threads write them
        self._paused = False
        self._n_pauses = 0
        self._steps_allowed = 0
        self._wake: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    @property
    def is_waiting(self) -> bool:
        """Whether it is paused: the next event must not be requested yet."""
        with self._steering:
            return self._paused and not self._steps_allowed

    @property
    def n_pauses(self) -> int:
        """How many times `pause` was called."""
        with self._steering:
            return self._n_pauses

    def cancel(self) -> None:
        """Close the generator before its next event."""
        self._cancelled.set()
        self._wake()

    def pause(self) -> None:
        """Request no further event until `resume` or `step`."""
        with self._steering:
            self._paused, self._steps_allowed, self._n_pauses = True, 0, self._n_pauses + 1
        self._wake()

    def resume(self) -> None:
        """Continue after `pause`."""
        with self._steering:
            self._paused = False
        self._wake()

    def step(self) -> None:
        """While paused: run one more step."""
        with self._steering:
            self._steps_allowed += self._paused
        self._wake()

    def on_switch(self, wake: Callable[[], None]) -> None:
        """Worker only: set the function to call whenever a switch is used."""
        self._wake = wake

    def count_event(self, event: Event) -> bool:
        """Worker only: count `event`; returns whether it ended a step."""
        ended = self.is_step(event)
        if ended:
            with self._steering:
                self._steps_allowed = max(0, self._steps_allowed - 1)
        return ended
