"""Batches of a corpus. A batch is a pure function of its step, so a checkpoint's data position is its step."""

from __future__ import annotations

import dataclasses
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from terrarium.models.data.batch import Batch, Rows
from terrarium.models.data.encoded import EncodedSplit, TokenArray
from terrarium.models.data.epoch_permutations import (
    POOL_BATCHES,
    BatchOrder,
    EpochOrder,
    EpochPermutations,
    FeistelPermutations,
)
from terrarium.models.data.examples import Integers, pack_examples
from terrarium.models.data.plain_objectives import Objective, SourceToTarget
from terrarium.models.data.replay_rows import ReplayRows
from terrarium.models.number_words import format_count
from terrarium.models.settings.run_spec import TrainConfig


class Batches(Protocol):
    """What the trainer requires of one split of a corpus."""

    bytes_per_token: float | None
    """UTF-8 bytes of text per token of the split, which converts nats per token into bits per byte.

    None if the loss is not a plain mean over all tokens of the text: if the objective predicts only some of them, or
    they have different weights.
    """

    @property
    def n_batches(self) -> int:
        """The number of batches in one pass over the split."""

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        """Return the batch of a micro-step of a step (validation: steps 0 to n_batches - 1)."""


def objective_batches(
    encoded: EncodedSplit, objective: Objective, context_length: int, train: TrainConfig, old: ReplayRows | None = None
) -> Batches:
    """Make the batches of a split for an objective; ValueError if the split is shorter than one context.

    The split "train" is shuffled. old: replay rows to mix into its examples.
    """
    if encoded.starts is None:
        _check_length(encoded.n_tokens, context_length, encoded.split)
        return TextBatches(encoded, objective, train)
    if isinstance(objective, SourceToTarget):
        train = dataclasses.replace(train, context_loss_weight=0.0)  # the source is never predicted
    return ExampleBatches(encoded, objective, train, old if encoded.split == "train" else None)


_FEW_TOKENS = 32


def _check_length(n_tokens: int, context_length: int, split: str) -> None:
    if n_tokens > context_length:
        return
    if split == "train" and n_tokens < _FEW_TOKENS:  # such a short context teaches nothing
        raise ValueError(
            f"The training text has only {format_count(n_tokens, 'token')}, too few to learn from: use a longer text, "
            "of some thousand words at least."
        )
    if split == "train":
        raise ValueError(
            f"The training text is {n_tokens} tokens long, but one context needs {context_length + 1}: use a longer "
            f"text, or a context length below {n_tokens}."
        )
    raise ValueError(
        f"The validation part is {n_tokens} tokens long, but one context needs {context_length + 1}: use a longer "
        f"text, a larger validation share, or a context length below {n_tokens}."
    )


