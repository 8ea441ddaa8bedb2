"""Python in the theme's colours: calm, so that the code is read and not the colours."""

from __future__ import annotations

import keyword
import re

from PySide6.QtGui import QFont, QTextDocument

from app.kit.text.highlighter import Highlighter
from app.kit.theme import ThemeProvider

_TOKENS = re.compile(
    r"(?P<comment>\#.*)"
    r"|(?P<opening>\"\"\")"
    r"|(?P<text>[fr]?\"(?:\\.|[^\"\\])*\"|[fr]?'(?:\\.|[^'\\])*')"
    r"|(?P<number>\b\d[\d_]*\.?\d*(?:e[+-]?\d+)?\b)"
    r"|(?P<definition>(?<=\bdef )\w+|(?<=\bclass )\w+)"
    r"|(?P<decorator>@\w[\w.]*)"
    r"|(?P<constant>\b(?:True|False|None)\b)"
    rf"|(?P<keyword>\b(?:{'|'.join(word for word in keyword.kwlist if word not in ('True', 'False', 'None'))})\b)"
)
_ROLES = {
    "comment": "muted",
    "text": "accent",
    "number": "validation",
    "definition": "text",
    "decorator": "info",
    "constant": "validation",
    "keyword": "info",
}
_INSIDE = 1
"""The state of a line that ends within a docstring."""


class CodeColours(Highlighter):
    """Colours a document of Python; follows the theme."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        super().__init__(document, theme, _ROLES)

    def restyle_formats(self) -> None:
        self.formats["definition"].setFontWeight(QFont.Weight.DemiBold)
        self.formats["comment"].setFontItalic(True)

    def highlightBlock(self, text: str) -> None:
        self.setCurrentBlockState(0)
        start = 0
        if self.previousBlockState() == _INSIDE:
            start = self._rest_of_docstring(text, 0, 0)
        while start < len(text) and (match := _TOKENS.search(text, start)) is not None:
            if match.lastgroup == "opening":
                start = self._rest_of_docstring(text, match.start(), match.end())
            else:
                self.setFormat(match.start(), match.end() - match.start(), self.formats[match.lastgroup or ""])
                start = match.end()

    def _rest_of_docstring(self, text: str, first: int, after_opening: int) -> int:
        """Colour a docstring from `first` on, up to where it ends in this line; returns where code goes on."""
        end = text.find('"""', after_opening)
        stop = len(text) if end < 0 else end + 3
        if end < 0:
            self.setCurrentBlockState(_INSIDE)
        self.setFormat(first, stop - first, self.formats["text"])
        return stop
