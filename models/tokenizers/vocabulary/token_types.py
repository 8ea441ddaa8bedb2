"""What sort of thing a token is, told from its bytes and from how its tokenizer marks words: types and scripts."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

TYPES = {
    "special": "Means something to the model, and comes from no text: an end, a role, padding, what is unknown",
    "added": "Put into the vocabulary by hand, and found in a text before anything else is",
    "byte": "One byte that is no character of its own",
    "fragment": "Several bytes that are not whole characters",
    "character": "One character",
    "space": "Nothing but spaces, tabs and line ends",
    "number": "Digits",
    "sign": "Punctuation and symbols",
    "word": "A whole word",
    "word start": "Begins a word: with its space, or by going without the mark of what goes on",
    "continuation": "Goes on within a word, or begins one that no space precedes",
    "piece": "Letters: this tokenizer does not mark where words begin",
}
"""Every type of token, with what it means, in the order of the vocabulary browser."""

_SCRIPTS = frozenset(
    (
        *("ARABIC", "ARMENIAN", "BENGALI", "BOPOMOFO", "CHEROKEE", "CYRILLIC", "DEVANAGARI", "ETHIOPIC", "GEORGIAN"),
        *("GREEK", "GUJARATI", "GURMUKHI", "HANGUL", "HEBREW", "HIRAGANA", "KANNADA", "KATAKANA", "KHMER", "LAO"),
        *("LATIN", "MALAYALAM", "MONGOLIAN", "MYANMAR", "ORIYA", "SINHALA", "SYRIAC", "TAMIL", "TELUGU", "THAANA"),
        *("THAI", "TIBETAN"),
    )
)


def type_of_text(text: str, words: str) -> str:
    """The type of whole characters. words: how the tokenizer tells that a word begins.

    "space" (by the space before it), "mark" (what goes on is marked instead), "whole" (each token is a word) or "none".
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
    """The script of the first letter, by Unicode's names: Latin, Cyrillic, Han …; '' where there is none."""
    letter = next((character for character in text if character.isalpha()), "")
    return _script(letter) if letter else ""


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    name = unicodedata.name(letter, "").partition(" ")[0]
    if name == "CJK":
        return "Han"
    return name.title() if name in _SCRIPTS else ""
