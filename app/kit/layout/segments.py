"""A segmented control: a few exclusive choices side by side."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QLayout, QPushButton, QWidget

from terrarium.app.kit.basics import plain_tip, row
from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.theme import SPACE


class Segments(QWidget):
    """A group of exclusive buttons, one of them checked; the arrow keys move between them.

    Args:
        choices: value -> label.
        wraps: wrap into several lines if there is too little space.

    Signals:
        changed(str): the user chose another value.
    """

    changed = Signal(str)

    def __init__(
        self,
        name: str,
        choices: Mapping[str, str],
        tip: str = "",
        parent: QWidget | None = None,
        *,
        wraps: bool = False,
    ) -> None:
        super().__init__(parent)
        self.setAccessibleName(name)
        self.buttons = QButtonGroup(self)
        self._values = tuple(choices)
        layout: QLayout = FlowLayout(self, SPACE // 2) if wraps else row(spacing=SPACE // 2)
        self.setLayout(layout)
        for i, words in enumerate(choices.values()):
            button = QPushButton(words)
            button.setCheckable(True)
            button.setProperty("role", "segment")
            button.setAccessibleName(f"{name}: {words}")
            button.setToolTip(plain_tip(tip))
            self.buttons.addButton(button, i)
            layout.addWidget(button)
        self.buttons.button(0).setChecked(True)
        self.buttons.idClicked.connect(lambda i: self.changed.emit(self._values[i]))

    @property
    def value(self) -> str:
        """The chosen value."""
        return self._values[self.buttons.checkedId()]

    def choose(self, value: str) -> None:
        """Choose a value, without emitting a signal."""
        self.buttons.button(self._values.index(value)).setChecked(True)
