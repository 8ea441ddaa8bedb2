"""Trace of how any tokenizer turns a text into tokens: its words, and the steps within each.

The steps derived here can be compared with the tokenizer's own output (`Word.encoded`, `find_mismatches`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

from terrarium.models.tokenizers.codec import has_merges, show_bytes
from terrarium.models.tokenizers.steps.bpe import BpeSteps, BpeTable, Node
from terrarium.models.tokenizers.steps.unigram import UnigramSteps, UnigramTable
from terrarium.models.tokenizers.steps.word_split import SplitWord, WordSplitter
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps, WordPieceTable
from terrarium.models.tokenizers.token_bytes import TokenBytes, component_steps


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
        self._splitter = WordSplitter(tokenizer)
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
        counts: dict[SplitWord, int] = {}
        first: dict[SplitWord, int] = {}
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
