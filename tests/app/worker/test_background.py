"""Background work: only the newest task reports, cancelled generators are closed, failures become messages."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Generator

import pytest
from PySide6.QtCore import QEventLoop, QObject, QThread
from PySide6.QtWidgets import QApplication
from shiboken6 import delete

from terrarium.app.worker.background import LatestTask, TaskQueue, latest_progress
from terrarium.app.worker.failures import Failure
from terrarium.models.events import Event, Notice, Phase, Progress

Until = Callable[[Callable[[], bool]], None]


class Heard:
    """All that a LatestTask reports, in order."""

    def __init__(self, task: LatestTask) -> None:
        self.reports: list[object] = []
        task.events_received.connect(self.reports.extend)
        task.done.connect(lambda result: self.reports.append(("done", result)))
        task.failed.connect(self.reports.append)
        task.busy_changed.connect(lambda busy: self.reports.append(busy))


@pytest.fixture
def task(qapp: QApplication) -> LatestTask:
    return LatestTask()


def test_events_and_the_result_come_in_order_on_this_thread(task: LatestTask, until: Until) -> None:
    heard, threads = Heard(task), []
    task.done.connect(lambda _: threads.append(QThread.currentThread()))

    def work() -> Generator[Event, None, str]:
        for i in range(3):
            yield Progress(done=i, total=3)
        return threading.current_thread().name

    task.drive(work)
    assert task.busy
    until(lambda: not task.busy)
    *events, last = heard.reports
    assert events == [True, *(Progress(done=i, total=3) for i in range(3)), False]
    assert isinstance(last, tuple)
    assert last[1].startswith("background")
    assert threads == [QApplication.instance().thread()]  # type: ignore[union-attr]


def test_only_the_newest_task_reports(task: LatestTask, until: Until) -> None:
    heard, begun, go, closed = Heard(task), threading.Event(), threading.Event(), []

    def slow() -> Generator[Event, None, str]:
        try:
            begun.set()
            assert go.wait(60)
            yield Progress(done=0, total=1)
            return "slow"
        finally:
            closed.append(True)

    task.drive(slow)
    until(begun.is_set)  # a generator that has not begun has nothing to close
    task.ask(lambda: "dropped")
    task.ask(lambda: "newest")
    go.set()
    until(lambda: not task.busy)
    assert heard.reports == [True, False, ("done", "newest")]
    assert closed == [True]


def test_a_cancelled_generator_is_closed_and_reports_nothing(task: LatestTask, until: Until) -> None:
    heard, closed = Heard(task), threading.Event()

    def endless() -> Generator[Event, None, None]:
        try:
            while True:
                yield Progress(done=0, total=1)
        finally:
            closed.set()

    task.drive(endless)
    until(lambda: len(heard.reports) > 3)
    task.cancel()
    assert not task.busy
    n_said = len(heard.reports)
    assert heard.reports[-1] is False
    until(closed.is_set)
    task.ask(lambda: 1)
    until(lambda: not task.busy)
    assert heard.reports[n_said:] == [True, False, ("done", 1)]


def test_failures_are_sentences(task: LatestTask, until: Until) -> None:
    heard = Heard(task)

    def fails() -> object:
        raise ValueError("There is no such thing.")

    task.ask(fails)
    until(lambda: not task.busy)
    failure = heard.reports[-1]
    assert isinstance(failure, Failure)
    assert failure.sentence == "There is no such thing."


def test_quitting_does_not_wait_for_running_work(task: LatestTask, until: Until, qapp: QApplication) -> None:
    begun, closed = threading.Event(), threading.Event()

    def endless() -> Generator[Event, None, str]:
        try:
            while True:
                begun.set()
                yield Progress(done=0, total=1)
        finally:
            closed.set()

    task.drive(endless)
    until(begun.is_set)
    qapp.aboutToQuit.emit()
    until(closed.is_set)
    assert not task.busy


def test_slow_tasks_do_not_block_others(qapp: QApplication, until: Until) -> None:
    slow, quick, go = [LatestTask() for _ in range(20)], LatestTask(), threading.Event()
    heard = Heard(quick)
    for each in slow:
        each.ask(lambda: go.wait(60))
    quick.ask(lambda: "quick")
    until(lambda: not quick.busy)
    assert heard.reports == [True, False, ("done", "quick")]
    assert all(each.busy for each in slow)
    go.set()
    until(lambda: not any(each.busy for each in slow))


def test_deleting_a_task_closes_its_generator(qapp: QApplication, until: Until) -> None:
    parent, closed, begun = QObject(), threading.Event(), threading.Event()

    def endless() -> Generator[Event, None, None]:
        try:
            while True:
                begun.set()
                yield Progress(done=0, total=1)
        finally:
            closed.set()

    LatestTask(parent).drive(endless)
    until(begun.is_set)
    delete(parent)
    until(closed.is_set)


class Held:
    """Records the thread on which it was destroyed."""

    freed_on: list[int] = []  # noqa: RUF012

    def __del__(self) -> None:
        self.freed_on.append(threading.get_ident())


@pytest.mark.parametrize("fails", [False, True])
def test_objects_held_by_work_are_destroyed_on_this_thread(task: LatestTask, until: Until, fails: bool) -> None:
    Held.freed_on.clear()
    for _ in range(100):
        held = Held()

        def use(held: Held = held) -> str:
            if fails:
                raise ValueError(str(held))
            return str(held)

        task.ask(use)
        del held, use
        until(lambda: not task.busy)
    until(lambda: len(Held.freed_on) == 100)
    assert set(Held.freed_on) == {threading.get_ident()}


def test_events_keep_their_order_while_a_dialog_is_open(task: LatestTask, until: Until) -> None:
    heard, loop = [], QEventLoop()
    other = LatestTask()
    other.done.connect(lambda _: loop.quit())

    def count() -> Generator[Event, None, None]:
        for i in range(1000):
            yield Progress(done=i, total=1000)

    def on_events(events: tuple[Progress, ...]) -> None:
        heard.extend(event.done for event in events)
        if len(heard) == len(events):  # the first time
            other.ask(lambda: None)
            loop.exec()

    task.events_received.connect(on_events)
    task.drive(count)
    until(lambda: not task.busy)
    assert heard == list(range(1000))


def test_the_program_exits_despite_endless_background_work() -> None:
    program = """
