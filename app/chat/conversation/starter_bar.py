"""Buttons that draw a new question or request of a kind that the model can do."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.kit.basics import button, label
from app.kit.layout.flow_layout import FlowLayout
from app.kit.theme import SPACE, ThemeProvider

_NAMES = {
    "knowledge": ("Fact", "A question about a fact of this model's world, in words never seen with that fact"),
    "requests": ("Story", "A story about somebody, a thing and a place that never occurred together"),
    "reading": ("Reading", "One fact among several in the message"),
    "state": ("Events", "What is so after events that changed it"),
    "sums": ("Sum", "A sum of two numbers below 100 that was never seen"),
    "translation": ("Translation", "A sentence never seen, from English to French"),
}


class StarterBar(QWidget):
    """A row of kinds; two, where there is little room.

    Signals:
        asked(kind): the user wants a new one of this kind.
    """

    asked = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._kinds: tuple[str, ...] = ()
        self._layout = FlowLayout(self, SPACE // 2)
        caption = label("Try", "muted")
        caption.setToolTip("Each draws a new question that was kept out of training; the right answer is known")
        self._layout.addWidget(caption)
        self.hide()

    def set_kinds(self, kinds: Sequence[str]) -> None:
        """Offer these kinds; none hides the row."""
        self.setVisible(bool(kinds))
        if tuple(kinds) == self._kinds:
            return
        self._kinds = tuple(kinds)
        while self._layout.count() > 1:
            item = self._layout.takeAt(1)
            widget = item.widget() if item is not None else None
            if widget is not None:
                widget.deleteLater()
        for kind in kinds:
            name, tip = _NAMES.get(kind, (kind.capitalize(), ""))
            chip = button(name, self._theme, lambda kind=kind: self.asked.emit(kind), tip=tip)  # type: ignore[misc]
            chip.setProperty("kind", kind)
            self._layout.addWidget(chip)
