"""Trace of how any tokenizer turns a text into tokens: its words, and the steps within each.

The steps derived here can be compared with the tokenizer's own output (`Word.encoded`, `find_mismatches`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from tokenizers import AddedToken, PreTokenizedString, Tokenizer, pre_tokenizers

from terrarium.models.tokenizers.codec import has_merges, show_bytes
from terrarium.models.tokenizers.steps.bpe import BpeSteps, BpeTable, Node
from terrarium.models.tokenizers.steps.unigram import UnigramSteps, UnigramTable
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps, WordPieceTable
from terrarium.models.tokenizers.token_bytes import TokenBytes, component_steps

# The library's notions of word and space differ from Python's: an accent is part of a word, U+001C is not a space.
_WORDS = pre_tokenizers.Whitespace()


@dataclass(frozen=True, eq=False)
class LookupSteps:
    """A word looked up as a whole. `known`: False if it becomes the unknown token."""

    word: str
    id: int
    known: bool

    n_steps = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The single id."""
        return (self.id,)


WordSteps = BpeSteps | WordPieceSteps | UnigramSteps | LookupSteps


@dataclass(frozen=True)
class Word:
    """One distinct word of a text, as the model gets it.

    display: for the screen. count: its occurrences. encoded: the ids from the tokenizer itself. added_id: the id of an
    added token, which is not split like a word; else None.
    """

    text: str
    display: str
    count: int
    encoded: tuple[int, ...]
    added_id: int | None = None


@dataclass(frozen=True, eq=False)
class SplitText:
    """A text split into words. `words`: distinct, in order of first occurrence; `n_words`: the total.

    agrees: whether the tokenizer finds the same number of words.
    """

    text: str
    normalized: str
    words: tuple[Word, ...]
    n_words: int
    agrees: bool


class TokenizerSteps:
    """A tokenizer, parsed once, so that any word can be traced.

    Raises:
        ValueError: for an unsupported kind of model.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.bytes = TokenBytes(tokenizer)
        state = _state(tokenizer)
        self._vocabulary: dict[str, int] = tokenizer.get_vocab(with_added_tokens=False)
        self._unknown = state.get("unk_token")
        self._table = _table(state, self._vocabulary)
        self._has_merges = has_merges(tokenizer)
        self._splitter = _WordSplitter(tokenizer)
        types = {
            step["type"] for part in (tokenizer.pre_tokenizer, tokenizer.normalizer) for step in component_steps(part)
        }
        self._alphabet = TokenBytes.alphabet() if "ByteLevel" in types else {}
        self.encoder = _plain(tokenizer, state)
        """The tokenizer without truncation, padding and dropout."""

    @property
    def kind(self) -> str:
        """lookup, bpe, wordpiece or unigram; BPE without merges (bytes, characters) counts as lookup."""
        if isinstance(self._table, BpeTable):
            return "bpe" if self._has_merges else "lookup"
        if self._table is None:
            return "lookup"
        return "wordpiece" if isinstance(self._table, WordPieceTable) else "unigram"

    @property
    def is_byte_level(self) -> bool:
        """Whether the model gets bytes, each as a character of the byte-level alphabet."""
        return bool(self._alphabet)

    @property
    def bpe(self) -> BpeTable | None:
        """The merges, or None."""
        return self._table if isinstance(self._table, BpeTable) and self._has_merges else None

    def split(self, text: str) -> SplitText:
        """Return the words of `text`; lone surrogates count as U+FFFD.

        Raises:
            ValueError: if the tokenizer itself fails on it.
        """
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        normalized, splits = self._splitter.split(text)
        # encode_batch releases the GIL, unlike encode.
        try:
            (found,) = self.encoder.encode_batch([text], add_special_tokens=False)
        except Exception as error:  # the Rust library raises plain Exception
            raise ValueError(
                f"This tokenizer cannot encode the text ({error}): remove unknown characters, or choose "
                "another tokenizer."
            ) from error
        encoded: dict[int, list[int]] = {}
        for id, number in zip(found.ids, found.word_ids, strict=True):
            encoded.setdefault(-1 if number is None else number, []).append(id)
        counts: dict[_SplitWord, int] = {}
        first: dict[_SplitWord, int] = {}
        for i, split in enumerate(splits):
            counts[split] = counts.get(split, 0) + 1
            first.setdefault(split, i)
        words = tuple(
            Word(split.text, self.display(split.text), n, tuple(encoded.get(first[split], ())), split.added_id)
            for split, n in counts.items()
        )
        return SplitText(text, normalized, words, len(splits), max(encoded, default=-1) < len(splits))

    def steps(self, word: str) -> WordSteps:
        """Trace how a word, as passed to the model, becomes tokens.

        Raises:
            ValueError: if the tokenizer itself fails on it.
        """
        if self._table is not None:
            return self._table.steps(word)
        id = self._vocabulary.get(word)
        if id is not None:
            return LookupSteps(word, id, True)
        if self._unknown not in self._vocabulary:
            raise ValueError(f"This tokenizer does not know {word!r} and has no unknown token.")
        return LookupSteps(word, self._vocabulary[self._unknown], False)

    def display(self, word: str) -> str:
        """Format a word for display: bytes decoded, spaces as ·."""
        if self._alphabet and all(character in self._alphabet for character in word):
            return show_bytes(bytes(self._alphabet[character] for character in word))
        return show_bytes(word.encode())

    def show_token(self, id: int) -> str:
        """Format a token for display within a word."""
        if isinstance(self._table, WordPieceTable):
            return show_bytes((self.tokenizer.id_to_token(id) or "").encode())
        return show_bytes(self.bytes[id])

    def show_node(self, node: Node) -> str:
        """Format a node of a merge tree for display; unknown characters as themselves."""
        token = self.tokenizer.id_to_token(node.id)
        return show_bytes(node.text.encode()) if token == self._unknown else self.show_token(node.id)


def find_mismatches(steps: TokenizerSteps, words: Iterable[Word]) -> list[Word]:
    """Return the words whose traced ids differ from the tokenizer's own; empty if the trace is right."""
    return [
        word
        for word in words
        if ((word.added_id,) if word.added_id is not None else steps.steps(word.text).ids) != word.encoded
    ]


