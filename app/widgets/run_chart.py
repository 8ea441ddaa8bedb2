"""What the charts of a run have in common: a head with a name and values, and a pointer that reads a row."""

from __future__ import annotations

from PySide6.QtCore import QPointF, Qt, Signal, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from app.run_history import RunHistory
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import label
from app.widgets.chart import Chart
from app.widgets.elided_label import ElidedLabel
from app.widgets.run_axis import RunAxis, nearest_row


class RunChart(QWidget):
    """A chart over a run's course, below its name; at the right of that what is measured where the pointer is.

    Subclasses draw `history` along `axis` in `_draw`, and say in `_words` what stands at the right.

    Signals:
        row_pointed(row): the pointer is at this row of `history.train`, or None: at none.
    """

    row_pointed = Signal(object)

    def __init__(self, theme: ThemeProvider, chart: Chart, title: QWidget, unit: str = "") -> None:
        super().__init__()
        self._theme = theme
        self.chart = chart
        self.history = RunHistory()
        self.axis = RunAxis()
        self._row: int | None = None
        self.read_out = ElidedLabel()
        self.read_out.setProperty("role", "mono-small")
        self.read_out.alignment = Qt.AlignmentFlag.AlignRight
        self._unit = label(unit, "caption")
        if not unit:
            self._unit.hide()
        self.head = QHBoxLayout()
        self.head.setSpacing(SPACE)
        self.head.addWidget(title)
        self.head.addWidget(self._unit)
        self.head.addWidget(self.read_out, 1)
        self.body = QHBoxLayout()
        self.body.setSpacing(SPACE // 2)
        self.body.addWidget(chart, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(self.head)
        layout.addLayout(self.body, 1)
        chart.pointed.connect(self._on_pointed)

    def show_unit(self, unit: str) -> None:
        """Write a unit, or another small remark, beside the name; "" for none."""
        self._unit.setText(unit)
        self._unit.setVisible(bool(unit))

    def draw(self, history: RunHistory, axis: RunAxis) -> None:
        """Draw what a run's history holds now along an axis."""
        self.history, self.axis = history, axis
        anything = len(history.train) > 1
        self.chart.show_scales(anything)
        self._draw()
        self.show_row(self._row)

    def show_row(self, row: int | None) -> None:
        """Read the values of a row of `history.train`; None: the latest."""
        places = self.axis.of_rows(self.history.train)
        self._row = row if row is not None and row < len(places) else None
        self.chart.show_cursor(None if self._row is None else float(places[self._row]))
        self.read_out.setText(self._words(self._row))

    def _draw(self) -> None:
        raise NotImplementedError

    def _words(self, row: int | None) -> str:
        """The values at a row; where it is None, what is to be known all the time."""
        raise NotImplementedError

    @Slot(object)
    def _on_pointed(self, place: QPointF | None) -> None:
        places = self.axis.of_rows(self.history.train)
        row = nearest_row(places, place.x()) if place is not None and len(places) > 1 else None
        if row != self._row:
            self.show_row(row)
            self.row_pointed.emit(row)

    def _length(self) -> float:
        """How far the run goes along the axis; 1 where it has not begun."""
        tables = (self.history.train, self.history.val)
        return max((float(self.axis.of_rows(table)[-1]) for table in tables if len(table)), default=0.0) or 1.0
