"""The background search for changes that make a design fit in memory; it takes about 0.1 s."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.worker.background import LatestTask
from terrarium.models.design.fit import Proposal, proposals
from terrarium.models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class FitRequest:
    """A run that must fit into `budget_bytes`; the fields are arguments of models.design.fit.proposals."""

    config: ModelConfig
    batch_size: int
    optimizer: str
    budget_bytes: int
    device: str = "cpu"
    precision: str = "float32"

    def proposals(self) -> list[Proposal]:
        """Return the changes of the design or the batch size that make it fit, the least costly first.

        Changes of other training settings are left out, since the builder does not show these settings.
        """
        found = proposals(
            self.config,
            self.batch_size,
            self.optimizer,
            self.budget_bytes,
            device=self.device,
            precision=self.precision,
        )
        return [proposal for proposal in found if proposal.model or "batch_size" in proposal.train]


class Proposer(QObject):
    """Answers only the latest request; older ones are dropped.

    Signals:
        found(request, proposals): the answer, a list of Proposal.
    """

    found = Signal(object, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)

    def ask(self, request: FitRequest | None) -> None:
        """Search for proposals; None cancels the search."""
        if request is None:
            self._task.cancel()
        else:
            self._task.ask(lambda: (request, request.proposals()))

    @Slot(object)
    def _on_done(self, result: tuple[FitRequest, list[Proposal]]) -> None:
        self.found.emit(*result)
