"""Answers that are made at the same time: each is a generator, and they are driven by turns, the oldest first.

A turn lasts TURN_S at most. Then the next one goes on, and the first waits at the end of the line: whoever asks for a
few words is not held up by somebody who asks for thousands, and nobody waits for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from app.serve.endpoint.errors import ModelGoneError
from models.events import Event

log = logging.getLogger(__name__)

TURN_S = 0.25
"""Long beside what a change of turns costs, short beside what somebody at a window notices as waiting."""


class Task:
    """One answer to make.

    Args:
        make: called where models compute, at its first turn; its generator is closed there, too.
        post: called on that thread with each event, and at the end with None, or with the exception that ended it.
    """

    def __init__(self, make: Callable[[], Iterator[Event]], post: Callable[[Event | Exception | None], None]) -> None:
        self._make, self._post = make, post
        self._cancelled = threading.Event()
        self._events: Iterator[Event] | None = None
        self._ended = False

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Any thread: make nothing more of it."""
        self._cancelled.set()

    def advance(self) -> Event | None:
        """Make and post its next event, and return it; None at its end."""
        try:
            if self._events is None:
                self._events = iter(self._make())
            event = next(self._events, None)
        except Exception as error:  # whatever it is, it is this answer's alone
            log.exception("An answer failed")
            self.end(error)
            return None
        if event is None:
            self.end()
        else:
            self._post(event)
        return event

    def end(self, reason: Exception | None = None) -> None:
        """Close its generator, and post why; once."""
        if self._ended:
            return
        self._ended = True
        close = getattr(self._events, "close", None)
        if close is not None:
            close()
        self._post(reason)


class Turns:
    """The line of the tasks. Any thread adds to it and closes it; the one where models compute takes turns from it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line: deque[Task] = deque()
        self._closed = ""

    def __len__(self) -> int:
        """How many wait for a turn."""
        return len(self._line)

    @property
    def closed(self) -> str:
        """Why nothing is answered any more; empty while it is."""
        return self._closed

    def close(self, sentence: str) -> None:
        """Let the tasks end at their next event or turn; `sentence` says why."""
        self._closed = sentence

    def add(self, task: Task) -> None:
        """Put it at the end of the line."""
        with self._lock:
            self._line.append(task)

    def turn(self, seconds: float | None = TURN_S) -> Iterator[Event]:
        """The events of one turn, which ends early where its task does; None: it lasts until then.

        Closing this generator ends its task.
        """
        task = self._next()
        if task is None:
            return
        until = float("inf") if seconds is None else time.monotonic() + seconds
        goes_on = False
        try:
            while not task.cancelled and not self._closed and (event := task.advance()) is not None:
                yield event
                if time.monotonic() >= until:
                    goes_on = True
                    break
        finally:
            if goes_on:
                self.add(task)
            else:
                task.end(ModelGoneError(self._closed or "Terrarium is closing, so it answers nothing more."))

    def _next(self) -> Task | None:
        """Take the first who still wants something; those who do not, or get nothing any more, are ended."""
        with self._lock:
            gone = [task for task in self._line if task.cancelled or self._closed]
            kept = deque(task for task in self._line if task not in gone)
            first = kept.popleft() if kept else None
            self._line = kept
        for task in gone:
            task.end(ModelGoneError(self._closed))
        return first
