"""The losses of tasks whose targets belong to a whole text or a span; equal to those of Hugging Face's classes.

Letters in shape comments: B batch, T tokens, L labels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from terrarium.models.data.batch import Batch


def task_nll(logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Compute the loss of each target, and its weight, flat; their weighted mean is the loss.

    Args:
        logits: (B, L) for labels, (B, 1) for a score, or (B, T, 2) for a span's start and end.

    Cross-entropy for a label and for a span's start and end; the mean binary cross-entropy for several labels; the
    squared error for a score.
    """
    logits = logits.float()
    targets, weights = batch.targets.to(logits.device), batch.weights.to(logits.device).flatten()
    if batch.task == "multi-label":
        nll = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)  # (B)
    elif batch.task == "regression":
        nll = (logits.squeeze(1) - targets).square()  # (B)
    elif batch.task == "span":
        nll = F.cross_entropy(span_logits(logits, batch).flatten(0, 1), targets.flatten(), reduction="none")  # (2 B)
    else:
        assert batch.task == "classification"
        nll = F.cross_entropy(logits, targets, reduction="none")  # (B)
    return nll, weights


def span_logits(logits: Tensor, batch: Batch) -> Tensor:
    """Transpose (B, T, 2) to (B, 2, T), for the start and the end, with −∞ where no answer can be."""
    assert batch.candidates is not None
    allowed = batch.candidates.to(logits.device)[:, None]  # (B, 1, T)
    return logits.float().transpose(1, 2).masked_fill(~allowed, float("-inf"))
