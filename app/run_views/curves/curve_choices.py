"""Controls of a run's curves: smoothing, scale and x axis. The choices are remembered across launches."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Slot
from PySide6.QtWidgets import QCheckBox, QSlider, QWidget

from terrarium.app.kit.basics import label, plain_tip, row
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.theme import SPACE
from terrarium.app.plots.curve_points import SMOOTHING
from terrarium.app.run_views.curves.run_axis import X_AXES
from terrarium.app.session.session import Session

_SETTING = "curves"
_REMEMBER_MS = 500
"""Milliseconds without a change before the choices are saved: dragging a slider changes it many times."""


_TOP = 100


class CurveChoices(QWidget):
    """The controls, side by side.

    Args:
        has_log: whether a logarithmic scale can be chosen.
    """

    def __init__(self, session: Session, parent: QWidget | None = None, *, has_log: bool = True) -> None:
        super().__init__(parent)
        self._session = session
        self.smoother = Smoother("Smoothing of the thick lines, over up to a quarter of the run")
        self.log = QCheckBox("Log scale")
        self.log.setToolTip("Draw the loss on a logarithmic axis, which shows late progress")
        self.axes = choice("X axis", "X axis of all charts: steps, tokens or training time", X_AXES)
        self.setLayout(row(label("Smoothing", "caption"), self.smoother, self.log, self.axes, spacing=SPACE))
        self.log.setVisible(has_log)
        self._restore()
        self._rest = QTimer(self, singleShot=True, interval=_REMEMBER_MS)
        self._rest.timeout.connect(self._remember)
        for changed in (self.smoother.valueChanged, self.log.toggled, self.axes.currentIndexChanged):
            changed.connect(lambda _: self._rest.start())

    @property
    def smoothing(self) -> float:
        """The smoothing, from 0 (none) to 1."""
        return self.smoother.amount

    @property
    def axis(self) -> str:
        """The column of the x axis: a key of X_AXES."""
        axis: str = self.axes.currentData()
        return axis

    def _restore(self) -> None:
        kept = self._session.remembered.get(_SETTING, {})
        if not isinstance(kept, dict):  # the file was edited by hand
            return
        smoothing = kept.get("smoothing")
        if isinstance(smoothing, int):
            self.smoother.setValue(smoothing)
        self.log.setChecked(kept.get("log") is True)
        self.axes.setCurrentIndex(max(self.axes.findData(kept.get("axis")), 0))

    @Slot()
    def _remember(self) -> None:
        kept = {"smoothing": self.smoother.value(), "axis": self.axis}
        if self.log.isVisibleTo(self):
            kept["log"] = self.log.isChecked()
        elif isinstance(before := self._session.remembered.get(_SETTING, {}), dict):
            kept = before | kept
        self._session.remembered.set(_SETTING, kept)


class Smoother(QSlider):
    """A slider for the smoothing, SMOOTHING by default."""

    def __init__(self, tip: str) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setRange(0, _TOP)
        self.setValue(round(SMOOTHING * _TOP))
        self.setFixedWidth(100)
        self.setAccessibleName("Smoothing")
        self.setToolTip(plain_tip(tip))

    @property
    def amount(self) -> float:
        """The smoothing, from 0 (none) to 1: see `moving_average`."""
        return self.value() / _TOP
