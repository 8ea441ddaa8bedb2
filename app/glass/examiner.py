"""Questions to the open model, answered on the worker's thread between other jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.session.chat import Chat
from app.worker.job import INTERACTIVE, Job
from app.worker.latest_job import LatestJob
from app.worker.worker import Worker
from models.events import Event, Progress

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel

Question = Callable[["AnyModel", "Tokenizer"], object]


@dataclass(frozen=True, kw_only=True)
class _Answer(Event):
    """What a question found in the model at a training step."""

    result: object
    step: int


class Examiner(QObject):
    """Asks the open model one thing at a time; a newer question takes the place of an older one.

    A question is a function of the model and its tokenizer. It leaves modes, gradients and random state as they were,
    and returns plain data or CPU tensors, since the weights may change as soon as it has returned. A long one returns a
    generator of events that ends with the answer, and can be stopped between two of them.

    Signals:
        changed(): `busy` is new.
        failed(failure): the newest question raised.
        done(result): what the newest question returned.
        got_on(share): how much of a long one has been answered, from 0 to 1.
    """

    changed = Signal()
    failed = Signal(object)
    done = Signal(object)
    got_on = Signal(float)

    def __init__(self, worker: Worker, chat: Chat, parent: QObject) -> None:
        super().__init__(parent)
        self._job = LatestJob(worker, self)
        self._job.events_came.connect(self._on_events)
        self._job.ended.connect(self.changed)
        self._job.failed.connect(self.failed)
        self._chat = chat
        chat.reply_asked.connect(self.give_way)
        self._question: Question | None = None
        self._has_begun = self._is_long = threading.Event()
        self.step = 0
        """The training step of the model that gave the last answer."""

    @property
    def busy(self) -> bool:
        """Whether an answer is being found, or waits for the worker."""
        return self._job.busy

    def ask(self, question: Question) -> None:
        """Have `question` answered."""
        self._question = question
        self._has_begun, self._is_long = has_begun, is_long = threading.Event(), threading.Event()

        def make() -> Iterator[Event]:
            has_begun.set()
            model, tokenizer, step = self._chat.open_model()
            answer = question(model, tokenizer)
            if isinstance(answer, Generator):
                is_long.set()
                answer = yield from answer
            yield _Answer(result=answer, step=step)

        self._job.submit(Job("Look into the model", make, INTERACTIVE))
        self.changed.emit()

    @Slot()
    def give_way(self) -> None:
        """Let what was given to the worker meanwhile go first: a long answer is begun once more after it.

        So is one that has not begun, since it may be long; a short one is all but there.
        """
        if self.busy and self._question is not None and (self._is_long.is_set() or not self._has_begun.is_set()):
            self.ask(self._question)

    def forget(self) -> None:
        """No answer is wanted any more."""
        self._job.drop()
        self.changed.emit()

    @Slot(object, object)
    def _on_events(self, job: Job, events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, _Answer):
                self.step = event.step
                self.done.emit(event.result)
            elif isinstance(event, Progress) and event.total:
                self.got_on.emit(event.done / event.total)
