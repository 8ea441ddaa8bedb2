"""A quick start that does nothing but give out events, bit by bit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.events import Event, RunStarted, TrainMetrics

Until = Callable[[Callable[[], bool]], None]

STARTED = RunStarted(
    run_id="tiny-world", name="Tiny World", step=0, total_steps=400, device="CPU", precision="float32", threads=1
)


def trained(step: int) -> TrainMetrics:
    return TrainMetrics(
        step=step, total_steps=400, tokens=step, elapsed_s=0.1 * step, loss=2.5, lr=0.1, grad_norm=1.0,
        tokens_per_s=1234.0, seconds_left=61.0,
    )  # fmt: skip


class Script:
    """A quick start whose events are given out bit by bit."""

    def __init__(self, session: Session, until: Until, files: tuple[str, ...] = ()) -> None:
        self._session, self._until = session, until
        self._left: list[Event] = []
        self._more = threading.Semaphore(0)
        self._is_over = False
        session.closing.connect(self._stop)  # else its worker would wait for events that a failed test never gives
        state = TrainingState(name="Quick start", quickstart=True, files=files)
        session.training.begin(state, lambda: self)  # type: ignore[arg-type, return-value]

    def events(self) -> Iterator[Event]:
        """As those of a job."""
        while True:
            self._more.acquire()
            if self._is_over:
                return
            yield self._left.pop(0)

    def give(self, *events: Event) -> None:
        """The next events; returns when they have been heard."""
        heard: list[Event] = []
        self._session.training.events_received.connect(heard.extend)
        for event in events:
            self._left.append(event)
            self._more.release()
        self._until(lambda: len(heard) == len(events))
        self._session.training.events_received.disconnect(heard.extend)

    def end(self) -> None:
        """No more events come."""
        self._stop()
        self._until(lambda: not self._session.training.active)

    def _stop(self) -> None:
        self._is_over = True
        self._more.release()
