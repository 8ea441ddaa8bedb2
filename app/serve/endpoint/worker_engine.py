"""The engine of the window: each turn is one interactive job of its worker, so that chats and a training go on between.

Beside a training whose steps take long a turn is as long as the wait for it was, so that either has half of the time.
Of a model in training the weights change with each step, so a turn lasts until the answer is complete there: as for a
chat, no answer is made of two models.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from app.serve.endpoint.engine import ByTurns, Served
from app.serve.endpoint.turns import TURN_S, Task
from app.worker.job import INTERACTIVE, Job
from models.events import Event

_LONGEST_S = 1.0
"""Longer turns would be felt by who chats in the window."""


class WorkerEngine(ByTurns):
    """Answers with one model on somebody else's thread, to which `submit_job` hands jobs (from any thread)."""

    def __init__(self, served: Served, submit_job: Callable[[Job], object]) -> None:
        super().__init__(served)
        self._submit_job = submit_job
        self._lock = threading.Lock()
        self._has_job = False
        self._asked = 0.0  # when the present job was submitted

    def submit(self, task: Task) -> None:
        """Let the task take its turns with the others."""
        self._turns.add(task)
        self._go_on()

    def close(self, sentence: str) -> None:
        """End what is going on, soon: `sentence` says why."""
        self._turns.close(sentence)
        self._go_on()

    def _go_on(self) -> None:
        """Ask for a turn, unless one is asked for already."""
        with self._lock:
            if self._has_job or not len(self._turns):
                return
            self._has_job, self._asked = True, time.monotonic()
        self._submit_job(Job("Answer", self._take_turn, INTERACTIVE))

    def _take_turn(self) -> Iterator[Event]:
        """The worker's thread: one turn, and ask for the next."""
        waited = time.monotonic() - self._asked
        seconds = None if self._served.in_training else max(TURN_S, min(waited, _LONGEST_S))
        try:
            yield from self._turns.turn(seconds)
        finally:
            with self._lock:
                self._has_job = False
            self._go_on()
