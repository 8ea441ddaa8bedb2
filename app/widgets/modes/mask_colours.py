"""Masks stand out in the text that they are in."""

from __future__ import annotations

import re

from PySide6.QtCore import Slot
from PySide6.QtGui import QFont, QSyntaxHighlighter, QTextCharFormat, QTextDocument

from app.theme import ThemeProvider
from models.tokenizers.roles import MASK_SPELLINGS

MASKS = re.compile("|".join(map(re.escape, MASK_SPELLINGS)))
"""How a mask may be written."""


class MaskColours(QSyntaxHighlighter):
    """Colours what matches `pattern`; follows the theme."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider, pattern: re.Pattern[str] = MASKS) -> None:
        super().__init__(document)
        self._theme, self._pattern = theme, pattern
        self._look = QTextCharFormat()
        self._restyle()
        theme.theme_changed.connect(self._restyle)

    @Slot()
    def _restyle(self) -> None:
        self._look.setForeground(self._theme.theme.color("accent"))
        self._look.setBackground(self._theme.theme.color("accent_soft"))
        self._look.setFontWeight(QFont.Weight.DemiBold)
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        for match in self._pattern.finditer(text):
            self.setFormat(match.start(), len(match[0]), self._look)
