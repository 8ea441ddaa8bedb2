"""Types and scripts of tokens, from their bytes and the way the tokenizer marks words."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

TYPES = {
    "special": "Has a meaning for the model and is not produced from text: end, roles, padding, unknown",
    "added": "Added to the vocabulary by hand, and matched in a text before anything else",
    "byte": "One byte that is not a whole character",
    "fragment": "Several bytes that are not whole characters",
    "character": "One character",
    "space": "Only spaces, tabs and line breaks",
    "number": "Digits",
    "sign": "Punctuation and symbols",
    "word": "A whole word",
    "word start": "Begins a word: with a leading space, or without a continuation mark",
    "continuation": "Continues a word, or begins one without a space before it",
    "piece": "Letters: this tokenizer does not mark where words begin",
}
"""Type of token -> explanation for display, in the order of the vocabulary browser."""

_SCRIPTS = frozenset(
    (
        *("ARABIC", "ARMENIAN", "BENGALI", "BOPOMOFO", "CHEROKEE", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN"),
        *("GREEK", "GUJARATI", "GURMUKHI", "HANGUL", "HEBREW", "HIRAGANA", "KANNADA", "KATAKANA", "KHMER", "LAO"),
        *("LATIN", "MALAYALAM", "MONGOLIAN", "MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL", "TELUGU", "THAANA"),
        *("THAI", "TIBETAN"),
    )
)


def type_of_text(text: str, words: str) -> str:
    """Return the type of a text. words: how the tokenizer marks the beginning of words.

    "space" (by a leading space), "mark" (continuations are marked instead), "whole" (each token is a word) or "none".
    """
    if len(text) == 1:
        return "character"
    if text.isspace():
        return "space"
    if any(character.isalpha() for character in text):
        if words == "space":
            return "word start" if text[0].isspace() else "continuation"
        return {"mark": "word start", "whole": "word", "none": "piece"}[words]
    return "number" if any(character.isnumeric() for character in text) else "sign"


def script_of(text: str) -> str:
    """Return the Unicode script of the first letter (Latin, Cyrillic, Han, …), or ""."""
    letter = next((character for character in text if character.isalpha()), "")
    return _script(letter) if letter else ""


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0]
    if name == "CJK":
        return "Han"
    return name.title() if name in _SCRIPTS else ""
