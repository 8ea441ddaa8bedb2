"""A row of named numbers of fixed width."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QLayout, QSizePolicy, QVBoxLayout, QWidget

from terrarium.app.kit.basics import label, plain_tip, row
from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.theme import SPACE, ThemeProvider


class StatStrip(QWidget):
    """Numbers above their names, wrapped into several rows if they do not fit.

    Args:
        stats: name -> tooltip.
        widest: a text of the width to reserve for each number.
    """

    def __init__(self, stats: Mapping[str, str], theme: ThemeProvider, *, widest: str = "88,888") -> None:
        super().__init__()
        self._theme, self._widest = theme, widest
        self._numbers: dict[str, QLabel] = {}
        self._cell_of: dict[str, QWidget] = {}
        self._left_out = set[str]()
        self._columns = len(stats)
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSizeConstraint(QLayout.SizeConstraint.SetNoConstraint)  # it shrinks by wrapping into rows
        self._grid.setHorizontalSpacing(3 * SPACE)
        self._grid.setVerticalSpacing(SPACE // 2)
        self._grid.setColumnStretch(len(stats), 1)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        for name, tip in stats.items():
            number, caption = label("–", "number"), label(name, "caption")
            number.setAccessibleName(name)
            self._numbers[name] = number
            cell = QWidget()
            column = QVBoxLayout(cell)
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(0)
            for widget in (number, caption):
                widget.setToolTip(plain_tip(tip))
            column.addWidget(number)
            column.addLayout(row(caption, *help_marks(name, cell), None, spacing=SPACE // 2))
            self._cell_of[name] = cell
        self._keep_width()
        self._arrange()
        theme.theme_changed.connect(self._keep_width)

    @property
    def cells(self) -> list[QWidget]:
        """The widgets of the numbers with their names."""
        return [*self._cell_of.values()]

    def set_number(self, name: str, text: str) -> None:
        """Show `text` as the number called `name`."""
        self._numbers[name].setText(text)

    def number(self, name: str) -> str:
        """Return the text of the number called `name`."""
        return self._numbers[name].text()

    def set_shown(self, name: str, is_shown: bool) -> None:
        """Show or hide a number; by default, it is shown."""
        if (name in self._left_out) == is_shown:
            self._left_out ^= {name}
            self._cell_of[name].setVisible(is_shown)
            self._columns = self._fitting()
            self._arrange()

    def minimumSizeHint(self) -> QSize:
        return QSize(0, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        columns = self._fitting()
        if columns != self._columns:
            self._columns = columns
            self._arrange()

    @property
    def _shown(self) -> list[QWidget]:
        return [cell for name, cell in self._cell_of.items() if name not in self._left_out]

    def _fitting(self) -> int:
        """Return the number of columns that fit."""
        return next((n for n in range(len(self._shown), 1, -1) if self._needed(n) <= self.width()), 1)

    def _needed(self, columns: int) -> int:
        """Return the width in pixels that this many columns need."""
        widths = [cell.sizeHint().width() for cell in self._shown]
        return sum(max(widths[i::columns]) for i in range(columns)) + 3 * SPACE * (columns - 1)

    def _arrange(self) -> None:
        for i, cell in enumerate(self._shown):
            self._grid.addWidget(cell, i // self._columns, i % self._columns)

    def _keep_width(self) -> None:
        metrics = QFontMetrics(self._theme.mono_font(1.25))
        for number in self._numbers.values():
            number.setMinimumWidth(metrics.horizontalAdvance(self._widest))
