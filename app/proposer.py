"""Looks for changes that make a design fit, on a thread of its own: it takes a tenth of a second."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from models.config import ModelConfig
from models.fit import Proposal, proposals

_LOOK_MS = 20


@dataclass(frozen=True, kw_only=True)
class Question:
    """A training that shall take at most `budget_bytes`; arguments as of models.fit.proposals."""

    config: ModelConfig
    batch_size: int
    optimizer: str
    budget_bytes: int
    device: str = "cpu"
    precision: str = "float32"

    def answer(self) -> list[Proposal]:
        """The changes that do it, those that cost least first."""
        return proposals(
            self.config,
            self.batch_size,
            self.optimizer,
            self.budget_bytes,
            device=self.device,
            precision=self.precision,
        )


class Proposer(QObject):
    """Answers the newest question; older ones that wait are dropped.

    The answer is fetched by the window's thread: the other thread knows nothing of Qt, so it may outlive the window.

    Signals:
        found(question, proposals): its answer, a list of Proposal.
    """

    found = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._asked: Question | None = None
        self._running: tuple[Question, Future[list[Proposal]]] | None = None
        self._look = QTimer(self, interval=_LOOK_MS)
        self._look.timeout.connect(self._on_look)

    def ask(self, question: Question | None) -> None:
        """Look for an answer; None: to nothing more."""
        self._asked = question
        if question is not None and self._running is None:
            self._start(question)

    def _start(self, question: Question) -> None:
        self._running = question, self._thread.submit(question.answer)
        self._look.start()

    @Slot()
    def _on_look(self) -> None:
        assert self._running is not None
        question, future = self._running
        if not future.done():
            return
        self._look.stop()
        self._running = None
        if question == self._asked:
            self._asked = None
            self.found.emit(question, future.result())
        elif self._asked is not None:
            self._start(self._asked)
