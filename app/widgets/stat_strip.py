"""A few measured numbers in a row, each with its name; nothing moves when they change."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.theme import SPACE, ThemeProvider
from app.widgets.basics import label


class StatStrip(QWidget):
    """Numbers above their names.

    Args:
        stats: name -> what it means, for the tooltip.
        widest: a number as wide as any will be: each place keeps that width.
    """

    def __init__(self, stats: Mapping[str, str], theme: ThemeProvider, *, widest: str = "88,888") -> None:
        super().__init__()
        self._theme, self._widest = theme, widest
        self._numbers: dict[str, QLabel] = {}
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3 * SPACE)
        for name, tip in stats.items():
            number, caption = label("–", "number"), label(name, "caption")
            number.setAccessibleName(name)
            self._numbers[name] = number
            column = QVBoxLayout()
            column.setSpacing(0)
            for widget in (number, caption):
                widget.setToolTip(tip)
                column.addWidget(widget)
            layout.addLayout(column)
        layout.addStretch(1)
        self._keep_width()
        theme.theme_changed.connect(self._keep_width)

    def set_number(self, name: str, text: str) -> None:
        """Show `text` as the number called `name`."""
        self._numbers[name].setText(text)

    def number(self, name: str) -> str:
        """What is shown."""
        return self._numbers[name].text()

    def _keep_width(self) -> None:
        metrics = QFontMetrics(self._theme.mono_font(1.25))
        for number in self._numbers.values():
            number.setMinimumWidth(metrics.horizontalAdvance(self._widest))
