"""How a difference between a text and what came back of it is told in a sentence."""

from __future__ import annotations

import re

_SHOWN, _NAMED = 40, 3  # characters of one word; words
_SURROGATE = re.compile("[\ud800-\udfff]")


def what_happens(text: str, back: str) -> str:
    """“É” comes back as “e”; a space is lost."""
    if not text:
        return f"{_in_words(back)} {'come' if _is_plural(back) else 'comes'} in"
    if not back:
        return f"{_in_words(text)} {'are' if _is_plural(text) else 'is'} lost"
    return f"{_in_words(text)} {'come' if _is_plural(text) else 'comes'} back as {_in_words(back)}"


def _is_plural(text: str) -> bool:
    return len(text) > 1 and text.isspace()


def not_known(words: list[str]) -> str:
    """Why words that are in no vocabulary differ."""
    shown = [f"“{short(word)}”" for word in words[:_NAMED]]
    if len(words) > _NAMED:
        shown.append(f"{len(words) - _NAMED} more")
    if len(shown) == 1:
        return f"{shown[0]} is not in the vocabulary, and cannot be spelled with it"
    return f"{', '.join(shown[:-1])} and {shown[-1]} are not in the vocabulary, and cannot be spelled with it"


_NAMES = {" ": "a space", "\n": "a line break", "\t": "a tab", "\0": "a NUL character", "\r": "a carriage return"}


def _in_words(text: str) -> str:
    """A text in a sentence: in its marks, and what cannot be seen by name."""
    if _SURROGATE.fullmatch(text):
        return f"half a character (U+{ord(text):04X})"
    if text in _NAMES:
        return _NAMES[text]
    if set(text) == {" "}:
        return f"{len(text)} spaces"
    if set(text) == {"\n"}:
        return f"{len(text)} line breaks"
    if text.isspace():
        return f"{len(text)} white-space characters"
    return f"“{short(text)}”"


def short(text: str) -> str:
    """A text in one line in which everything can be seen, cut in the middle where it is long."""
    shown = text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 + 1 :]}"
    return "".join(c if c.isprintable() else {"\n": "⏎", "\t": "⇥"}.get(c, f"⟨U+{ord(c):04X}⟩") for c in shown)
