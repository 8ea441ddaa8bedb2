"""A number that changes while one looks at it: its place is as wide for every number."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QLabel


class NumberLabel(QLabel):
    """A right-aligned text in the fixed-width font, in a place for `n_characters` of them. role: mono, mono-small."""

    def __init__(self, n_characters: int, role: str = "mono") -> None:
        super().__init__()
        self._n_characters = n_characters
        self.setProperty("role", role)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance("0" * self._n_characters) + 2, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()
