"""The forward pass of a batch: final states, the logits of a label head, and the losses of tasks with such a head.

The losses are those of Hugging Face's classes. Letters in shape comments: B batch, T tokens, L labels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Decoder, EncoderDecoder
from terrarium.models.data.batch import Batch


def batch_states(model: AnyModel, batch: Batch, trace: Trace | None = None, counted: Tensor | None = None) -> Tensor:
    """Compute the final hidden states, before the head: (B, T, C), or (N, C) at the flat indices `counted` (N)."""
    device = model.embedding.weight.device
    if counted is not None:
        counted = counted.to(device)
        if trace is not None:
            return batch_states(model, batch, trace).flatten(0, 1).index_select(0, counted)
    inputs = batch.inputs.to(device, non_blocking=True)
    if isinstance(model, Decoder):
        return model.hidden(inputs, trace=trace, keep=counted)
    if isinstance(model, EncoderDecoder):
        assert batch.source is not None
        source_mask = None if batch.source_mask is None else batch.source_mask.to(device)
        return model.hidden(batch.source.to(device), inputs, source_mask=source_mask, trace=trace, keep=counted)
    mask = None if batch.mask is None else batch.mask.to(device)
    segments = None if batch.segments is None else batch.segments.to(device)
    return model.hidden(inputs, mask=mask, segments=segments, trace=trace, keep=counted)


def task_logits(model: AnyModel, batch: Batch, trace: Trace | None = None) -> Tensor:
    """Compute the logits of a label head: (B, L) for whole texts, (B, T, L) for tokens, (B, T, 2) for a span."""
    states = batch_states(model, batch, trace)
    return model.logits(states, None if batch.mask is None else batch.mask.to(states.device))


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