def _state(tokenizer: Tokenizer) -> dict[str, Any]:
    core: Any = tokenizer.model
    state: dict[str, Any] = json.loads(core.__getstate__())
    return state


def _table(state: dict[str, Any], vocabulary: dict[str, int]) -> BpeTable | WordPieceTable | UnigramTable | None:
    kind = state["type"]
    if kind == "BPE":
        return BpeTable(vocabulary, state)
    if kind == "WordPiece":
        return WordPieceTable(vocabulary, state)
    if kind == "Unigram":
        return UnigramTable(state)
    if kind == "WordLevel":
        return None
    raise ValueError(f"Tokenizers of kind {kind!r} are not supported here: choose another one.")


def _plain(tokenizer: Tokenizer, state: dict[str, Any]) -> Tokenizer:
    """Return the tokenizer without truncation, padding and dropout."""
    if tokenizer.truncation is None and tokenizer.padding is None and not state.get("dropout"):
        return tokenizer
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    if state.get("dropout"):
        copy.model.dropout = None
    return copy


class _SplitWord(NamedTuple):
    """One word of a text, as the model gets it. `added_id`: the id if it is an added token instead of a word."""

    text: str
    added_id: int | None = None


class _WordSplitter:
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

    def split(self, text: str) -> tuple[str, list[_SplitWord]]:
        """Return the normalised text, and its words in order; added tokens are words of their own."""
        normalized: list[str] = []
        words: list[_SplitWord] = []
        for start, end, id in self._raw.cut(text):
            if id is not None:
                normalized.append(text[start:end])
                words.append(_SplitWord(text[start:end], id))
                continue
            shown, found = self._plain(text[start:end], is_first=start == 0)
            normalized.append(shown)
            words.extend(found)
        return "".join(normalized), words

    def _plain(self, text: str, *, is_first: bool) -> tuple[str, list[_SplitWord]]:
        """Return (normalised text, words) of a text without raw added tokens."""
        whole = self._prepared(text, is_first)
        normalized = "".join(part for part, _, _ in whole.get_splits())
        words: list[_SplitWord] = []
        for start, end, id in self._normalized.cut(normalized):
            if id is not None:
                words.append(_SplitWord(normalized[start:end], id))
                continue
            part = self._prepared(text, is_first)
            part.split(lambda _, string, start=start, end=end: [string[start:end]])
            if self._pre_tokenizer is not None:
                self._pre_tokenizer.pre_tokenize(part)
            words.extend(_SplitWord(word) for word, _, _ in part.get_splits() if word)
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
