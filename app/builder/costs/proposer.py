"""Looks for changes that make a design fit, beside the window: it takes a tenth of a second."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.background import LatestTask
from models.cost.fit import Proposal, proposals
from models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Question:
    """A training that shall take at most `budget_bytes`; arguments as of models.cost.fit.proposals."""

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
    """Answers the newest question; older ones are dropped.

    Signals:
        found(question, proposals): its answer, a list of Proposal.
    """

    found = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)

    def ask(self, question: Question | None) -> None:
        """Look for an answer; None: to nothing more."""
        if question is None:
            self._task.cancel()
        else:
            self._task.ask(lambda: (question, question.answer()))

    @Slot(object)
    def _on_done(self, result: tuple[Question, list[Proposal]]) -> None:
        self.found.emit(*result)
