"""How often each token of a vocabulary occurs in a corpus, and what follows: ranks, coverage, what never comes."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.events import Progress
from models.tokenizers.codec import text_parts
from models.tokenizers.making.texts import batches
from models.tokenizers.vocabulary.table import TYPE_NAMES, Vocabulary

USES = {
    "repeated": "Occurs at least twice in the corpus",
    "once": "Occurs a single time in the corpus",
    "step": "Never produced, only ever a step towards longer tokens that are",
    "never": "Never produced, nor a step towards what is: its row of the model is not trained by this corpus",
    "unreachable": "Never produced by any text: nothing makes it, or something else always wins",
    "special": "Special, and not made from text",
}
"""What a corpus makes of a token, with what it means."""

USE_NAMES = tuple(USES)
_USE = {name: i for i, name in enumerate(USE_NAMES)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Counts:
    """What was counted. `of`: (highest id + 1,) occurrences by id; bytes and characters are those of the texts."""

    by_id: NDArray[np.int64]
    n_bytes: int
    n_characters: int


def count_tokens(tokenizer: Tokenizer, texts: Iterable[str], total_bytes: int) -> Generator[Progress, None, Counts]:
    """Encode texts, each on its own, as `encode_text` does, and count the tokens. `total_bytes`: about how many.

    Texts are taken in batches, so that no more than about a megabyte of them is in memory.

    Raises:
        ValueError: where there is no text at all.
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
        raise ValueError("There is no text in it, so there is nothing to count: choose another corpus.")
    return Counts(by_id=counts, n_bytes=n_bytes, n_characters=n_characters)


class Usage:
    """A vocabulary's n tokens by what a corpus makes of them.

    Attributes:
        counts: (n,) occurrences.
        order: (number of produced tokens,) their rows, the most frequent first, equals in the order of their ids.
        ranks: (n,) 1 for the most frequent token, and so on; 0 for what does not occur.
        as_steps: (n,) of a BPE, how often the token was merged into a longer one on the way; else 0.
        uses: (n,) places in USE_NAMES.
        frequencies: (number of produced tokens,) occurrences, the highest first.
        coverage: of the same shape: the share of all occurrences that the first ones have together.
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
        """How many tokens the corpus is."""
        return int(self.counts.sum())

    def n(self, *uses: str) -> int:
        """How many tokens of the vocabulary have one of these uses."""
        return int(np.isin(self.uses, [_USE[use] for use in uses]).sum())

    def n_for(self, share: float) -> int:
        """How many of the most frequent tokens have together at least this share of all occurrences."""
        return int(np.searchsorted(self.coverage, share * (1 - 1e-12))) + 1


def _steps(vocabulary: Vocabulary, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each token was there on the way to another one: all its makings but those that stayed."""
    made = counts.tolist()
    row_of = {id: row for row, id in enumerate(vocabulary.ids.tolist())}
    left, right = vocabulary.left.tolist(), vocabulary.right.tolist()
    merged = np.flatnonzero(vocabulary.rank >= 0)
    # A part is of a lower rank than the whole, so what is made of each is known when its turn comes.
    for row in merged[np.argsort(-vocabulary.rank[merged])].tolist():
        if made[row]:
            made[row_of[left[row]]] += made[row]
            made[row_of[right[row]]] += made[row]
    return np.array(made, np.int64) - counts
