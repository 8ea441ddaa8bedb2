"""Which model one talks to: the one in training, as it is now, or a run's latest checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QWidget

from app.kit.labels import ElidedCombo
from app.session.chat_model import LIVE
from models.library.library import RunInfo

_SAVED_AT_THE_END = ("finished", "stopped", "paused")


class ModelPicker(ElidedCombo):
    """A list of models.

    Signals:
        picked(which): the user chose a run's id, or LIVE.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Model to talk to")
        self.setToolTip("Which model answers: a run's latest checkpoint, or the model in training as it is now")
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(30)
        self.setPlaceholderText("Choose a model")
        self.activated.connect(lambda _: self.picked.emit(str(self.currentData())))

    def set_choices(self, runs: Sequence[RunInfo], live_name: str, current: str, step: int | None) -> None:
        """Offer the runs that can talk, below the training called `live_name` ('' = none).

        Args:
            current: which of them is open, '' for none; at `step`, which need not be its latest.
        """
        with QSignalBlocker(self):
            self.clear()
            if live_name:
                self.addItem(f"{live_name}, in training now", LIVE)
                self.setItemData(0, "The weights as they are at the step of each reply", Qt.ItemDataRole.ToolTipRole)
            for run in runs:
                self.addItem(f"{run.name}, {_words(run, step if run.id == current else None)}", run.id)
                self.setItemData(self.count() - 1, f"{run.status}, {run.id}", Qt.ItemDataRole.ToolTipRole)
            self.setCurrentIndex(self.findData(current) if current else -1)
        self.setEnabled(self.count() > 0)

    @property
    def newest_run(self) -> tuple[str, str]:
        """Id and words of the newest run that can talk; two empty strings where there is none."""
        ids = [str(self.itemData(i)) for i in range(self.count())]
        return next(((run_id, self.itemText(i)) for i, run_id in enumerate(ids) if run_id != LIVE), ("", ""))


def _words(run: RunInfo, open_step: int | None) -> str:
    """The step of the checkpoint where it is known: a run that did not end well went on after its last."""
    if run.status == "imported" or (open_step is None and run.status not in _SAVED_AT_THE_END):
        return run.status
    return f"step {run.step if open_step is None else open_step:,}"
