"""The worker: order, cancelling, errors, batching, interactive jobs between steps, pausing, and closing while busy."""

from __future__ import annotations

import linecache
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QThread
from pytestqt.qtbot import QtBot

from terrarium.app.worker.failures import Failure, describe
from terrarium.app.worker.job import BACKGROUND, INTERACTIVE, Job
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, MicroStep, Phase, Progress

Until = Callable[[Callable[[], bool]], None]


class Log:
    """All signals of a worker, in order."""

    def __init__(self, worker: Worker) -> None:
        self.entries: list[tuple[str, str]] = []
        self.events: list[Event] = []
        self.failures: list[Failure] = []
        self.threads: set[QThread] = set()
        self.n_batches = 0
        worker.job_started.connect(lambda job: self._note("started", job))
        worker.job_paused.connect(lambda job: self._note("paused", job))
        worker.job_resumed.connect(lambda job: self._note("resumed", job))
        worker.job_finished.connect(lambda job: self._note("finished", job))
        worker.job_events.connect(self._on_events)
        worker.job_failed.connect(self._on_failed)

    def _note(self, what: str, job: Job | None) -> None:
        self.threads.add(QThread.currentThread())
        self.entries.append((what, job.name if job is not None else ""))

    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        assert isinstance(events, tuple)
        self.n_batches += 1
        self.events.extend(events)
        self._note("events", job)

    def _on_failed(self, job: Job | None, failure: Failure) -> None:
        self.failures.append(failure)
        self._note("failed", job)

    def has(self, what: str, name: str = "") -> bool:
        return (what, name) in self.entries


def counting(n: int, seen: list[int] | None = None, delay: float = 0.0) -> Callable[[], Iterator[Event]]:
    """A generator of n Progress events; `seen` records how far it got."""

    def make() -> Iterator[Event]:
        for i in range(n):
            if delay:
                time.sleep(delay)
            if seen is not None:
                seen.append(i)
            yield Progress(done=i, total=n)

    return make


def test_signals_of_a_job_come_in_order_on_the_main_thread(worker: Worker, until: Until) -> None:
    log = Log(worker)
    worker.submit(Job("count", counting(5)))
    until(lambda: log.has("finished", "count"))
    assert log.entries == [("started", "count"), ("events", "count"), ("finished", "count")]
    assert [event.done for event in log.events if isinstance(event, Progress)] == [0, 1, 2, 3, 4]
    assert log.threads == {worker.thread()}


def test_the_generator_runs_on_the_worker_thread(worker: Worker, until: Until) -> None:
    log, ids = Log(worker), []

    def make() -> Iterator[Event]:
        ids.append(threading.get_ident())
        yield Phase(name="here")

    worker.submit(Job("where", make))
    until(lambda: log.has("finished", "where"))
    assert ids != [threading.get_ident()]


def test_cancel_closes_the_generator_between_two_events(worker: Worker, until: Until) -> None:
    log, closed = Log(worker), threading.Event()

    def make() -> Iterator[Event]:
        try:
            while True:
                time.sleep(0.001)
                yield Phase(name="on")
        finally:
            closed.set()

    job = worker.submit(Job("endless", make))
    until(lambda: bool(log.events))
    job.cancel()
    until(lambda: log.has("finished", "endless"))
    assert closed.is_set()
    assert job.cancelled
    assert not log.failures


def test_a_queued_job_that_is_cancelled_is_finished_at_once(worker: Worker, until: Until) -> None:
    log, seen = Log(worker), []
    first = worker.submit(Job("first", counting(1_000_000, delay=0.001)))
    second = worker.submit(Job("second", counting(3, seen)))
    until(lambda: log.has("started", "first"))
    second.cancel()
    until(lambda: log.has("finished", "second"))
    assert not seen
    assert not log.has("started", "second")
    first.cancel()
    until(lambda: log.has("finished", "first"))


@pytest.mark.parametrize(
    "error", [ValueError("Do this instead."), ValueError("math domain error"), RuntimeError("shapes"), MemoryError()]
)
def test_an_exception_becomes_a_failure_and_the_worker_keeps_running(
    worker: Worker, until: Until, error: Exception
) -> None:
    log = Log(worker)

    def make() -> Iterator[Event]:
        yield Phase(name="before")
        raise error

    worker.submit(Job("bad", make))
    worker.submit(Job("good", counting(2)))
    until(lambda: log.has("finished", "good"))
    assert log.entries[:3] == [("started", "bad"), ("events", "bad"), ("failed", "bad")]
    is_mistake = str(error) == "Do this instead."
    assert ("Traceback" in log.failures[0].details) != is_mistake, "a user's mistake needs no more than its sentence"
    assert not log.has("finished", "bad")


def test_an_exception_while_the_generator_is_made_is_a_failure_too(worker: Worker, until: Until) -> None:
    log = Log(worker)

    def make() -> Iterator[Event]:
        raise ValueError("There is no such file.")

    worker.submit(Job("bad", make))
    until(lambda: log.has("failed", "bad"))
    assert log.failures[0].sentence == "There is no such file."


