"""Controls of the overlay: quantity, x axis, smoothing and scale."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QWidget

from terrarium.app.kit.basics import label, row
from terrarium.app.kit.inputs import choice
from terrarium.app.run_views.curves.curve_choices import Smoother
from terrarium.app.run_views.curves.run_axis import X_AXES
from terrarium.app.runs.overlay.overlay_lines import COMPARED, ComparedQuantity


class OverlayControls(QWidget):
    """The controls, side by side.

    Signals:
        scale_changed(): the quantity, axis or scale has changed, so the zoom no longer applies.
        smoothing_changed(): the smoothing has changed.
    """

    scale_changed = Signal()
    smoothing_changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        quantities = {name: quantity.label for name, quantity in COMPARED.items()}
        self.quantities = choice("Compared quantity", "Compared quantity", quantities)
        axes = {name: f"by {words.lower()}" for name, words in X_AXES.items()}
        self.axes = choice("X axis", "X axis: steps, tokens or training time", axes)
        self.log_scale = QCheckBox("Log scale")
        self.log_scale.setToolTip("Draw the values on a logarithmic axis, which shows late differences")
        self.smoother = Smoother("Smoothing of the lines, over up to a quarter of each run")
        self.setLayout(row(label("Smoothing", "caption"), self.smoother, self.log_scale, self.quantities, self.axes))
        self.quantities.currentIndexChanged.connect(self.scale_changed)
        self.axes.currentIndexChanged.connect(self.scale_changed)
        self.log_scale.toggled.connect(self.scale_changed)
        self.smoother.valueChanged.connect(self.smoothing_changed)

    @property
    def quantity(self) -> ComparedQuantity:
        """The compared quantity."""
        return COMPARED[self.quantities.currentData()]

    @property
    def axis(self) -> str:
        """The column of the x axis."""
        name: str = self.axes.currentData()
        return name

    @property
    def smoothing(self) -> float:
        """The smoothing, from 0 (none) to 1."""
        return self.smoother.amount

    @property
    def log(self) -> bool:
        """Whether the y axis is logarithmic."""
        return self.log_scale.isChecked()