from PySide6.QtCore import QCoreApplication, QTimer
from terrarium.app.worker.background import LatestTask
from terrarium.models.events import Phase

def endless():
    while True:
        yield Phase(name="on and on")

app = QCoreApplication([])
task, other = LatestTask(), LatestTask()
task.events_received.connect(lambda events: app.quit())
task.busy_changed.connect(lambda busy: other.drive(endless))
task.drive(endless)
app.exec()
print("busy" if task.busy or other.busy else "idle")
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert (ended.stdout, ended.stderr) == ("idle\n", "")


def test_a_queue_calls_all_in_order_and_goes_on_after_a_failure(qapp: QApplication, until: Until) -> None:
    queue, go, heard = TaskQueue(), threading.Event(), []
    queue.done.connect(heard.append)
    queue.failed.connect(lambda failure: heard.append(failure.sentence))

    def refuse() -> None:
        raise ValueError("The disk is full.")

    queue.ask(lambda: go.wait(60))
    queue.ask(refuse)
    queue.ask(lambda: "third")
    queue.ask(lambda: "fourth")
    assert queue.busy
    go.set()
    until(lambda: not queue.busy and len(heard) == 4)
    assert heard == [True, "The disk is full.", "third", "fourth"]


def test_consecutive_progress_events_are_reduced_to_the_last() -> None:
    read, count, said = Phase(name="Reading"), Phase(name="Counting"), Notice(sentence="Short.")
    steps = [Progress(done=i, total=9) for i in range(9)]
    assert latest_progress([read, *steps[:4], count, *steps[4:], said, said]) == [
        read,
        steps[3],
        count,
        steps[8],
        said,
        said,
    ]
    assert latest_progress(()) == []
