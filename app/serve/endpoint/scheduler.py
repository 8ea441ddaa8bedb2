"""Round-robin scheduling of answers: each is a generator that runs for one time slice at a time.

After at most TIME_SLICE_S, a task goes to the end of the queue. So a short answer does not wait for a long one, and no
task starves.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from terrarium.app.serve.endpoint.errors import ModelGoneError
from terrarium.models.events import Event

log = logging.getLogger(__name__)

TIME_SLICE_S = 0.25
"""In seconds: long compared with the cost of switching tasks, short compared with a noticeable wait."""


class GenerationTask:
    """A text to generate.

    Args:
        make: called on the model's thread in the first slice; its generator is closed there, too.
        post: called on that thread with each event, and at the end with None or the exception that ended it.
    """

    def __init__(self, make: Callable[[], Iterator[Event]], post: Callable[[Event | Exception | None], None]) -> None:
        self._make, self._post = make, post
        self._cancelled = threading.Event()
        self._events: Iterator[Event] | None = None
        self._ended = False

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop generating the text. Thread-safe."""
        self._cancelled.set()

    def advance(self) -> Event | None:
        """Produce, post and return the next event; None at the end."""
        try:
            if self._events is None:
                self._events = iter(self._make())
            event = next(self._events, None)
        except Exception as error:  # any error fails this answer only
            log.exception("An answer failed")
            self.end(error)
            return None
        if event is None:
            self.end()
        else:
            self._post(event)
        return event

    def end(self, reason: Exception | None = None) -> None:
        """Close the generator and post `reason`, on the first call only."""
        if self._ended:
            return
        self._ended = True
        close = getattr(self._events, "close", None)
        if close is not None:
            close()
        self._post(reason)


class RoundRobinScheduler:
    """A queue of tasks. Any thread may add tasks or close the queue; the model's thread runs the slices."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[GenerationTask] = deque()
        self._closed = ""

    def __len__(self) -> int:
        """Return the number of queued tasks."""
        return len(self._queue)

    @property
    def closed(self) -> str:
        """Why the scheduler was closed; "" while it is open."""
        return self._closed

    def close(self, reason: str) -> None:
        """End all tasks at their next event or slice; `reason` is a sentence for the clients."""
        self._closed = reason

    def add(self, task: GenerationTask) -> None:
        """Put a task at the end of the queue."""
        with self._lock:
            self._queue.append(task)

    def run_slice(self, seconds: float | None = TIME_SLICE_S) -> Iterator[Event]:
        """Run the next task for `seconds` (None: until it ends), and yield its events.

        Closing this generator ends the task.
        """
        task = self._next()
        if task is None:
            return
        until = float("inf") if seconds is None else time.monotonic() + seconds
        unfinished = False
        try:
            while not task.cancelled and not self._closed and (event := task.advance()) is not None:
                yield event
                if time.monotonic() >= until:
                    unfinished = True
                    break
        finally:
            if unfinished:
                self.add(task)
            else:
                task.end(ModelGoneError(self._closed or "Terrarium is closing."))

    def _next(self) -> GenerationTask | None:
        """Take the first task that is not cancelled; end the cancelled ones, or all if the scheduler is closed."""
        with self._lock:
            gone = [task for task in self._queue if task.cancelled or self._closed]
            kept = deque(task for task in self._queue if task not in gone)
            first = kept.popleft() if kept else None
            self._queue = kept
        for task in gone:
            task.end(ModelGoneError(self._closed))
        return first
