"""The batches of a label task: a pure function of the step, like all batches."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Sequence
from typing import overload

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.data.batch import Batch
from terrarium.models.data.epoch_permutations import POOL_BATCHES, BatchOrder, EpochPermutations
from terrarium.models.events import Event, ProgressMeter
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.tasks.encoding import TaskEncoder
from terrarium.models.tasks.row_reader import Item
from terrarium.models.tasks.rows import checked_groups

_GROUP_BYTES = 1 << 16
"""Bytes of text that are encoded between two events: one text at a time, unlike for language models."""


class TaskItems(Sequence[Item]):
    """The items of a split.

    Items of a large corpus are encoded whenever they are needed: only their positions and `lengths` (n,) in tokens
    are stored, 12 bytes each. `n_rows`: rows of the split. `counts` (L,): how often each label occurs, for tasks
    whose labels can be weighted.
    """

    def __init__(self, corpus: Corpus, split: str, encoder: TaskEncoder) -> None:
        self.encoder, self._corpus, self._split = encoder, corpus, split
        self._rows, self._kept = corpus.rows(split), list[Item]()
        self._row_of, self._lengths = array("i"), array("i")
        self.n_rows, self.counts = len(self._rows), np.zeros(len(encoder.labels), np.int64)

    def read(self) -> Generator[Event, None, None]:
        """Encode all rows. Yields Progress; raises ValueError as `make_task_batches`."""
        meter, done = ProgressMeter(self._rows.offset(self.n_rows)), 0
        for group, progress in checked_groups(self._corpus, self._split, self.encoder.labels, _GROUP_BYTES):
            items = self.encoder.items(group, first_row=done)
            self._lengths.extend(len(item.ids) for item in items)
            self._row_of.extend(item.row for item in items)
            if self._corpus.task in ("classification", "tagging"):
                self.counts += count_labels(items, len(self.counts))
            if not self._corpus.is_large:
                self._kept += items
            done += len(group)
            yield meter.progress(progress.done)

    @property
    def lengths(self) -> npt.NDArray[np.int32]:
        """The length of each item in tokens."""
        return np.frombuffer(self._lengths, np.int32)

    def __len__(self) -> int:
        return len(self._lengths)

    @overload
    def __getitem__(self, index: int) -> Item: ...
    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...
    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        """Return an item, or a list of items for a slice."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if self._kept:
            return self._kept[index]
        index = range(len(self))[index]
        row = self._row_of[index]
        window = index - bisect_left(self._row_of, row)
        return self.encoder.items([self._rows[row]], first_row=row)[window]


def make_task_batches(
    corpus: Corpus, tokenizer: Tokenizer, config: ModelConfig, train: TrainConfig, split: str, labels: Sequence[str]
) -> Generator[Event, None, TaskBatches]:
    """Make the batches of a split of a dataset. Yields Progress (bytes).

    Raises:
        ValueError: if a row does not suit the task, or has a label that is not among `labels`.
    """
    encoder = TaskEncoder(config, tokenizer, corpus.task, labels)
    items = TaskItems(corpus, split, encoder)
    yield from items.read()
    weights = None
    if train.class_weights == "balanced" and corpus.task in ("classification", "tagging"):
        learned = items
        if split != "train":
            learned = TaskItems(corpus, "train", encoder)
            yield from learned.read()
        weights = balanced_weights(learned.counts)
    return TaskBatches(items, train, weights, shuffled=split == "train")


class TaskBatches:
    """The batches of a dataset's split: `batch_size` items of similar length; in training, reshuffled
    in every epoch.
    """

    bytes_per_token: float | None = None

    def __init__(self, items: TaskItems, train: TrainConfig, class_weights: Tensor | None, *, shuffled: bool) -> None:
        self.items, self.encoder = items, items.encoder
        lengths = torch.from_numpy(items.lengths.astype(np.int64))
        self._accum, self._shuffled, self._class_weights = train.grad_accum_steps, shuffled, class_weights
        self._order = BatchOrder(
            len(items),
            train.batch_size,
            lambda chosen: lengths[chosen],
            EpochPermutations(train.seed),
            is_shuffled=shuffled,
            pool_batches=POOL_BATCHES if shuffled else None,
        )

    @property
    def n_batches(self) -> int:
        return self._order.n_batches

    def resized(self, train: TrainConfig) -> TaskBatches:
        """Return the same items in batches of other settings."""
        return TaskBatches(self.items, train, self._class_weights, shuffled=self._shuffled)

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        chosen = self._order.items(step * self._accum + micro_step if self._shuffled else step)
        return self.encoder.batch([self.items[i] for i in chosen.tolist()], self._class_weights)


def count_labels(items: Sequence[Item], n_label: int) -> npt.NDArray[np.int64]:
    """Count how often each label or tag is a target of the items: (L)."""
    found = [tag for item in items for tag in (item.target if isinstance(item.target, list) else [item.target])]
    return np.bincount([tag for tag in found if tag >= 0], minlength=n_label)


def balanced_weights(counts: npt.NDArray[np.int64]) -> Tensor:
    """Return weights (L): n / (L × count of that label), so that all labels count alike; 1 for absent labels."""
    of = torch.from_numpy(counts).float()
    return torch.where(of > 0, of.sum() / (len(of) * of.clamp(min=1)), 1.0)
