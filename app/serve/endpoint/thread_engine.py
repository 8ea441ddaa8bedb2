"""The engine of the command line: one thread of its own that does nothing but answer."""

from __future__ import annotations

import threading

from app.serve.endpoint.engine import ByTurns, Served
from app.serve.endpoint.turns import Task


class ThreadEngine(ByTurns):
    """Answers with one model, from its making until `close`."""

    def __init__(self, served: Served) -> None:
        super().__init__(served)
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="answers", daemon=True)
        self._thread.start()

    def submit(self, task: Task) -> None:
        """Let the task take its turns with the others."""
        with self._changed:
            self._turns.add(task)
            self._changed.notify()

    def close(self, sentence: str) -> None:
        """End what is going on, and the thread; `sentence` says why."""
        with self._changed:
            self._turns.close(sentence)
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while len(self._turns) or not self._turns.closed:
            for _ in self._turns.turn():
                pass
            with self._changed:
                self._changed.wait_for(lambda: len(self._turns) or self._turns.closed)
