"""Cycles are collected on the window's thread, never on a worker's."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

from app.session import Session
from app.worker import Job
from models.events import Event, Progress

Until = Callable[[Callable[[], bool]], None]


class Knot:
    """Refers to itself, so that only the collector frees it; says on which thread that was."""

    freed_on: list[int] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        self.freed_on.append(threading.get_ident())


def test_a_busy_worker_leaves_cycles_to_the_window(session: Session, until: Until) -> None:
    Knot.freed_on.clear()
    assert not gc.isenabled()
    for _ in range(1000):  # more than the collector's threshold
        Knot()

    def make() -> Iterator[Event]:
        kept = [[] for _ in range(20_000)]  # enough objects to set off an automatic collection many times over
        yield Progress(done=len(kept), total=len(kept))

    done: list[object] = []
    session.worker.job_finished.connect(done.append)
    session.worker.submit(Job("allocate", make))
    until(lambda: bool(done))
    until(lambda: bool(Knot.freed_on))
    assert set(Knot.freed_on) == {threading.get_ident()}
    session.close()
    assert gc.isenabled()
