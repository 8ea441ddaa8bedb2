"""The engine of the window: each time slice is an interactive job of its worker, so chat and training run in between.

During a training with long steps, a slice lasts as long as it waited, so that both get half of the time. The weights of
a model in training change at every step, so its slice lasts until the answer is complete: as in a chat, no answer mixes
the weights of two steps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from terrarium.app.serve.endpoint.engine import ScheduledEngine, ServedModel
from terrarium.app.serve.endpoint.scheduler import TIME_SLICE_S, GenerationTask
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.models.events import Event

_MAX_SLICE_S = 1.0
"""The maximum slice in seconds: a longer one would be noticeable in a chat."""


class WorkerEngine(ScheduledEngine):
    """Answers with one model on the thread that runs the jobs passed to `submit_job`, a thread-safe callable."""

    def __init__(self, served: ServedModel, submit_job: Callable[[Job], object]) -> None:
        super().__init__(served)
        self._submit_job = submit_job
        self._lock = threading.Lock()
        self._has_job = False
        self._submitted_at = 0.0  # the time at which the current job was submitted

    def submit(self, task: GenerationTask) -> None:
        """Schedule a task."""
        self._scheduler.add(task)
        self._request_slice()

    def close(self, reason: str) -> None:
        """End all tasks soon; `reason` is a sentence for the clients."""
        self._scheduler.close(reason)
        self._request_slice()

    def _request_slice(self) -> None:
        """Submit a job for the next slice, unless one is pending."""
        with self._lock:
            if self._has_job or not len(self._scheduler):
                return
            self._has_job, self._submitted_at = True, time.monotonic()
        self._submit_job(Job("Answer", self._run_slice, INTERACTIVE))

    def _run_slice(self) -> Iterator[Event]:
        """Run one slice on the worker thread, and request the next."""
        waited = time.monotonic() - self._submitted_at
        seconds = None if self._served.in_training else max(TIME_SLICE_S, min(waited, _MAX_SLICE_S))
        try:
            yield from self._scheduler.run_slice(seconds)
        finally:
            with self._lock:
                self._has_job = False
            self._request_slice()
