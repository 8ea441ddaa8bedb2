"""Pairs of replies to one prompt, of which one is preferred; and replies that are good or bad by themselves."""

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
"""Rows that are encoded between two events."""

_MAX_KNOWN = 1 << 19
"""Tokens of rows that are kept, encoded: some 20 MB."""


@dataclass(frozen=True, kw_only=True)
class EncodedPair:
    """The ids of a prompt, with what begins a reply, and of two replies with their end tokens.

    is_clear: whether one of them is as wished and the other is not; None where that is not known.
    """

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    is_tie: bool
    is_clear: bool | None = None


@dataclass(frozen=True, kw_only=True)
class EncodedReply:
    """The ids of a prompt, with what begins a reply, and of a reply with its end token; whether it was called good."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    is_good: bool


Item = TypeVar("Item", EncodedPair, EncodedReply)


class EncodedRows(Generic[Item]):
    """The rows of a split that a context has room for. Of all where they are is kept, of the first ones their ids too;
    the others are encoded when they are asked for. n_left_out: those that are too long."""

    noun, nouns = "", ""
    """What a row is called, and several."""

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
            judges: whether the wish of a row, where it names one, judges its replies. used: as AlignSpec.pairs_used.
        """
        self._judges = judges
        self._used = {"all": (1, 1), "odd": (1, 0), "even": (0, 1)}[used]  # whether the first, third … row; the others
        self._corpus, self._split, self._tokenizer = corpus, split, tokenizer
        self._rows = corpus.rows(split)
        self._fitting = array("q")
        self._known: dict[int, Item] = {}
        """Those that `read` came to first, by their number: to encode one takes as long as a step of a small model."""
        self._order = EpochPermutations(seed)
        self.n_left_out = 0

    def read(self, context_length: int) -> Generator[Event, None, None]:
        """Find the rows whose texts fit the context. Yields Progress (bytes).

        Raises:
            ValueError: where none does, a row has not the form of its task, or the tokenizer has no role tokens.
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
        """The `n` rows of a step, the same whenever it is asked for."""
        return [self[i] for i in items_of_step(self._order, len(self), step, n)]

    def spread(self, n: int) -> list[Item]:
        """At most `n` of them, always the same, from all parts of the split."""
        n = min(n, len(self))
        return [self[i * len(self) // n] for i in range(n)]

    def _encode(self, row: Example) -> Item:
        raise NotImplementedError

    def _length(self, item: Item) -> int:
        """Of its longest text, in tokens."""
        raise NotImplementedError

    def _count(self, item: Item) -> None:
        """An item that fits was found."""


class Pairs(EncodedRows[EncodedPair]):
    """The pairs of a dataset of preferences. n_ties: those that are about equal."""

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
    """The replies of a dataset of rated ones. n_good: those that were called good."""

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
    """Of each pair (B) how likely it is the wrong way round: ½ of a tie, else `noise`."""
    return torch.tensor([0.5 if pair.is_tie else noise for pair in pairs])
