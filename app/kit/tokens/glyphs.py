"""Characters that no font of this computer has: written as ⟨U+4F60⟩, since all of them look like one empty box."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from PySide6.QtGui import QFont, QFontMetrics

from terrarium.models.tokenizers.codec import MARKS

_MARKED = {mark: character for character, mark in MARKS.items()}


class Glyphs:
    """The characters that can be drawn in `font` or its fallback fonts. Each character is looked up once."""

    def __init__(self, font: QFont) -> None:
        self._metrics = QFontMetrics(font)
        self._known: dict[str, bool] = {}

    def missing(self, text: Iterable[str]) -> frozenset[str]:
        """The characters that would be empty boxes, and such marks of white space."""
        return frozenset(character for character in {*text, *_MARKED} if not self._has(character))

    def drawable(self, shown: str) -> str:
        """`shown`, as `show_bytes` returns it, with an escape in place of each character that would be an empty box."""
        return shown if shown.isascii() else escape(shown, self.missing(shown))

    def _has(self, character: str) -> bool:
        known = self._known.get(character)
        if known is None:
            known = _needs_no_glyph(character) or self._metrics.inFontUcs4(ord(character))
            self._known[character] = known
        return known


def escape(shown: str, missing: frozenset[str]) -> str:
    """The `missing` characters of a display form by their number, and marks of white space by that of their character.

    As `show_bytes` writes what is invisible.
    """
    return "".join(_number(_MARKED.get(each, each)) if each in missing else each for each in shown)


def _number(character: str) -> str:
    code = ord(character)
    return f"⟨{code:02X}⟩" if code < 0x80 else f"⟨U+{code:04X}⟩"


def _needs_no_glyph(character: str) -> bool:
    """Whether Qt draws nothing for it in any font: control and format characters, variation selectors."""
    return unicodedata.category(character) in ("Cc", "Cf", "Zs") or "\ufe00" <= character <= "\ufe0f"
