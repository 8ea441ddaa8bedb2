"""A tokenizer's whole vocabulary as a table: what each token is, how long, and the merge or score that makes it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.tokenizers.codec import show_bytes
from models.tokenizers.steps.bpe import BpeTable
from models.tokenizers.token_bytes import BYTE_TOKENS, TokenBytes, special_ids
from models.tokenizers.vocabulary.token_types import TYPES, script_of, type_of_text

TYPE_NAMES = tuple(TYPES)
_TYPE = {name: i for i, name in enumerate(TYPE_NAMES)}
_NEVER_IN_UTF8 = frozenset((0xC0, 0xC1, *range(0xF5, 0x100)))


class VocabularyEntry(NamedTuple):
    """One row of a vocabulary. `text` is None where the bytes are no whole characters; left, right and rank are those
    of the merge that makes it (ids, and the place among all merges from 0), -1 where there is none."""

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
        """The script of its first letter, '' where it has none."""
        return script_of(self.text or "")


@dataclass(frozen=True, kw_only=True, eq=False)
class Vocabulary:
    """All n tokens, by id; every array has one entry (n,) per token.

    Attributes:
        model: "BPE", "WordPiece", "Unigram" or "WordLevel", as the tokenizer's file calls it.
        n_merges: of a BPE, all those in its file; several can make one token.
        ids: ascending; they may have gaps.
        shown, texts, data: what to show, the characters (None where they are not whole), the bytes.
        n_bytes, n_characters: their lengths; 0 characters where they are not whole.
        types: places in TYPE_NAMES.
        left, right, rank: of the merge that makes a token of a BPE; -1 where none does.
        scores: of a Unigram, log-probabilities; None for the others.
        reachable: False where no text can become the token: nothing makes it, others always win, or no UTF-8 has it.
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
        """The row of an id, -1 where there is none."""
        row = int(np.searchsorted(self.ids, id))
        return row if row < len(self.ids) and self.ids[row] == id else -1

    def merged_from(self, id: int) -> NDArray[np.int64]:
        """The rows of the tokens that a merge makes from this one, the first merged first."""
        rows = np.flatnonzero((self.left == id) | (self.right == id))
        return rows[np.argsort(self.rank[rows], kind="stable")]


@dataclass(frozen=True, kw_only=True)
class _Raw:
    """What a tokenizer's file says, before it is made sense of; lists have an entry per token, by id."""

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
    unknown = model.get("unk_token")  # which foreign vocabularies do not always mark as special
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
    """Tokens as `pieces_of` shows them; most need no look at each character."""
    marks = raw.model["type"] == "WordPiece"  # “##” is part of what one sees
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
    goes_on = raw.model.get("continuing_subword_prefix") or ""
    words = "none"
    if raw.model["type"] == "WordLevel":
        words = "whole"
    elif goes_on:
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
        elif goes_on and name.startswith(goes_on):
            kind = "continuation"
        else:
            kind = type_of_text(text, words)
        types[row] = _TYPE[kind]
    return types


def _merges(raw: _Raw) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(n,) each: left and right part and rank of the merge that ends in each token."""
    made = np.full((3, len(raw.ids)), -1, np.int64)
    row_of = {id: row for row, id in enumerate(raw.ids)}
    prefix = raw.model.get("continuing_subword_prefix") or ""
    twice: set[int] = set()
    for rank, (left, right) in enumerate(raw.model.get("merges", ())):
        row = row_of[raw.ids_of[left + right.removeprefix(prefix)]]
        if made[2, row] < 0:
            made[:, row] = raw.ids_of[left], raw.ids_of[right], rank
        else:
            twice.add(row)
    if not twice:
        return made[0], made[1], made[2]
    table = BpeTable(raw.ids_of, raw.model)
    for row in twice:  # which of the merges is the one depends on what is merged before it
        steps = table.token_steps(raw.spelled[row])
        if steps is not None:
            last = steps.nodes[-1]
            assert last.rank is not None
            made[:, row] = steps.nodes[last.left].id, steps.nodes[last.right].id, last.rank
    return made[0], made[1], made[2]


def _reachable(tokenizer: Tokenizer, raw: _Raw) -> NDArray[np.bool_]:
    """Whether a token can come of any text; where that cannot be told for certain, True.

    A token that covers a stretch of a text was made within that stretch alone: by merges that did not cross its ends,
    or as the likeliest cut of it. So what its own spelling does not become, nothing becomes.
    """
    reachable = np.ones(len(raw.ids), np.bool_)
    decides = raw.model["type"] in ("BPE", "Unigram") and not raw.model.get("dropout")
    model = tokenizer.model
    for row, (id, name, data) in enumerate(zip(raw.ids, raw.spelled, raw.data, strict=True)):
        if id in raw.specials or id in raw.added:
            continue
        if not data.isascii() and not _NEVER_IN_UTF8.isdisjoint(data):
            reachable[row] = False
        elif decides and len(name) > 1 and not (len(data) == 1 and name in BYTE_TOKENS):
            made = model.tokenize(name)
            reachable[row] = len(made) == 1 and made[0].id == id
    return reachable
