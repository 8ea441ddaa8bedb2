"""Marks of the characters that a model wrote: stored in character formats, shown as background colours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from PySide6.QtCore import Slot
from PySide6.QtGui import (
    QSyntaxHighlighter,
    QTextBlock,
    QTextBlockUserData,
    QTextCharFormat,
    QTextDocument,
    QTextFormat,
    QTextFragment,
)

from terrarium.app.chat.notebook.file import Segment, WrittenToken
from terrarium.app.glass.tokens.colours import QUANTITIES, Shades
from terrarium.app.kit.theme import ThemeProvider

_FIRST = int(QTextFormat.Property.UserProperty.value)
_ID, _PROBABILITY, _ENTROPY, _RANK, _GENERATION, _INDEX = range(_FIRST, _FIRST + 6)


def fragments(block: QTextBlock) -> Iterator[QTextFragment]:
    """Yield the runs of a block that share one character format."""
    for part in cast("Iterable[Any]", block):
        yield part.fragment()


def token_char_format(token: WrittenToken, generation: int, index: int) -> QTextCharFormat:
    """Return a character format that stores the token."""
    char_format = QTextCharFormat()
    values = (token.id, token.probability, token.entropy, token.rank, generation, index)
    for name, value in zip((_ID, _PROBABILITY, _ENTROPY, _RANK, _GENERATION, _INDEX), values, strict=True):
        char_format.setProperty(name, value)
    return char_format


def token_from(char_format: QTextCharFormat) -> WrittenToken | None:
    """Return the token stored in a format; None for the user's text."""
    if not char_format.hasProperty(_ID):
        return None
    return WrittenToken(*(char_format.property(name) for name in (_ID, _PROBABILITY, _ENTROPY, _RANK)))


def segments_of(block: QTextBlock) -> Sequence[Segment]:
    """Return the segments of a block, cached until the block changes."""
    known = block.userData()
    if not isinstance(known, _Known) or known.revision != block.revision():
        segments = [Segment(part.text(), token_from(part.charFormat())) for part in fragments(block)]
        known = _Known(block.revision(), segments)
        block.setUserData(known)
    return known.segments


class _Known(QTextBlockUserData):
    def __init__(self, revision: int, segments: Sequence[Segment]) -> None:
        super().__init__()
        self.revision, self.segments = revision, segments


def token_key(char_format: QTextCharFormat) -> tuple[int, int]:
    """Return the (generation, index) of the token stored in a format; (−1, −1) for the user's text."""
    if not char_format.hasProperty(_ID):
        return -1, -1
    return char_format.property(_GENERATION), char_format.property(_INDEX)


class NotebookColours(QSyntaxHighlighter):
    """Background colours for text that a model wrote; not part of the text, so undo ignores them."""

    def __init__(self, document: QTextDocument, theme: ThemeProvider) -> None:
        super().__init__(document)
        self._theme, self._quantity = theme, ""
        self._shades: Shades | None = None
        theme.theme_changed.connect(self._restyle)

    def set_quantity(self, quantity: str) -> None:
        self._quantity = quantity
        self._restyle()

    @Slot()
    def _restyle(self) -> None:
        self._shades = Shades(self._theme, QUANTITIES[self._quantity]) if self._quantity else None
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        block = self.currentBlock()
        for fragment in fragments(block):
            token = token_from(fragment.charFormat())
            if token is not None:
                self.setFormat(fragment.position() - block.position(), fragment.length(), self._ground(token))

    def _ground(self, token: WrittenToken) -> QTextCharFormat:
        char_format = QTextCharFormat()
        if self._shades is None or not token.rank:
            char_format.setBackground(self._theme.theme.color("selection"))
            return char_format
        value = QUANTITIES[self._quantity].of(token.probability, token.entropy, token.rank)
        ground, words = self._shades.of(value)
        char_format.setBackground(ground)
        char_format.setForeground(words)
        return char_format
