"""Cycles are collected on the window's thread, never on a worker's."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtWidgets import QApplication

from app.session.session import Session
from app.worker.job import Job
from models.events import Event, Progress
from models.library.library import Library

Until = Callable[[Callable[[], bool]], None]


class Knot:
    """Refers to itself, so that only the collector frees it; records on which thread."""

    freed_on: list[int] = []  # noqa: RUF012

    def __init__(self) -> None:
        self.me = self

    def __del__(self) -> None:
        self.freed_on.append(threading.get_ident())


@pytest.fixture
def stays_frozen() -> None:
    """Nothing does here."""


@pytest.fixture
def often_collected() -> Iterator[None]:
    """Collections are set off by few objects, and look through few."""
    gc.freeze()
    usual = gc.get_threshold()
    gc.set_threshold(1000, *usual[1:])
    yield
    gc.set_threshold(*usual)


def test_a_busy_worker_leaves_cycles_to_the_window(often_collected: None, session: Session, until: Until) -> None:
    Knot.freed_on.clear()
    assert not gc.isenabled()

    def make() -> Iterator[Event]:
        for _ in range(3 * gc.get_threshold()[0]):  # would set off automatic collections on the worker's thread
            Knot()
        yield Progress(done=1, total=1)

    done: list[object] = []
    session.worker.job_finished.connect(done.append)
    session.worker.submit(Job("allocate", make))
    until(lambda: bool(done))
    until(lambda: bool(Knot.freed_on))
    assert set(Knot.freed_on) == {threading.get_ident()}
    session.close()
    assert gc.isenabled()


def test_torchs_objects_are_not_scanned_again(library: Library, qapp: QApplication, until: Until) -> None:
    gc.unfreeze()
    session = Session(library)
    session.start()
    until(lambda: session.device.memory is not None)
    assert gc.get_freeze_count() > 50_000
    session.close()
    assert gc.get_freeze_count() == 0
