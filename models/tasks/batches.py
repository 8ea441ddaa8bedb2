"""The batches of a label task: a pure function of the step, like all batches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from models.data.batch import Batch
from models.data.corpus import Corpus
from models.data.epoch_permutations import POOL_BATCHES, BatchOrder, EpochPermutations
from models.settings.model_config import ModelConfig
from models.settings.run_spec import TrainConfig
from models.tasks.encoding import TaskEncoder
from models.tasks.row_reader import Item
from models.tasks.rows import check_rows


class TaskBatches:
    """The batches of a split of a dataset: `batch_size` items of similar length, shuffled anew in every epoch."""

    bytes_per_token: float | None = None

    def __init__(
        self,
        corpus: Corpus,
        tokenizer: Tokenizer,
        config: ModelConfig,
        train: TrainConfig,
        split: str,
        labels: Sequence[str],
    ) -> None:
        """Raises ValueError where a row has another form than the task's, or a label that is not among `labels`."""
        rows = corpus.read_examples(split)
        check_rows(corpus.task, rows, labels, str(corpus.path(split)))
        self.encoder = TaskEncoder(config, tokenizer, corpus.task, labels)
        self.items = self.encoder.items(rows)
        lengths = torch.tensor([len(item.ids) for item in self.items])
        self._accum, self._shuffled = train.grad_accum_steps, split == "train"
        self._order = BatchOrder(
            len(self.items),
            train.batch_size,
            lambda items: lengths[items],
            EpochPermutations(train.seed),
            is_shuffled=self._shuffled,
            pool_batches=POOL_BATCHES if self._shuffled else None,
        )
        self._class_weights = None
        if train.class_weights == "balanced" and corpus.task in ("classification", "tagging"):
            of = self.items if self._shuffled else self.encoder.items(corpus.read_examples("train"))
            self._class_weights = balanced_weights(of, len(labels))

    @property
    def n_batches(self) -> int:
        return self._order.n_batches

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        chosen = self._order.items(step * self._accum + micro_step if self._shuffled else step)
        return self.encoder.batch([self.items[i] for i in chosen.tolist()], self._class_weights)


def balanced_weights(items: Sequence[Item], n_label: int) -> Tensor:
    """(L): n / (L × number of that label), so that all labels count alike; 1 for a label that does not occur."""
    found = [tag for item in items for tag in (item.target if isinstance(item.target, list) else [item.target])]
    counts = torch.bincount(torch.tensor([tag for tag in found if tag >= 0]), minlength=n_label).float()
    return torch.where(counts > 0, counts.sum() / (n_label * counts.clamp(min=1)), 1.0)
