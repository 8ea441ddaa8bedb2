"""How a text becomes the words that a tokenizer's model is given: added tokens cut out, normalised, split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tokenizers import AddedToken, PreTokenizedString, Tokenizer

_WORD_END, _WORD_START = re.compile(r"\w\Z"), re.compile(r"\w")
_SPACES_BEFORE, _SPACES_AFTER = re.compile(r"\s*\Z"), re.compile(r"\s*")


class Split(NamedTuple):
    """One word of a text, as the model is given it. `added_id`: of the added token that it is, and no word at all."""

    text: str
    added_id: int | None = None


class WordSplitter:
    """Does to a text what a tokenizer does before its model comes in; the source is the library's own order of steps.

    The library itself normalises and splits; only cutting out the added tokens is done anew, since it tells nothing
    of it.
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

    def split(self, text: str) -> tuple[str, list[Split]]:
        """The normalised text, and its words in order; added tokens are words of their own."""
        normalized: list[str] = []
        words: list[Split] = []
        for start, end, id in self._raw.cut(text):
            if id is not None:
                normalized.append(text[start:end])
                words.append(Split(text[start:end], id))
                continue
            shown, found = self._plain(text[start:end], is_first=start == 0)
            normalized.append(shown)
            words.extend(found)
        return "".join(normalized), words

    def _plain(self, text: str, *, is_first: bool) -> tuple[str, list[Split]]:
        """What is made of a text without raw added tokens."""
        whole = self._prepared(text, is_first)
        normalized = "".join(part for part, _, _ in whole.get_splits())
        words: list[Split] = []
        for start, end, id in self._normalized.cut(normalized):
            if id is not None:
                words.append(Split(normalized[start:end], id))
                continue
            part = self._prepared(text, is_first)
            part.split(lambda _, string, start=start, end=end: [string[start:end]])
            if self._pre_tokenizer is not None:
                self._pre_tokenizer.pre_tokenize(part)
            words.extend(Split(word) for word, _, _ in part.get_splits() if word)
        return normalized, words

    def _prepared(self, text: str, is_first: bool) -> Any:
        # Some steps do something to the start of a text only: what stands behind an added token is none.
        prepared = PreTokenizedString(text if is_first else "x" + text)
        if not is_first:
            prepared.split(lambda _, string: [string[1:]])
        if self._normalizer is not None:
            prepared.normalize(self._normalizer.normalize)
        return prepared

    def _normalize(self, text: str) -> str:
        return text if self._normalizer is None else str(self._normalizer.normalize_str(text))


class _Finder:
    """Finds added tokens in a text, the leftmost and longest first, with what each says of its surroundings."""

    def __init__(self, tokens: dict[str, tuple[int, AddedToken]]) -> None:
        self._tokens = {content: token for content, token in tokens.items() if content}
        longest_first = sorted(self._tokens, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def cut(self, text: str) -> Iterator[tuple[int, int, int | None]]:
        """(start, end, id or None) that tile the text; nothing for an empty one."""
        done = 0
        for match in self._pattern.finditer(text) if self._pattern else ():
            id, token = self._tokens[match.group()]
            start, end = match.span()
            if token.single_word and (_WORD_END.search(text[:start]) or _WORD_START.match(text, end)):
                continue
            if token.lstrip:
                before = _SPACES_BEFORE.search(text[:start])
                assert before is not None
                start = max(before.start(), done)
            if token.rstrip:
                after = _SPACES_AFTER.match(text, end)
                assert after is not None
                end = after.end()
            if done < start:
                yield done, start, None
            yield start, end, id
            done = end
        if done < len(text):
            yield done, len(text), None
