"""Runs questions about the open model on the worker thread, between other jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.chat import ChatSession
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event, Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel

Question = Callable[["AnyModel", "Tokenizer"], object]


@dataclass(frozen=True, kw_only=True)
class _Answer(Event):
    """The result of a question, and the training step of the model."""

    result: object
    step: int


class Examiner(QObject):
    """Runs one question about the open model at a time; a newer question replaces an older one.

    A question is a function of the model and its tokenizer. It must restore the train/eval mode, gradients and random
    state, and return plain data or CPU tensors, since the weights may change afterwards. A long question returns a
    generator of events whose return value is the answer; it can be cancelled between two events.

    Signals:
        changed(): `busy` may have changed.
        failed(failure): the latest question raised an error.
        done(result): the answer to the latest question.
        progressed(fraction): progress of a long question, from 0 to 1.
    """

    changed = Signal()
    failed = Signal(object)
    done = Signal(object)
    progressed = Signal(float)

    def __init__(self, worker: Worker, chat: ChatSession, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_received.connect(self._on_events)
        self._job.ended.connect(self.changed)
        self._job.failed.connect(self.failed)
        self._chat = chat
        chat.reply_requested.connect(self.requeue)
        self._question: Question | None = None
        self._has_started = self._is_long = threading.Event()
        self.step = 0
        """The training step of the model at the last answer."""

    @property
    def busy(self) -> bool:
        """Whether a question is running or waiting for the worker."""
        return self._job.busy

    def ask(self, question: Question) -> None:
        """Submit a question; it replaces a pending one."""
        self._question = question
        self._has_started, self._is_long = has_started, is_long = threading.Event(), threading.Event()

        def make() -> Iterator[Event]:
            has_started.set()
            model, tokenizer, step = self._chat.open_model()
            answer = question(model, tokenizer)
            if isinstance(answer, Generator):
                is_long.set()
                answer = yield from answer
            yield _Answer(result=answer, step=step)

        self._job.submit(Job("Inspect the model", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def requeue(self) -> None:
        """Move a long question behind newer jobs of the worker, where it starts over.

        A question that has not started is requeued too, since it may be long. A short one that is running stays, since
        it is almost done.
        """
        if self.busy and self._question is not None and (self._is_long.is_set() or not self._has_started.is_set()):
            self.ask(self._question)

    def forget(self) -> None:
        """Cancel the pending question."""
        self._job.drop()
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, _Answer):
                self.step = event.step
                self.done.emit(event.result)
            elif isinstance(event, Progress) and event.total:
                self.progressed.emit(event.done / event.total)
