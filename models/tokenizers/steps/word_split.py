"""Splitting of a text into the words that a tokenizer's model gets: added tokens, normalisation, pre-tokenization."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from tokenizers import AddedToken, PreTokenizedString, Tokenizer, pre_tokenizers

# The library's notions of word and space differ from Python's: an accent is part of a word, U+001C is not a space.
_WORDS = pre_tokenizers.Whitespace()


class SplitWord(NamedTuple):
    """One word of a text, as the model gets it. `added_id`: the id if it is an added token instead of a word."""

    text: str
    added_id: int | None = None


class WordSplitter:
    """Reproduces what a tokenizer does before its model runs, in the order of the library's source.

    The library itself normalises and splits; only the search for added tokens is reimplemented, as it is not exposed.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._normalizer, self._pre_tokenizer = tokenizer.normalizer, tokenizer.pre_tokenizer
        added = tokenizer.get_added_tokens_decoder()
        spelled = bool(getattr(tokenizer, "encode_special_tokens", False))
        used = {id: token for id, token in added.items() if token.content and not (spelled and token.special)}
        self._raw = _Finder({token.content: (id, token) for id, token in used.items() if not token.normalized})
        self._normalized = _Finder(
            {self._normalize(token.content): (id, token) for id, token in used.items() if token.normalized}
        )

    def split(self, text: str) -> tuple[str, list[SplitWord]]:
        """Return the normalised text, and its words in order; added tokens are words of their own."""
        normalized: list[str] = []
        words: list[SplitWord] = []
        for start, end, id in self._raw.cut(text):
            if id is not None:
                normalized.append(text[start:end])
                words.append(SplitWord(text[start:end], id))
                continue
            shown, found = self._plain(text[start:end], is_first=start == 0)
            normalized.append(shown)
            words.extend(found)
        return "".join(normalized), words

    def _plain(self, text: str, *, is_first: bool) -> tuple[str, list[SplitWord]]:
        """Return (normalised text, words) of a text without raw added tokens."""
        whole = self._prepared(text, is_first)
        normalized = "".join(part for part, _, _ in whole.get_splits())
        words: list[SplitWord] = []
        for start, end, id in self._normalized.cut(normalized):
            if id is not None:
                words.append(SplitWord(normalized[start:end], id))
                continue
            part = self._prepared(text, is_first)
            part.split(lambda _, string, start=start, end=end: [string[start:end]])
            if self._pre_tokenizer is not None:
                self._pre_tokenizer.pre_tokenize(part)
            words.extend(SplitWord(word) for word, _, _ in part.get_splits() if word)
        return normalized, words

    def _prepared(self, text: str, is_first: bool) -> Any:
        # Some steps act on the start of a text only, which the text after an added token is not.
        prepared = PreTokenizedString(text if is_first else "x" + text)
        if not is_first:
            prepared.split(lambda _, string: [string[1:]])
        if self._normalizer is not None:
            prepared.normalize(self._normalizer.normalize)
        return prepared

    def _normalize(self, text: str) -> str:
        return text if self._normalizer is None else str(self._normalizer.normalize_str(text))


@lru_cache(maxsize=4096)
def _is_word_character(character: str) -> bool:
    return bool(character) and [word for word, _ in _WORDS.pre_tokenize_str(f"a{character}")] == [f"a{character}"]


@lru_cache(maxsize=4096)
def _is_space(character: str) -> bool:
    return not _WORDS.pre_tokenize_str(character)


class _Finder:
    """Finds added tokens in a text, leftmost and longest first, with their rules on adjacent spaces and words."""

    def __init__(self, tokens: dict[str, tuple[int, AddedToken]]) -> None:
        self._tokens = {content: token for content, token in tokens.items() if content}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def cut(self, text: str) -> Iterator[tuple[int, int, int | None]]:
        """Yield (start, end, id or None) that tile the text; nothing for an empty one."""
        done = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            id, token = self._tokens[match.group()]
            start, end = match.span()
            if token.single_word and (
                _is_word_character(text[start - 1 : start]) or _is_word_character(text[end : end + 1])
            ):
                continue
            while token.lstrip and start > done and _is_space(text[start - 1]):
                start -= 1
            while token.rstrip and end < len(text) and _is_space(text[end]):
                end += 1
            if done < start:
                yield done, start, None
            yield start, end, id
            done = end
        if done < len(text):
            yield done, len(text), None