class TextBatches:
    """Windows of one long text: in random order for training, with new boundaries in every epoch; else in order."""

    def __init__(self, encoded: EncodedSplit, objective: Objective, train: TrainConfig) -> None:
        self._ids, self._objective = encoded.ids, objective
        self._length = objective.width - objective.overlap
        self._batch_size, self._accum, self._seed = train.batch_size, train.grad_accum_steps, train.seed
        self._shuffled = encoded.split == "train"
        self._order = _order(encoded, train.seed)
        n_tokens = encoded.n_tokens
        self.bytes_per_token = encoded.n_bytes / n_tokens if objective.predicts_text else None
        n_free = n_tokens - objective.overlap
        spare = n_free - self._length
        self._n_windows = max(1, spare // self._length) if self._shuffled else -(-n_free // self._length)
        self._spare = max(0, n_free - self._n_windows * self._length)

    @property
    def n_batches(self) -> int:
        return -(-self._n_windows // self._batch_size)

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        first = (step * self._accum + micro_step) * self._batch_size if self._shuffled else step * self._batch_size
        last = first + self._batch_size if self._shuffled else min(first + self._batch_size, self._n_windows)
        positions = self._starts(first, last)[:, None] + torch.arange(self._objective.width)  # (B, L)
        real = positions < len(self._ids)
        ids = _take(self._ids, positions.clamp(max=len(self._ids) - 1))
        seed = corruption_seed(self._seed, step, micro_step) if self._shuffled else corruption_seed(0, step, 0)
        return self._objective.batch(Rows(ids, real.float(), real), seed)

    def _starts(self, first: int, last: int) -> Tensor:
        """Return the starts of the windows `first` to `last` (exclusive); each epoch follows the previous one."""
        if not self._shuffled:
            return torch.arange(first, last) * self._length
        starts, n = [], self._n_windows
        for epoch in range(first // n, (last - 1) // n + 1):
            indices = torch.arange(max(first - epoch * n, 0), min(last - epoch * n, n))
            windows = self._order.take(epoch, n, torch.cat([torch.tensor([0]), indices]))
            offset = int(windows[0]) * 7919 % (self._spare + 1)  # the boundaries move from epoch to epoch
            starts.append(offset + windows[1:] * self._length)
        return torch.cat(starts)


class ExampleBatches:
    """Separate examples, padded at the end; of similar length within a batch, shuffled in every epoch.

    A batch has about batch_size × context_length tokens: many short examples or a few long ones. Longer examples are
    truncated to the context, so a truncated reply has no end token. 94 to 98 % of the positions are tokens, so packing
    several examples into a row, which needs a mask, gains nothing: measured on a CPU with contexts of 256 and 512,
    sorted batches were as fast or faster in 9 of 10 pairs.

    n_examples: the number of examples, without replayed ones. n_cut: how many of them are truncated within or before a
    reply. has_replies: whether only replies count in full; False for plain texts.
    """

    def __init__(
        self, encoded: EncodedSplit, objective: Objective, train: TrainConfig, old: ReplayRows | None = None
    ) -> None:
        if not encoded.n_examples:
            raise ValueError(
                "There are no examples in this part of the data: use a larger file or another validation share."
            )
        assert encoded.starts is not None
        self._ids, self._starts, self._reply = encoded.ids, encoded.starts, encoded.reply
        self._n_tokens, self.n_examples = encoded.n_tokens, encoded.n_examples
        self._end = encoded.end if objective.ends_texts else None
        self._context_weight = train.context_loss_weight
        self._objective = objective
        self._old, self._old_packed = old, pack_examples([] if old is None else old.examples)
        self.n_cut = encoded.n_cut + _count_cut(encoded, objective.width)
        self.has_replies = encoded.reply is not None
        equal_weights = encoded.reply is None or train.context_loss_weight == 1.0
        is_plain = objective.predicts_text and equal_weights and old is None
        self.bytes_per_token = encoded.n_bytes / max(1, encoded.n_tokens) if is_plain else None
        self._accum, self._shuffled, self._seed = train.grad_accum_steps, encoded.split == "train", train.seed
        self._order: EpochOrder = _order(encoded, train.seed)
        n_old, mean = 0, self._mean_length(encoded)
        if old is not None:
            n_old = old.count(self.n_examples)
            old_mean = float(self._spans(self.n_examples + torch.arange(len(old.examples)))[1].float().mean())
            mean += n_old / (self.n_examples + n_old) * (old_mean - mean)
        self._n_shown = self.n_examples + n_old
        self._batch_order = BatchOrder(
            self._n_shown,
            max(1, int(train.batch_size * (objective.width - objective.overlap) / mean)),
            lambda examples: self._spans(examples)[1],
            self._order,
            is_shuffled=self._shuffled,
            pool_batches=POOL_BATCHES if self._shuffled or encoded.on_disk else None,
            shuffle=self._shuffle,
        )

    @property
    def n_batches(self) -> int:
        return self._batch_order.n_batches

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        if not self._shuffled:
            return self._make_batch(self._batch_order.items(step), corruption_seed(0, step, 0))
        examples = self._batch_order.items(step * self._accum + micro_step)
        return self._make_batch(examples, corruption_seed(self._seed, step, micro_step))

    def _shuffle(self, epoch: int, positions: Tensor) -> Tensor:
        """Return the examples at these positions of an epoch; replayed examples have indices from `n_examples` on."""
        if self._old is None:
            return self._order.take(epoch, self.n_examples, positions)
        mixed = self._order.take(epoch, self._n_shown, positions)
        is_old, found = mixed >= self.n_examples, torch.empty_like(mixed)
        found[~is_old] = self._order.take(epoch, self.n_examples, mixed[~is_old])
        places = (mixed[is_old] - self.n_examples).tolist()
        found[is_old] = self.n_examples + self._old.rows_of(epoch, self.n_examples, places)
        return found

    def _mean_length(self, encoded: EncodedSplit) -> float:
        """Return the mean length of an example after truncation; for files on disk from a sample, with end tokens."""
        if encoded.on_disk:
            return float(encoded.lengths(_MAX_COUNTED).clip(max=self._objective.width).mean())
        return float(self._spans(torch.arange(self.n_examples))[1].float().mean())

    def _spans(self, examples: Tensor) -> tuple[Tensor, Tensor]:
        """Return the starts of the examples, and their lengths after truncation."""
        starts, ends = self._take_starts(examples), self._take_starts(examples + 1)
        if self._end is not None:  # the objective appends an end token itself
            ends = ends - (self._take_ids((ends - 1).clamp(min=0)) == self._end).long()
        return starts, (ends - starts).clamp(max=self._objective.width)

    def _make_batch(self, examples: Tensor, seed: int) -> Batch:
        starts, lengths = self._spans(examples)
        columns = torch.arange(int(lengths.max()))
        real = columns < lengths[:, None]  # (B, L)
        positions = torch.where(real, starts[:, None] + columns, 0)
        ids = torch.where(real, self._take_ids(positions), 0)
        weights = torch.where(real, torch.where(self._take_reply(positions), 1.0, self._context_weight), 0.0)
        return self._objective.batch(Rows(ids, weights, real), seed)

    # The new examples, followed by the replayed ones.

    def _take_starts(self, examples: Tensor) -> Tensor:
        return _take(self._starts, examples, self.n_examples + 1, self._old_packed.starts[1:] + self._n_tokens)

    def _take_ids(self, positions: Tensor) -> Tensor:
        return _take(self._ids, positions, self._n_tokens, self._old_packed.ids)

    def _take_reply(self, positions: Tensor) -> Tensor:
        if self._reply is not None:
            return _take(self._reply, positions, self._n_tokens, self._old_packed.reply).bool()
        every = np.ones(1, dtype=np.uint8)
        return _take(every, positions.where(positions >= self._n_tokens, 0), 1, self._old_packed.reply).bool()


_MAX_COUNTED = 1 << 20


def _count_cut(encoded: EncodedSplit, width: int) -> int:
    """Count examples truncated to `width` tokens within or before a reply (on disk: truncated at all)."""
    if encoded.on_disk or encoded.reply is None or encoded.starts is None:
        return encoded.n_longer(width)
    lengths = encoded.lengths(encoded.n_examples)
    long = np.flatnonzero(lengths > width)
    ends = encoded.starts.take(long + 1)
    tails = (np.arange(end - length + width, end) for end, length in zip(ends, lengths[long], strict=True))
    return sum(bool(encoded.reply.take(tail).any()) for tail in tails)


def _order(encoded: EncodedSplit, seed: int) -> EpochOrder:
    return FeistelPermutations(seed) if encoded.on_disk else EpochPermutations(seed)


_NONE = np.empty(0, dtype=np.int64)


def _take(first: TokenArray, positions: Tensor, n: int = 0, second: Integers = _NONE) -> Tensor:
    """Return the integers at the positions, as longs of the same shape; from position `n` on, those of `second`."""
    at = positions.numpy()
    if not len(second):
        return torch.from_numpy(first.take(at).astype(np.int64, copy=False))
    is_second = at >= n
    taken = np.empty(at.shape, dtype=np.int64)
    taken[~is_second] = first.take(at[~is_second])
    taken[is_second] = second.take(at[is_second] - n)
    return torch.from_numpy(taken)


def corruption_seed(seed: int, step: int, micro_step: int) -> int:
    """Return the seed of an objective's randomness; differs from the dropout seed, which is derived in the same way."""
    return ((seed * 1_000_003 + step) * 65_539 + micro_step + 0x5EED) % 2**63
