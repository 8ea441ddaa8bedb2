"""Highlights masks in a text."""

from __future__ import annotations

import re

from PySide6.QtGui import QFont, QTextDocument

from terrarium.app.kit.text.highlighter import Highlighter
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.tokenizers.special_tokens import MASK_SPELLINGS

MASKS = re.compile("|".join(map(re.escape, MASK_SPELLINGS)))
"""Matches all spellings of a mask."""


class MaskColours(Highlighter):
    """Colours the matches of `pattern`; follows the theme."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider, pattern: re.Pattern[str] = MASKS) -> None:
        self._pattern = pattern
        super().__init__(document, theme, {"mask": "accent"})

    def restyle_formats(self) -> None:
        self.formats["mask"].setBackground(self._theme.theme.color("accent_soft"))
        self.formats["mask"].setFontWeight(QFont.Weight.DemiBold)

    def highlightBlock(self, text: str) -> None:
        for match in self._pattern.finditer(text):
            self.setFormat(match.start(), len(match[0]), self.formats["mask"])
