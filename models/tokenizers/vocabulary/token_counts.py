"""How often each token of a vocabulary occurs in a corpus: counts, ranks, coverage, unused tokens."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from terrarium.models.events import Progress
from terrarium.models.tokenizers.codec import text_parts
from terrarium.models.tokenizers.making.texts import batches
from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, Vocabulary

USES = {
    "repeated": "Occurs at least twice in the corpus",
    "once": "Occurs once in the corpus",
    "step": "Not produced, only an intermediate step of longer tokens",
    "never": "Never produced, not even as an intermediate step: this corpus does not train its embedding",
    "unreachable": "No text produces it: no merge makes it, or other tokens always win",
    "special": "Special token, not produced from text",
}
"""How a corpus uses a token -> explanation for display."""

USE_NAMES = tuple(USES)
_USE = {name: i for i, name in enumerate(USE_NAMES)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """Token counts. `by_id`: (highest id + 1,) occurrences; `n_bytes`, `n_characters`: of the texts."""

    by_id: NDArray[np.int64]
    n_bytes: int
    n_characters: int


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str], total_bytes: int) -> Generator[Progress, None, Counts]:
    """Encode texts like `encode_text`, each on its own, and count the tokens. `total_bytes`: an estimate.

    Works in batches, with about a megabyte of text in memory at a time.

    Raises:
        ValueError: if there is no text at all.
    """
    counts = np.zeros(max(tokenizer.get_vocab().values(), default=-1) + 1, np.int64)
    n_bytes = n_characters = 0
    began = time.monotonic()
    yield Progress(done=0, total=total_bytes)
    for batch in batches(texts):
        parts = [part for text in batch for part in text_parts(tokenizer, text)]
        encodings = tokenizer.encode_batch_fast(parts, add_special_tokens=False)
        ids = np.fromiter(itertools.chain.from_iterable(encoding.ids for encoding in encodings), np.int64)
        counts += np.bincount(ids, minlength=len(counts))
        n_bytes += sum(len(text.encode()) for text in batch)
        n_characters += sum(map(len, batch))
        done = min(n_bytes, total_bytes)
        left = (time.monotonic() - began) * (total_bytes - done) / n_bytes
        yield Progress(done=done, total=total_bytes, seconds_left=left)
    if not counts.any():
        raise ValueError("The corpus contains no text: choose another one.")
    return Counts(by_id=counts, n_bytes=n_bytes, n_characters=n_characters)


class Usage:
    """How a corpus uses the n tokens of a vocabulary, m of which occur.

    Attributes:
        counts: (n,) occurrences.
        order: (m,) rows of the tokens that occur, the most frequent first, ties by id.
        ranks: (n,) 1 for the most frequent token, and so on; 0 for tokens that do not occur.
        as_steps: (n,) for BPE, how often the token was merged into a longer one; else 0.
        uses: (n,) indices into USE_NAMES.
        frequencies: (m,) occurrences in descending order.
        coverage: (m,) cumulative share of all occurrences.
    """

    def __init__(self, vocabulary: Vocabulary, counts: Counts) -> None:
        self.corpus = counts
        self.counts: NDArray[np.int64] = counts.by_id[vocabulary.ids]
        self.order = np.argsort(-self.counts, kind="stable")[: np.count_nonzero(self.counts)]
        self.frequencies: NDArray[np.int64] = self.counts[self.order]
        self.ranks = np.zeros(len(vocabulary), np.int64)
        self.ranks[self.order] = np.arange(1, len(self.order) + 1)
        self.coverage: NDArray[np.float64] = np.cumsum(self.frequencies) / self.frequencies.sum()
        self.as_steps = _steps(vocabulary, self.counts)
        self.uses = np.full(len(vocabulary), _USE["never"], np.int8)
        self.uses[~vocabulary.reachable] = _USE["unreachable"]
        self.uses[self.as_steps > 0] = _USE["step"]
        self.uses[vocabulary.types == TYPE_NAMES.index("special")] = _USE["special"]
        self.uses[self.counts > 0] = _USE["repeated"]
        self.uses[self.counts == 1] = _USE["once"]

    @cached_property
    def n_tokens(self) -> int:
        """The number of tokens in the corpus."""
        return int(self.counts.sum())

    def n(self, *uses: str) -> int:
        """Return the number of tokens of the vocabulary with one of these uses."""
        return int(np.isin(self.uses, [_USE[use] for use in uses]).sum())

    def n_for(self, share: float) -> int:
        """Return how many of the most frequent tokens make up at least this share of all occurrences."""
        return int(np.searchsorted(self.coverage, share * (1 - 1e-12))) + 1


def _steps(vocabulary: Vocabulary, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how often each token was merged into another: how often it was made, minus its occurrences."""
    made = counts.tolist()
    row_of = {id: row for row, id in enumerate(vocabulary.ids.tolist())}
    left, right = vocabulary.left.tolist(), vocabulary.right.tolist()
    merged = np.flatnonzero(vocabulary.rank >= 0)
    # Parts have lower ranks than the whole, so in descending order each count is final when it is used.
    for row in merged[np.argsort(-vocabulary.rank[merged])].tolist():
        if made[row]:
            made[row_of[left[row]]] += made[row]
            made[row_of[right[row]]] += made[row]
    return np.array(made, np.int64) - counts
