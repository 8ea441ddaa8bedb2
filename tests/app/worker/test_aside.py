"""Work beside the window: only the newest counts, cancelled means closed and silent, failures are sentences."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator

import pytest
from PySide6.QtCore import QThread
from PySide6.QtWidgets import QApplication

from app.worker.aside import Aside
from app.worker.failures import Failure
from models.events import Event, Progress

Until = Callable[[Callable[[], bool]], None]


class Heard:
    """All that an Aside says, in order."""

    def __init__(self, aside: Aside) -> None:
        self.said: list[object] = []
        aside.events_came.connect(self.said.extend)
        aside.done.connect(lambda result: self.said.append(("done", result)))
        aside.failed.connect(self.said.append)
        aside.busy_changed.connect(lambda busy: self.said.append(busy))


@pytest.fixture
def aside(qapp: QApplication) -> Aside:
    return Aside()


def test_events_and_the_result_come_in_order_on_this_thread(aside: Aside, until: Until) -> None:
    heard, threads = Heard(aside), []
    aside.done.connect(lambda _: threads.append(QThread.currentThread()))

    def work() -> Generator[Event, None, str]:
        for i in range(3):
            yield Progress(done=i, total=3)
        return threading.current_thread().name

    aside.drive(work)
    assert aside.busy
    until(lambda: not aside.busy)
    *events, last = heard.said
    assert events == [True, *(Progress(done=i, total=3) for i in range(3)), False]
    assert isinstance(last, tuple)
    assert last[1].startswith("aside")
    assert threads == [QApplication.instance().thread()]  # type: ignore[union-attr]


def test_only_the_newest_counts(aside: Aside, until: Until) -> None:
    heard, go, closed = Heard(aside), threading.Event(), []

    def slow() -> Generator[Event, None, str]:
        try:
            go.wait()
            yield Progress(done=0, total=1)
            return "slow"
        finally:
            closed.append(True)

    aside.drive(slow)
    aside.ask(lambda: "dropped")
    aside.ask(lambda: "newest")
    go.set()
    until(lambda: not aside.busy)
    assert heard.said == [True, False, ("done", "newest")]
    assert closed == [True]


def test_what_is_cancelled_is_closed_and_silent(aside: Aside, until: Until) -> None:
    heard, closed = Heard(aside), threading.Event()

    def endless() -> Generator[Event, None, None]:
        try:
            while True:
                yield Progress(done=0, total=1)
        finally:
            closed.set()

    aside.drive(endless)
    until(lambda: len(heard.said) > 3)
    aside.cancel()
    assert not aside.busy
    n_said = len(heard.said)
    assert heard.said[-1] is False
    until(closed.is_set)
    aside.ask(lambda: 1)
    until(lambda: not aside.busy)
    assert heard.said[n_said:] == [True, False, ("done", 1)]


def test_failures_are_sentences(aside: Aside, until: Until) -> None:
    heard = Heard(aside)

    def fails() -> object:
        raise ValueError("There is no such thing.")

    aside.ask(fails)
    until(lambda: not aside.busy)
    failure = heard.said[-1]
    assert isinstance(failure, Failure)
    assert failure.sentence == "There is no such thing."


def test_quitting_does_not_wait_for_it(aside: Aside, until: Until, qapp: QApplication) -> None:
    closed = threading.Event()

    def endless() -> Generator[Event, None, str]:
        try:
            while True:
                yield Progress(done=0, total=1)
        finally:
            closed.set()

    aside.drive(endless)
    qapp.aboutToQuit.emit()
    until(closed.is_set)
    assert not aside.busy
