"""Escapes characters that no installed font can draw as ⟨U+4F60⟩, since all of them look like the same empty box."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from PySide6.QtGui import QFont, QFontMetrics

from terrarium.models.tokenizers.codec import MARKS

_MARKED = {mark: character for character, mark in MARKS.items()}


class Glyphs:
    """Tells which characters can be drawn in `font` or its fallback fonts. Each character is looked up once."""

    def __init__(self, font: QFont) -> None:
        self._metrics = QFontMetrics(font)
        self._known: dict[str, bool] = {}

    def missing(self, text: Iterable[str]) -> frozenset[str]:
        """Return the characters of a text, and the marks of white space, that would be drawn as empty boxes."""
        return frozenset(character for character in {*text, *_MARKED} if not self._has(character))

    def drawable(self, shown: str) -> str:
        """Escape the characters of `shown` (from `show_bytes`) that would be drawn as empty boxes."""
        return shown if shown.isascii() else escape(shown, self.missing(shown))

    def _has(self, character: str) -> bool:
        known = self._known.get(character)
        if known is None:
            known = _needs_no_glyph(character) or self._metrics.inFontUcs4(ord(character))
            self._known[character] = known
        return known


def escape(shown: str, missing: frozenset[str]) -> str:
    """Replace `missing` characters of a display form by their code points, marks of white space by that of the space.

    The form is that in which `show_bytes` writes invisible characters.
    """
    return "".join(_number(_MARKED.get(each, each)) if each in missing else each for each in shown)


def _number(character: str) -> str:
    code = ord(character)
    return f"⟨{code:02X}⟩" if code < 0x80 else f"⟨U+{code:04X}⟩"


def _needs_no_glyph(character: str) -> bool:
    """Return whether Qt draws nothing for a character in any font: control, format and space characters, and variation
    selectors."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zs") or "\ufe00" <= character <= "\ufe0f"
