"""Reading of a text by a model for inspection: in eval mode, without side effects.

Letters in shape comments: B rows, T tokens, C d_model, V vocab_size.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.stack import Stack
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import AnyModel, Encoder, EncoderDecoder
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inference.sampling import check_finite
from terrarium.models.inspect.readout import Readout
from terrarium.models.settings.model_config import ModelConfig

NEXT_TOKEN = Readout(at=-1)
"""The readout of most questions: the token after the last one."""
_MAX_BYTES = 2**28
"""Memory limit of a cached reading: 256 MB."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """The input: `ids`, and `source_ids` for the encoder of an encoder-decoder.

    `hidden` and `hidden_source` are positions in them that no token attends to. `segments`: one per token of `ids`, for
    an encoder that reads pairs; () if all are in the first segment.
    """

    ids: tuple[int, ...]
    source_ids: tuple[int, ...] = ()
    hidden: frozenset[int] = frozenset()
    hidden_source: frozenset[int] = frozenset()
    segments: tuple[int, ...] = ()


def answer_position(config: ModelConfig, position: int) -> int | None:
    """Return the position at which the token at `position` is predicted: the same for an encoder, else the one before;
    None for the first token of a text, which is not predicted."""
    if config.topology == "encoder-only":
        return position
    return position - 1 if position > 0 else None


def ids_read(config: ModelConfig, ids: Sequence[int]) -> tuple[int, ...]:
    """Return the tokens of a text that the model has read: all, unless a reply ends with a token beyond the context.
    Such a token was sampled after everything before it, and nothing follows it."""
    return tuple(ids[:-1] if config.is_causal and len(ids) == config.context_length + 1 else ids)


def read_up_to(config: ModelConfig, text: Text, at: int) -> Text:
    """Return the text up to position `at` for a causal model, which ignores later tokens; else all of it."""
    if not config.is_causal:
        return text
    hidden = frozenset(position for position in text.hidden if position <= at)
    return replace(text, ids=text.ids[: at + 1], hidden=hidden, segments=text.segments[: at + 1])


def answering_stack(model: AnyModel) -> Stack:
    """Return the stack that computes the answer: of an encoder-decoder, the decoder."""
    return model.decoder if isinstance(model, EncoderDecoder) else model


def block_sites(stack: Stack) -> list[str]:
    """Return the sites of a stack's blocks, in order."""
    return [f"{stack.site}blocks.{i}" for i in range(len(stack.blocks))]


def check_readable(model: AnyModel, text: Text, readout: Readout = NEXT_TOKEN) -> None:
    """Check that the model predicts tokens for this text, or another answer of `readout`.

    Raises:
        ValueError: if the model has another head, or the text is empty or longer than the context.
    """
    readout.check(model, len(text.ids), len(text.source_ids))


def read(
    model: AnyModel,
    text: Text,
    trace: Trace | None = None,
    rows: int = 1,
    cache: KVCache | None = None,
    *,
    readout: Readout = NEXT_TOKEN,
) -> Tensor:
    """Compute the final hidden states (rows, T, C), with the same text in every row; call it under `evaluating`.

    Raises:
        ValueError: as `check_readable`.
    """
    check_readable(model, text, readout)
    device = model.embedding.weight.device
    ids, mask = _rows(text.ids, text.hidden, rows, device)
    if isinstance(model, EncoderDecoder):
        source, source_mask = _rows(text.source_ids, text.hidden_source, rows, device)
        return model.hidden(source, ids, source_mask=source_mask, target_mask=mask, cache=cache, trace=trace)
    if isinstance(model, Encoder):
        return model.hidden(ids, mask=mask, segments=segment_rows(text, rows, device), trace=trace)
    return model.hidden(ids, mask=mask, cache=cache, trace=trace)


def segment_rows(text: Text, rows: int, device: torch.device) -> Tensor | None:
    """Return the segments of a text's tokens, (rows, T); None if all are in the first segment."""
    return torch.tensor([list(text.segments)], device=device).expand(rows, -1) if text.segments else None


def answer_logits(model: AnyModel, hidden: Tensor) -> Tensor:
    """Compute logits (…, V) from final hidden states (…, C), float32 on the CPU.

    Raises:
        ValueError: if a logit is not a number.
    """
    logits = model.logits(hidden).float().cpu()
    check_finite(logits)
    return logits


def _rows(ids: Sequence[int], hidden: frozenset[int], rows: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Return ids (rows, T), and the mask of the tokens that are not hidden, None for all."""
    tensor = torch.tensor([list(ids)], device=device).expand(rows, -1)
    if not hidden:
        return tensor, None
    seen = torch.tensor([[position not in hidden for position in range(len(ids))]], device=device)
    return tensor, seen.expand(rows, -1)


def streams_of(model: AnyModel, text: Text) -> Trace:
    """Record the residual stream, and what each part adds to it, at every position of a text.

    Raises:
        ValueError: as `check_readable`.
    """
    trace = Trace(wanted=frozenset({"residual", "parts"}))
    with evaluating(model):
        read(model, text, trace)
    return trace


class Reader:
    """Caches the streams of a text until the text, the model or its weights change; a text too long is not cached."""

    def __init__(self) -> None:
        self._model: weakref.ref[AnyModel] | None = None
        self._read: tuple[Text, int] | None = None
        self._trace: Trace | None = None

    def streams(self, model: AnyModel, text: Text) -> Trace:
        """Return the streams as `streams_of`, from the cache if possible."""
        now = (text, model.weights_version)
        if self._trace is None or self._read != now or self._model is None or self._model() is not model:
            self._trace = None  # free it before the next one takes as much memory
            trace = streams_of(model, text)
            n_bytes = sum(x.numel() * x.element_size() for x in (*trace.residual.values(), *trace.parts.values()))
            if n_bytes > _MAX_BYTES:
                return trace
            self._model, self._read, self._trace = weakref.ref(model), now, trace
        return self._trace


def n_weights(module: nn.Module) -> int:
    """Return the number of weights of a module, parameters and buffers (quantized weights are buffers)."""
    return sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
