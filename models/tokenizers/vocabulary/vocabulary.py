"""A tokenizer's vocabulary as a table: each token with its text, bytes, type, and merge or score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.tokenizers.codec import show_bytes
from terrarium.models.tokenizers.steps.bpe import BpeTable
from terrarium.models.tokenizers.token_bytes import BYTE_TOKENS, TokenBytes, special_ids
from terrarium.models.tokenizers.vocabulary.token_types import TYPES, script_of, type_of_text

TYPE_NAMES = tuple(TYPES)
_TYPE = {name: i for i, name in enumerate(TYPE_NAMES)}
_NEVER_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))


class VocabularyEntry(NamedTuple):
    """One row of a vocabulary.

    text: None if the bytes are not whole characters. left, right, rank: ids and rank (from 0) of the merge that
    produces it, or -1.
    """

    id: int
    shown: str
    text: str | None
    bytes: bytes
    n_characters: int
    type: str
    left: int
    right: int
    rank: int
    score: float | None
    reachable: bool

    @property
    def script(self) -> str:
        """The script of its first letter, "" if it has none."""
        return script_of(self.text or "")


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """All n tokens, in order of their ids; all arrays have shape (n,).

    Attributes:
        model: "BPE", "WordPiece", "Unigram" or "WordLevel", as in the tokenizer's file.
        n_merges: for BPE, the merges in its file; several can make the same token.
        ids: ascending, possibly with gaps.
        shown, texts, data: the display form, the text (None if not whole characters), the bytes.
        n_bytes, n_characters: their lengths; 0 characters if not whole.
        types: indices into TYPE_NAMES.
        left, right, rank: for BPE, the merge that produces the token, or -1.
        scores: for Unigram, log-probabilities; else None.
        reachable: False if no text yields the token: no merge makes it, others always win, or it is never valid UTF-8.
    """

    model: str
    n_merges: int
    ids: NDArray[np.int64]
    shown: Sequence[str]
    texts: Sequence[str | None]
    data: Sequence[bytes]
    n_bytes: NDArray[np.int32]
    n_characters: NDArray[np.int32]
    types: NDArray[np.int8]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    rank: NDArray[np.int64]
    scores: NDArray[np.float64] | None
    reachable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> VocabularyEntry:
        return VocabularyEntry(
            id=int(self.ids[row]),
            shown=self.shown[row],
            text=self.texts[row],
            bytes=self.data[row],
            n_characters=int(self.n_characters[row]),
            type=TYPE_NAMES[self.types[row]],
            left=int(self.left[row]),
            right=int(self.right[row]),
            rank=int(self.rank[row]),
            score=None if self.scores is None else float(self.scores[row]),
            reachable=bool(self.reachable[row]),
        )

    def row_of(self, id: int) -> int:
        """Return the row of an id, or -1."""
        row = int(np.searchsorted(self.ids, id))
        return row if row < len(self.ids) and self.ids[row] == id else -1

    def merged_from(self, id: int) -> NDArray[np.int64]:
        """Return the rows of the tokens that are merged from this one, in order of rank."""
        rows = np.flatnonzero((self.left == id) | (self.right == id))
        return rows[np.argsort(self.rank[rows], kind="stable")]


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """The raw content of a tokenizer's file; lists have an entry per token, by id."""

    model: dict[str, Any]
    ids_of: dict[str, int]
    spelled: list[str]
    ids: list[int]
    data: list[bytes]
    texts: list[str | None]
    specials: dict[int, str]
    added: frozenset[int]


def read_vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    """Read a tokenizer's vocabulary, merges and scores."""
    raw = _read(tokenizer)
    left, right, rank = _merges(raw)
    scores = None
    if raw.model["type"] == "Unigram":
        known = raw.model["vocab"]
        scores = np.array([known[id][1] if id < len(known) else np.nan for id in raw.ids], np.float64)
    return Vocabulary(
        model=str(raw.model["type"]),
        n_merges=len(raw.model.get("merges", ())),
        ids=np.array(raw.ids, np.int64),
        shown=_shown(raw),
        texts=raw.texts,
        data=raw.data,
        n_bytes=np.fromiter(map(len, raw.data), np.int32, len(raw.data)),
        n_characters=np.fromiter((len(text or "") for text in raw.texts), np.int32, len(raw.texts)),
        types=_types(raw),
        left=left,
        right=right,
        rank=rank,
        scores=scores,
        reachable=_reachable(tokenizer, raw),
    )


