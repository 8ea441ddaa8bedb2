"""The slider that says how strongly lines are smoothed."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QSlider

from app.kit.charts.curve_points import SMOOTHING

_TOP = 100


class Smoother(QSlider):
    """Stands at SMOOTHING at first."""

    def __init__(self, tip: str) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, _TOP)
        self.setValue(round(SMOOTHING * _TOP))
        self.setFixedWidth(100)
        self.setAccessibleName("Smoothing")
        self.setToolTip(tip)

    @property
    def amount(self) -> float:
        """From 0, not at all, to 1: see `moving_average`."""
        return self.value() / _TOP
