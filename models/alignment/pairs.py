"""Encoded preference pairs, and replies rated good or bad without a pair."""

from __future__ import annotations

from array import array
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.alignment.rollouts import items_of_step
from terrarium.models.chat.own_template import encode_reply
from terrarium.models.corpora.corpus import Corpus, Example
from terrarium.models.data.epoch_permutations import EpochPermutations
from terrarium.models.events import Event, ProgressMeter
from terrarium.models.tasks.rows import checked_groups
from terrarium.models.tiny_world.wishes import WISHES

_GROUP_BYTES = 1 << 16
"""Bytes of rows that are encoded between two events."""

_MAX_KNOWN = 1 << 19
"""The maximum number of tokens of rows that are cached, encoded: some 20 MB."""


@dataclass(frozen=True, kw_only=True)
class EncodedPair:
    """The ids of a prompt, with the tokens that begin a reply, and of two replies with their end tokens.

    is_clear: whether exactly one of them fulfils the wish; None if unknown.
    """

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    is_tie: bool
    is_clear: bool | None = None


@dataclass(frozen=True, kw_only=True)
class EncodedReply:
    """The ids of a prompt, with the tokens that begin a reply, and of a rated reply with its end token."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    is_good: bool


Item = TypeVar("Item", EncodedPair, EncodedReply)


class EncodedRows(Generic[Item]):
    """The rows of a split that fit the context.

    The positions of all rows are stored, and the ids of the first ones; the others are encoded when requested.
    n_left_out: how many rows are too long.
    """

    noun, nouns = "", ""
    """What a row is called, singular and plural."""

    def __init__(
        self,
        corpus: Corpus,
        split: str,
        tokenizer: Tokenizer,
        seed: int = 0,
        *,
        judges: bool = False,
        used: str = "all",
    ) -> None:
        """Nothing is read before `read`.

        Args:
            judges: whether the wish of a row, if it has one, judges its replies.
            used: as AlignSpec.pairs_used.
        """
        self._judges = judges
        self._used = {"all": (1, 1), "odd": (1, 0), "even": (0, 1)}[used]  # whether rows of even and odd index are used
        self._corpus, self._split, self._tokenizer = corpus, split, tokenizer
        self._rows = corpus.rows(split)
        self._fitting = array("q")
        self._known: dict[int, Item] = {}
        """The first encoded rows, by their index: encoding a row takes as long as a step of a small model."""
        self._order = EpochPermutations(seed)
        self.n_left_out = 0

    def read(self, context_length: int) -> Generator[Event, None, None]:
        """Find the rows whose texts fit the context. Yields Progress (bytes).

        Raises:
            ValueError: if none fits, a row does not suit its task, or the tokenizer has no role tokens.
        """
        meter, number, n_known = ProgressMeter(self._rows.offset(len(self._rows))), 0, 0
        for group, progress in checked_groups(self._corpus, self._split, None, _GROUP_BYTES):
            for row in group:
                if self._used[number % 2]:
                    item = self._encode(row)
                    length = self._length(item)
                    if length <= context_length:
                        self._fitting.append(number)
                        if n_known < _MAX_KNOWN:
                            self._known[number], n_known = item, n_known + length
                        self._count(item)
                    else:
                        self.n_left_out += 1
                number += 1
            yield meter.progress(progress.done)
        if not self._fitting:
            raise ValueError(
                f"Every {self.noun} of {self._corpus.label!r} ({self._split}) is longer than the context of "
                f"{context_length} tokens: use shorter replies, or a model with a longer context."
            )

    def __len__(self) -> int:
        return len(self._fitting)

    def __getitem__(self, index: int) -> Item:
        number = self._fitting[index]
        return self._known.get(number) or self._encode(self._rows[number])

    def of_step(self, step: int, n: int) -> list[Item]:
        """Return the `n` rows of a step; deterministic."""
        return [self[i] for i in items_of_step(self._order, len(self), step, n)]

    def spread(self, n: int) -> list[Item]:
        """Return at most `n` rows, always the same, evenly spread over the split."""
        n = min(n, len(self))
        return [self[i * len(self) // n] for i in range(n)]

    def _encode(self, row: Example) -> Item:
        raise NotImplementedError

    def _length(self, item: Item) -> int:
        """Return the length of the item's longest text, in tokens."""
        raise NotImplementedError

    def _count(self, item: Item) -> None:
        """Count an item that fits."""


class Pairs(EncodedRows[EncodedPair]):
    """The pairs of a preference dataset. n_ties: the number of ties."""

    noun, nouns = "pair", "pairs"
    n_ties = 0

    def _encode(self, row: Example) -> EncodedPair:
        sides = [encode_reply(self._tokenizer, row["messages"], row[side]) for side in ("chosen", "rejected")]
        (prompt, chosen), (_, rejected) = sides
        return EncodedPair(
            prompt=tuple(prompt),
            chosen=tuple(chosen),
            rejected=tuple(rejected),
            is_tie=row.get("choice") == "tie",
            is_clear=_is_clear(row) if self._judges else None,
        )

    def _length(self, item: EncodedPair) -> int:
        return len(item.prompt) + max(len(item.chosen), len(item.rejected))

    def _count(self, item: EncodedPair) -> None:
        self.n_ties += item.is_tie


class RatedReplies(EncodedRows[EncodedReply]):
    """The replies of a dataset of rated replies. n_good: the number of those rated good."""

    noun, nouns = "reply", "replies"
    n_good = 0

    def _encode(self, row: Example) -> EncodedReply:
        prompt, reply = encode_reply(self._tokenizer, row["messages"], row["completion"])
        return EncodedReply(prompt=tuple(prompt), reply=tuple(reply), is_good=row["label"])

    def _length(self, item: EncodedReply) -> int:
        return len(item.prompt) + len(item.reply)

    def _count(self, item: EncodedReply) -> None:
        self.n_good += item.is_good


def _is_clear(row: Example) -> bool | None:
    wish = WISHES.get(str(row.get("wish")))
    if wish is None:
        return None
    return wish.reward(row, row["chosen"]) != wish.reward(row, row["rejected"])


def label_noise(pairs: Sequence[EncodedPair], noise: float = 0.0) -> Tensor:
    """Return the probability that each pair (B) is mislabelled: ½ for a tie, else `noise`."""
    return torch.tensor([0.5 if pair.is_tie else noise for pair in pairs])
