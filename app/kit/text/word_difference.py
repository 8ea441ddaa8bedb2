"""A text whose words that differ from another text are marked (a word diff)."""

from __future__ import annotations

import difflib
import html
import re

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from terrarium.app.kit.theme import ThemeProvider

_WORD = re.compile(r"\s+|\w+|[^\w\s]")
_MAX_WORDS = 2000
"""Longer texts are not compared, as that would take too long."""


def marked_words(text: str, other: str) -> list[tuple[str, bool]]:
    """Split `text` into parts of whole words and white space, each with whether it differs from `other` (a diff)."""
    ours, theirs = _WORD.findall(text), _WORD.findall(other)
    if max(len(ours), len(theirs)) > _MAX_WORDS:
        return [(text, False)]
    matcher = difflib.SequenceMatcher(None, theirs, ours, autojunk=False)
    return [("".join(ours[i:j]), kind != "equal") for kind, _, _, i, j in matcher.get_opcodes() if j > i]


class ComparedText(QLabel):
    """A text, optionally with the words that differ from another text marked in bold and colour."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._own = self._other = ""
        self._is_marked = False
        self.setAccessibleName(name)
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setWordWrap(True)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.MinimumExpanding)
        theme.theme_changed.connect(self._draw)

    @property
    def written(self) -> str:
        """The text."""
        return self._own

    @property
    def is_marked(self) -> bool:
        """Whether the words that differ are marked."""
        return self._is_marked

    def show_text(self, text: str, other: str = "", *, marked: bool = False) -> None:
        """Show a text; with `marked`, mark its differences from `other`."""
        self._own, self._other, self._is_marked = text, other, marked
        self.setAccessibleDescription(text)
        self._draw()

    @Slot()
    def _draw(self) -> None:
        theme = self._theme.theme
        ground, ink = theme.accent_soft, theme.accent
        parts = marked_words(self._own, self._other) if self._is_marked else [(self._own, False)]
        shown = "".join(
            f'<span style="background-color:{ground};color:{ink};font-weight:600">{as_html(part)}</span>'
            if is_different
            else as_html(part)
            for part, is_different in parts
        )
        self.setText(f'<p style="line-height:140%;margin:0">{shown}</p>')


def as_html(text: str) -> str:
    """Convert plain text to HTML that preserves spaces and line breaks."""
    return html.escape(text, quote=False).replace("  ", "&nbsp; ").replace("\n", "<br>")
