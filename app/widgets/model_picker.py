"""Which model one talks to: the one in training, as it is now, or a run's latest checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QComboBox, QWidget

from app.chat_control import LIVE
from models.library import RunInfo


class ModelPicker(QComboBox):
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

    def set_choices(self, runs: Sequence[RunInfo], live_name: str, current: str) -> None:
        """Offer the runs that can talk, below the training called `live_name` ('' = none); `current` is selected."""
        with QSignalBlocker(self):
            self.clear()
            if live_name:
                self.addItem(f"{live_name}, in training now", LIVE)
                self.setItemData(0, "The weights as they are at the step of each reply", Qt.ItemDataRole.ToolTipRole)
            for run in runs:
                words = "imported" if run.status == "imported" else f"step {run.step:,}"
                self.addItem(f"{run.name}, {words}", run.id)
                self.setItemData(self.count() - 1, f"{run.status}, {run.id}", Qt.ItemDataRole.ToolTipRole)
            self.setCurrentIndex(self.findData(current) if current else -1)
        self.setEnabled(self.count() > 0)

    @property
    def newest_run(self) -> tuple[str, str]:
        """Id and words of the newest run that can talk; two empty strings where there is none."""
        ids = [str(self.itemData(i)) for i in range(self.count())]
        return next(((run_id, self.itemText(i)) for i, run_id in enumerate(ids) if run_id != LIVE), ("", ""))
