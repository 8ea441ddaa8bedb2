"""Cycles are collected on the window's thread, never on a worker's."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator

import pytest
from PySide6.QtCore import QObject
from PySide6.QtWidgets import QApplication

from terrarium.app.session.session import Session
from terrarium.app.worker.garbage import MainThreadCollector, due_generation
from terrarium.app.worker.job import Job
from terrarium.models.events import Event, Progress
from terrarium.models.library.library import Library

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
    """What stood before a test stays frozen, unless the test, or a session that it closes, unfreezes it."""
    gc.freeze()


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


@pytest.mark.parametrize(
    ("counts", "pending", "total", "due"),
    [
        ((700, 10, 10), 0, 0, None),
        ((701, 10, 10), 0, 0, 0),
        ((701, 11, 10), 0, 0, 1),
        ((0, 0, 11), 1, 0, 2),
        ((701, 11, 11), 26, 100, 2),
        ((701, 11, 11), 25, 100, 1),  # too little has grown old: the next younger one that is due
        ((701, 0, 11), 25, 100, 0),
        ((0, 0, 11), 25, 100, None),
    ],
)
def test_the_oldest_generation_is_collected_when_it_has_grown_by_a_quarter(
    counts: tuple[int, int, int], pending: int, total: int, due: int | None
) -> None:
    assert due_generation(counts, (700, 10, 10), pending, total) == due
    assert due_generation(counts, (0, 0, 10), pending, total) == (2 if due == 2 else None), "0 is for never"


def test_an_incremental_collector_is_asked_for_a_part() -> None:
    """That of Python 3.14, whose third threshold is 0."""
    assert due_generation((2001, 0, 0), (2000, 10, 0), 0, 0) == 1
    assert due_generation((2000, 50, 50), (2000, 10, 0), 0, 0) is None


def test_little_garbage_does_not_set_off_a_search_through_everything(often_collected: None, until: Until) -> None:
    """Cycles are made without end; what has grown old, and stays, is looked through once only."""
    gc.set_threshold(100, 1, 1)
    stays: list[list[object]] = [[] for _ in range(50_000)]
    collected: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            collected.append(info["generation"])

    def make_until(is_enough: Callable[[], bool]) -> None:
        def make() -> bool:
            for _ in range(150):
                Knot()
            return is_enough()

        until(make)

    parent = QObject()
    collector = MainThreadCollector(parent, interval_ms=1)
    gc.callbacks.append(note)
    try:
        make_until(lambda: 2 in collected)
        collected.clear()
        make_until(lambda: collected.count(1) > 9)
    finally:
        gc.callbacks.remove(note)
        collector.close()
    assert 2 not in collected
    assert len(stays) == 50_000


def test_torchs_objects_are_not_scanned_again(library: Library, qapp: QApplication, until: Until) -> None:
    gc.unfreeze()
    session = Session(library)
    session.start()
    until(lambda: session.device.memory is not None)
    assert gc.get_freeze_count() > 50_000
    session.close()
    assert gc.get_freeze_count() == 0