def _read(tokenizer: Tokenizer) -> _Raw:
    model = json.loads(tokenizer.to_str())["model"]
    ids_of = tokenizer.get_vocab(with_added_tokens=True)
    spelled = sorted(ids_of, key=ids_of.__getitem__)
    ids = [ids_of[name] for name in spelled]
    table = TokenBytes(tokenizer)
    data = [table[id] for id in ids]
    unknown = model.get("unk_token")  # which imported vocabularies do not always mark as special
    if model["type"] == "Unigram" and model.get("unk_id") is not None:
        unknown = model["vocab"][model["unk_id"]][0]
    specials = special_ids(tokenizer) | ({ids_of[unknown]: unknown} if unknown in ids_of else {})
    return _Raw(
        model=model,
        ids_of=ids_of,
        spelled=spelled,
        ids=ids,
        data=data,
        texts=[_text(part) for part in data],
        specials=specials,
        added=frozenset(tokenizer.get_added_tokens_decoder()),
    )


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _shown(raw: _Raw) -> list[str]:
    """Return the display form of tokens, as in `pieces_of`, with a fast path for ASCII."""
    marks = raw.model["type"] == "WordPiece"  # “##” is displayed
    shown = []
    for id, name, data, text in zip(raw.ids, raw.spelled, raw.data, raw.texts, strict=True):
        if id in raw.specials:
            shown.append(f"⟨{raw.specials[id].strip('<|>')}⟩")
        elif marks:
            shown.append(show_bytes(name.encode()))
        elif text is not None and text.isascii() and text.isprintable():
            shown.append(text.replace(" ", "·"))
        else:
            shown.append(show_bytes(data))
    return shown


def _types(raw: _Raw) -> NDArray[np.int8]:
    continuation_prefix = raw.model.get("continuing_subword_prefix") or ""
    words = "none"
    if raw.model["type"] == "WordLevel":
        words = "whole"
    elif continuation_prefix:
        words = "mark"
    elif any(text is not None and text[0] == " " and text[1:2].isalpha() for text in raw.texts if text):
        words = "space"
    types = np.zeros(len(raw.ids), np.int8)
    for row, (id, name, data, text) in enumerate(zip(raw.ids, raw.spelled, raw.data, raw.texts, strict=True)):
        if id in raw.specials:
            kind = "special"
        elif id in raw.added:
            kind = "added"
        elif len(data) == 1 and (text is None or name in BYTE_TOKENS):
            kind = "byte"
        elif text is None:
            kind = "fragment"
        elif continuation_prefix and name.startswith(continuation_prefix):
            kind = "continuation"
        else:
            kind = type_of_text(text, words)
        types[row] = _TYPE[kind]
    return types


def _merges(raw: _Raw) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return (left, right, rank), (n,) each, of the merge that produces each token."""
    made = np.full((3, len(raw.ids)), -1, np.int64)
    row_of = {id: row for row, id in enumerate(raw.ids)}
    prefix = raw.model.get("continuing_subword_prefix") or ""
    duplicates: set[int] = set()
    for rank, (left, right) in enumerate(raw.model.get("merges", ())):
        row = row_of[raw.ids_of[left + right.removeprefix(prefix)]]
        if made[2, row] < 0:
            made[:, row] = raw.ids_of[left], raw.ids_of[right], rank
        else:
            duplicates.add(row)
    if not duplicates:
        return made[0], made[1], made[2]
    table = BpeTable(raw.ids_of, raw.model)
    for row in duplicates:  # which of several merges applies depends on earlier merges
        steps = table.token_steps(raw.spelled[row])
        if steps is not None:
            last = steps.nodes[-1]
            assert last.rank is not None
            made[:, row] = steps.nodes[last.left].id, steps.nodes[last.right].id, last.rank
    return made[0], made[1], made[2]


def _reachable(tokenizer: Tokenizer, raw: _Raw) -> NDArray[np.bool_]:
    """Return (n,) whether any text yields the token; True if uncertain.

    The segmentation within the span of a token does not depend on its context (merges do not cross its ends; it is the
    most probable one). So if the token's own spelling does not yield the token, no text does.
    """
    reachable = np.ones(len(raw.ids), np.bool_)
    is_deterministic = raw.model["type"] in ("BPE", "Unigram") and not raw.model.get("dropout")
    model = tokenizer.model
    for row, (id, name, data) in enumerate(zip(raw.ids, raw.spelled, raw.data, strict=True)):
        if id in raw.specials or id in raw.added:
            continue
        if not data or (not data.isascii() and not _NEVER_IN_UTF8.isdisjoint(data)):
            reachable[row] = False
        elif is_deterministic and len(name) > 1 and not (len(data) == 1 and name in BYTE_TOKENS):
            made = model.tokenize(name)
            reachable[row] = len(made) == 1 and made[0].id == id
    return reachable
