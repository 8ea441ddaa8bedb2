"""Questions to the open model: answered on the worker, only the latest one."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal
from pytestqt.qtbot import QtBot

from terrarium.app.glass.examiner import Examiner
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Phase, Progress


class OpenModel(QObject):
    """A stand-in for the chat: strings for the model and the tokenizer, at step 7."""

    reply_requested = Signal()

    def open_model(self) -> tuple[str, str, int]:
        return "model", "tokenizer", 7


@pytest.fixture
def examiner(worker: Worker) -> Examiner:
    """An examiner of that stand-in."""
    return Examiner(worker, OpenModel(worker), worker)  # type: ignore[arg-type]


@pytest.fixture
def heard(examiner: Examiner) -> list[object]:
    """The answers so far."""
    answers: list[object] = []
    examiner.done.connect(answers.append)
    return answers


def test_questions_are_answered_on_the_worker_thread(examiner: Examiner, qtbot: QtBot) -> None:
    def question(model: Any, tokenizer: Any) -> tuple[Any, Any, int]:
        return model, tokenizer, threading.get_ident()

    with qtbot.waitSignal(examiner.done) as told:
        examiner.ask(question)
        assert examiner.busy
    model, tokenizer, thread = told.args[0]
    assert (model, tokenizer) == ("model", "tokenizer")
    assert thread != threading.get_ident()
    assert examiner.step == 7
    qtbot.waitUntil(lambda: not examiner.busy)


def test_only_the_newest_question_is_answered(examiner: Examiner, heard: list[object], qtbot: QtBot) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(model: Any, tokenizer: Any) -> str:
        begun.set()
        assert go_on.wait(60)
        return "old"

    examiner.ask(slow)
    assert begun.wait(60)
    examiner.ask(lambda model, tokenizer: "new")
    go_on.set()
    qtbot.waitUntil(lambda: not examiner.busy)
    assert heard == ["new"]


def test_a_long_question_can_be_stopped(examiner: Examiner, heard: list[object], qtbot: QtBot) -> None:
    closed = threading.Event()

    def long(model: Any, tokenizer: Any) -> Generator[Event, None, str]:
        try:
            while True:
                yield Phase(name="Looking")
        finally:
            closed.set()

    examiner.ask(long)
    examiner.forget()
    assert not examiner.busy
    examiner.ask(lambda model, tokenizer: "after it")
    qtbot.waitUntil(lambda: not examiner.busy)
    assert heard == ["after it"]


def test_a_long_question_reports_progress(examiner: Examiner, heard: list[object], qtbot: QtBot) -> None:
    def long(model: Any, tokenizer: Any) -> Generator[Event, None, str]:
        yield Progress(done=1, total=4)
        return "there"

    shares: list[float] = []
    examiner.progressed.connect(shares.append)
    examiner.ask(long)
    qtbot.waitUntil(lambda: not examiner.busy)
    assert (shares, heard) == ([0.25], ["there"])


def test_an_error_is_reported_as_a_sentence(examiner: Examiner, qtbot: QtBot) -> None:
    def wrong(model: Any, tokenizer: Any) -> None:
        raise ValueError("This text is too long: shorten it.")

    with qtbot.waitSignal(examiner.failed) as told:
        examiner.ask(wrong)
    assert told.args[0].sentence == "This text is too long: shorten it."
    assert not examiner.busy


def test_a_long_question_is_requeued_behind_newer_jobs(
    examiner: Examiner, worker: Worker, heard: list[object], qtbot: QtBot
) -> None:
    begun, go_on, order = threading.Event(), threading.Event(), []

    def long(model: Any, tokenizer: Any) -> Generator[Event, None, str]:
        order.append("long")
        begun.set()
        yield Progress(done=1, total=2)
        assert go_on.wait(60)
        yield Progress(done=2, total=2)
        return "answer"

    def reply() -> Iterator[Event]:
        order.append("reply")
        yield Progress(done=1, total=1)

    examiner.requeue()
    examiner.ask(long)
    assert begun.wait(60)
    worker.submit(Job("Reply", reply, INTERACTIVE))
    examiner.requeue()
    assert examiner.busy
    go_on.set()
    qtbot.waitUntil(lambda: not examiner.busy)
    assert order == ["long", "reply", "long"]
    assert heard == ["answer"]
