"""Output heads: from the last hidden states to logits over the vocabulary, or over labels.

Letters in shape comments: B batch, T tokens, C d_model, V vocab_size, L n_output.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from terrarium.models.architecture.experts import activate
from terrarium.models.architecture.norms import make_norm
from terrarium.models.settings.model_config import ModelConfig


class LanguageHead(nn.Module):
    """Logits over the vocabulary, with the embedding matrix if tied, after BERT's transform if there is one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.transform = HeadTransform(config) if config.has_head_transform else None
        tied = config.tied_embeddings
        self.weight = None if tied else nn.Parameter(torch.empty(config.vocab_size, config.d_model))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.head_bias else None
        self.scale = config.d_model**-0.5 if config.scaled_logits else 1.0

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """hidden (…, C), the embedding matrix (V, C) -> logits (…, V)."""
        return F.linear(self.features(hidden), self.table(table), self.bias)

    def features(self, hidden: Tensor) -> Tensor:
        """Compute the states that are multiplied with the output matrix: (…, C) -> (…, C)."""
        if self.transform is not None:
            hidden = self.transform(hidden)
        return hidden if self.scale == 1.0 else hidden * self.scale

    def table(self, embedding: Tensor) -> Tensor:
        """Return the output matrix (V, C): the embedding matrix if tied."""
        return embedding if self.weight is None else self.weight


class HeadTransform(nn.Module):
    """BERT's layer before the prediction of masked tokens: a matrix, the feed-forward's activation, a norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._activation = config.head_activation
        self.dense = nn.Linear(config.d_model, config.d_model, bias=config.bias == "all")
        self.norm = make_norm(config, config.d_model)

    def forward(self, hidden: Tensor) -> Tensor:
        """(…, C) -> (…, C)."""
        return self.norm(activate(self._activation, self.dense(hidden), None))  # type: ignore[no-any-return]


class LabelHead(nn.Linear):
    """Logits over labels, or of the start and the end of a span, after BART's matrix and tanh if there is one."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.d_model, config.n_output, bias=config.has_label_bias)
        self.dense = nn.Linear(config.d_model, config.d_model) if config.has_dense_head else None
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """(…, C) -> (…, L)."""
        hidden = self.dropout(hidden)
        if self.dense is not None:
            hidden = self.dropout(torch.tanh(self.dense(hidden)))
        return super().forward(hidden)


def make_head(config: ModelConfig) -> nn.Module | None:
    """Build the head of a design; None for "none"."""
    if config.head == "language":
        return LanguageHead(config)
    return None if config.head == "none" else LabelHead(config)