def test_messages_say_what_to_do() -> None:
    assert describe(ValueError("Choose another name.")).sentence == "Choose another name."
    assert "batch size" in describe(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")).sentence
    assert "disk is full" in describe(OSError(28, "No space left on device")).sentence
    assert "mat1" in describe(RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore")).sentence


def test_at_most_thirty_tuples_a_second(worker: Worker, until: Until) -> None:
    log = Log(worker)
    started = time.monotonic()
    worker.submit(Job("fast", counting(5000, delay=0.0001)))
    until(lambda: log.has("finished", "fast"))
    seconds = time.monotonic() - started
    assert len(log.events) == 5000
    assert log.n_batches <= 30 * seconds + 2


def test_interactive_jobs_run_whole_with_a_step_between_them(worker: Worker, until: Until) -> None:
    log = Log(worker)
    order: list[str] = []

    def background() -> Iterator[Event]:
        for i in range(100_000):
            time.sleep(0.001)
            order.append("micro")
            yield MicroStep(step=i, micro_step=0)
            order.append("step")
            yield Progress(done=i, total=1)

    def interactive(name: str) -> Callable[[], Iterator[Event]]:
        def make() -> Iterator[Event]:
            for _ in range(3):
                order.append(name)
                yield Phase(name=name)

        return make

    def ends_step(event: Event) -> bool:
        return isinstance(event, Progress)

    train = worker.submit(Job("train", background, BACKGROUND, ends_step))
    until(lambda: len(log.events) > 3)
    for name in "abc":
        worker.submit(Job(name, interactive(name), INTERACTIVE))
    until(lambda: log.has("finished", "c"))
    train.cancel()
    until(lambda: log.has("finished", "train"))
    words = "".join({"micro": "m", "step": "s"}.get(word, word) for word in order)
    first, rest = words.index("a"), words[words.index("a") :]
    assert first > 0
    assert rest.startswith("aaa")
    between_a_and_b, _, after = rest[3:].partition("bbb")
    between_b_and_c, _, _ = after.partition("ccc")
    for between in (between_a_and_b, between_b_and_c):
        assert set(between) == {"m", "s"} or between == "s"
        assert "s" in between


def test_pause_stops_and_step_runs_one_step(worker: Worker, until: Until) -> None:
    log, seen = Log(worker), []
    job = worker.submit(Job("train", counting(1_000_000, seen, delay=0.001)))
    until(lambda: len(seen) > 3)
    job.pause()
    until(lambda: log.has("paused", "train"))
    at = len(seen)
    # Others are served meanwhile, one after the other.
    for name in "ab":
        worker.submit(Job(name, counting(2), INTERACTIVE))
    until(lambda: log.has("finished", "b"))
    assert len(seen) == at
    log.entries.clear()
    job.step()
    until(lambda: log.has("paused", "train"))
    assert len(seen) == at + 1
    job.resume()
    until(lambda: len(seen) > at + 3)
    assert log.has("resumed", "train")
    job.cancel()
    until(lambda: log.has("finished", "train"))


def test_each_pause_is_reported_however_short_the_time_between(worker: Worker, until: Until) -> None:
    log, seen = Log(worker), []
    job = worker.submit(Job("train", counting(1_000_000, seen, delay=0.0001)))
    until(lambda: len(seen) > 3)
    job.pause()
    until(lambda: log.has("paused", "train"))
    for _ in range(50):
        log.entries.clear()
        job.resume()
        job.pause()  # most often before the worker has noticed anything
        until(lambda: log.has("paused", "train"))
    job.cancel()
    until(lambda: log.has("finished", "train"))


def test_calls_run_on_the_worker_between_events(worker: Worker, until: Until) -> None:
    log, threads = Log(worker), []
    inside = [False]

    def make() -> Iterator[Event]:
        while True:
            inside[0] = True
            time.sleep(0.001)
            inside[0] = False
            yield Phase(name="on")

    job = worker.submit(Job("endless", make))
    until(lambda: bool(log.events))
    worker.call(lambda: threads.append((threading.get_ident(), inside[0])))
    until(lambda: bool(threads))
    assert threads[0][0] != threading.get_ident()
    assert threads[0][1] is False
    worker.call(lambda: [][0])
    until(lambda: bool(log.failures))
    assert log.has("failed", "")
    job.cancel()
    until(lambda: log.has("finished", "endless"))


def test_every_failure_is_reported(worker: Worker, until: Until) -> None:
    log = Log(worker)
    words = ["One.", "Two.", "Three."]

    def fail() -> None:
        raise ValueError(words[len(started)])

    started: list[str] = []
    for _ in words:
        worker.call(fail)
        worker.call(lambda: started.append("next"))
    until(lambda: len(log.failures) == 3)
    assert [failure.sentence for failure in log.failures] == words


def test_close_while_busy_closes_generators_and_drops_queued_jobs(qtbot: QtBot, qapp: object) -> None:
    worker = Worker()
    log, closed, seen = Log(worker), threading.Event(), []
    worker.start()

    def make() -> Iterator[Event]:
        try:
            while True:
                time.sleep(0.002)
                yield Phase(name="on")
        finally:
            closed.set()

    worker.submit(Job("busy", make))
    worker.submit(Job("waiting", counting(3, seen)))
    qtbot.waitUntil(lambda: bool(log.events))
    worker.close()
    assert worker.isFinished()
    assert closed.is_set()
    assert not seen
    assert log.has("finished", "busy")
    assert log.has("finished", "waiting")


def test_close_while_paused_and_before_start(qtbot: QtBot, qapp: object) -> None:
    idle = Worker()
    idle.close()
    worker = Worker()
    log = Log(worker)
    worker.start()
    job = worker.submit(Job("train", counting(1_000_000)))
    job.pause()
    qtbot.waitUntil(lambda: log.has("paused", "train"))
    worker.close()
    assert worker.isFinished()
    assert log.has("finished", "train")


def test_imports_keep_no_sources(worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "imported_in_a_test.py"
    path.write_text("a = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    __import__("imported_in_a_test")
    assert str(path) not in linecache.cache
    del sys.modules["imported_in_a_test"]
