"""The engine of the command line: a dedicated thread for generation."""

from __future__ import annotations

import threading

from terrarium.app.serve.endpoint.engine import ScheduledEngine, ServedModel
from terrarium.app.serve.endpoint.scheduler import GenerationTask


class ThreadEngine(ScheduledEngine):
    """Answers with one model until `close`."""

    def __init__(self, served: ServedModel) -> None:
        super().__init__(served)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def submit(self, task: GenerationTask) -> None:
        """Schedule a task."""
        with self._changed:
            self._scheduler.add(task)
            self._changed.notify()

    def close(self, reason: str) -> None:
        """End all tasks and the thread; `reason` is a sentence for the clients."""
        with self._changed:
            self._scheduler.close(reason)
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while len(self._scheduler) or not self._scheduler.closed:
            for _ in self._scheduler.run_slice():
                pass
            with self._changed:
                self._changed.wait_for(lambda: len(self._scheduler) or self._scheduler.closed)
