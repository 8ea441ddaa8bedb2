"""The line above a chart: its title with a “?”, its unit, the legend, and the read-out at the right."""

from __future__ import annotations

import html
from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSizePolicy, QWidget

from terrarium.app.kit.basics import label, plain_tip, row
from terrarium.app.kit.help_mark import help_marks
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE

Entry = tuple[str, str, str, str]
"""An entry of a legend: its colour, what stands for it, its name, and its explanation."""
_SHORT = 64
"""Pixels of a read-out that are always shown."""


class ReadOut(ElidedLabel):
    """The values beside a title, of which the short ones are never cut off."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("role", "small")
        self.alignment = Qt.AlignmentFlag.AlignRight

    def minimumSizeHint(self) -> QSize:
        return QSize(min(self.sizeHint().width(), _SHORT), super().minimumSizeHint().height())


class PlotHead(QHBoxLayout):
    """The line above a chart. Where there is little room, the unit is elided before the values are.

    Args:
        title: the heading, or a widget that serves as one. role: of the heading, in the style sheet.
        tip: explains it. explained: the widget on which F1 shows the term of the heading.
    """

    def __init__(self, title: str | QWidget, role: str, tip: str, explained: QWidget) -> None:
        super().__init__()
        self.title = title if isinstance(title, QWidget) else label(title, role)
        self.title.setToolTip(plain_tip(tip) if tip else self.title.toolTip())
        if not title:
            self.title.hide()
        self.unit, self.read_out = ElidedLabel(), ReadOut()
        self.unit.setProperty("role", "caption")
        self.unit.setMinimumWidth(1)
        self.unit.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self._legend, self._names = QHBoxLayout(), list[QLabel]()
        self._legend.setSpacing(2 * SPACE)
        self._legend.setContentsMargins(SPACE, 0, 0, 0)
        marks = help_marks(self.title.text(), explained) if isinstance(self.title, QLabel) else []
        self.setSpacing(SPACE)
        self.addLayout(row(self.title, *marks, spacing=SPACE // 2))
        self.addWidget(self.unit)
        self.addLayout(self._legend)
        self.addWidget(self.read_out, 1)

    def set_title(self, title: str) -> None:
        """Change the heading."""
        assert isinstance(self.title, QLabel)
        self.title.setText(title)
        self.title.setVisible(bool(title))

    def show_unit(self, unit: str) -> None:
        """Show a unit, or another short note, beside the title; "" for none."""
        self.unit.setText(unit)
        self.unit.setVisible(bool(unit))

    def show_legend(self, entries: Sequence[Entry]) -> None:
        """Show the entries of the legend."""
        while len(self._names) > len(entries):
            self._names.pop().deleteLater()
        while len(self._names) < len(entries):
            name = label("", "caption")
            name.setTextFormat(Qt.TextFormat.RichText)
            self._names.append(name)
            self._legend.addWidget(name)
        for name, (colour, sample, words, tip) in zip(self._names, entries, strict=True):
            name.setText(f'<span style="color:{colour}">{sample}</span> {html.escape(words)}')
            name.setToolTip(plain_tip(tip))
