"""The forward pass of a batch: final states, and the logits of a label head. Shapes as in models.tasks.encoding."""

from __future__ import annotations

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
