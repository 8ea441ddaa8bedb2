"""Encodes rows of a task as batches. The decoder of an encoder-decoder reads the source shifted by one, as in BART.

Letters in shape comments: B batch, T tokens, L labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor

from terrarium.models.data.batch import Batch
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tasks.row_reader import Item, RowReader
from terrarium.models.tokenizers.special_tokens import start_id


class TaskEncoder(RowReader):
    """Reads the rows of one task, and makes batches of them."""

    def __init__(self, config: ModelConfig, tokenizer: Tokenizer, task: str, labels: Sequence[str] = ()) -> None:
        """Raises ValueError as RowReader, and if an encoder-decoder's tokenizer has no start token."""
        super().__init__(config, tokenizer, task, labels)
        self._start = start_id(config, tokenizer) if config.topology == "encoder-decoder" else -1

    def batch(self, items: Sequence[Item], class_weights: Tensor | None = None) -> Batch:
        """Make a batch of items, padded at the end. class_weights: (L), the weight of each label in the loss.

        For items without targets, only the inputs of the batch are meaningful.
        """
        lengths = torch.tensor([len(item.ids) for item in items])
        columns = torch.arange(int(lengths.max()))
        mask = columns < lengths[:, None]  # (B, T)
        ids = torch.full(mask.shape, self._pad)
        ids[mask] = torch.tensor([id for item in items for id in item.ids])
        targets, weights, candidates = self._targets(items, mask, class_weights)
        segments = None
        if self._config.topology == "encoder-only" and self._config.n_segment > 1:
            segments = (mask & (columns >= torch.tensor([item.n_first for item in items])[:, None])).long()
        is_pair = self._config.topology == "encoder-decoder"
        start = torch.full((len(items), 1), self._start)
        return Batch(
            torch.cat((start, ids[:, :-1]), dim=1) if is_pair else ids,
            targets,
            weights,
            mask=mask,
            segments=segments,
            source=ids if is_pair else None,
            source_mask=mask if is_pair else None,
            candidates=candidates,
            n_tokens=int(lengths.sum()) * (1 + is_pair),
            task="" if self.task == "tagging" else self.task,
        )

    def _targets(
        self, items: Sequence[Item], mask: Tensor, class_weights: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return targets, weights and candidates of a Batch."""
        n = len(items)
        known = [item.target for item in items if item.target is not None]
        if len(known) < n:
            return torch.zeros(n), torch.zeros(n), _candidates(items, mask) if self.task == "span" else None
        if self.task == "multi-label":
            several = torch.zeros(n, len(self.labels))
            for i, indices in enumerate(known):
                several[i, list(indices)] = 1.0
            return several, torch.ones(n), None
        if self.task == "regression":
            return torch.tensor(known, dtype=torch.float32), torch.ones(n), None
        if self.task == "span":
            return torch.tensor(known), torch.ones(n, 2), _candidates(items, mask)
        if self.task == "tagging":
            targets = torch.full(mask.shape, -1)
            targets[mask] = torch.tensor([tag for tags in known for tag in tags])
        else:
            targets = torch.tensor(known)
        weights = (targets >= 0).float()
        targets = targets.clamp(min=0)
        return targets, weights if class_weights is None else weights * class_weights[targets], None


def _candidates(items: Sequence[Item], mask: Tensor) -> Tensor:
    """Return (B, T) bool: where an answer may be: context tokens, and the first token, which means “no answer”."""
    columns = torch.arange(mask.size(1))
    starts = torch.tensor([item.context_start for item in items])[:, None]
    ends = starts + torch.tensor([len(item.offsets) for item in items])[:, None]
    return ((columns >= starts) & (columns < ends)) | (columns == 0)
