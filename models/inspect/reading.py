"""A text that a model reads once more so that one can look inside: in eval mode, and nothing of it stays behind.

Letters in shape comments: B rows, T tokens, C d_model, V vocab_size.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.architecture.cache import KVCache
from models.architecture.stack import Stack
from models.architecture.trace import Trace
from models.architecture.transformer import AnyModel, Encoder, EncoderDecoder
from models.inference.continuation import check_prompt, evaluating
from models.inference.sampling import check_finite
from models.settings.model_config import ModelConfig

_MOST_BYTES = 2**28
"""What is kept of a reading: 256 MB."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """What is read: `ids`, and what an encoder-decoder's encoder reads before, `source_ids`.

    Nothing looks at the tokens of `ids` and `source_ids` at the places `hidden` and `hidden_source`.
    """

    ids: tuple[int, ...]
    source_ids: tuple[int, ...] = ()
    hidden: frozenset[int] = frozenset()
    hidden_source: frozenset[int] = frozenset()


def answer_place(config: ModelConfig, place: int) -> int | None:
    """Where the model's answer for the token at `place` is read: an encoder's there, else at the token before it; None
    for a text's first token, which nothing chose."""
    if config.topology == "encoder-only":
        return place
    return place - 1 if place > 0 else None


def read_up_to(config: ModelConfig, text: Text, at: int) -> Text:
    """The same text without what the answer at place `at` does not depend on: a causal model sees nothing later."""
    if not config.is_causal:
        return text
    hidden = frozenset(place for place in text.hidden if place <= at)
    return Text(ids=text.ids[: at + 1], source_ids=text.source_ids, hidden=hidden, hidden_source=text.hidden_source)


def answering_stack(model: AnyModel) -> Stack:
    """The blocks that the answer is made in: of an encoder-decoder the decoder's."""
    return model.decoder if isinstance(model, EncoderDecoder) else model


def block_sites(stack: Stack) -> list[str]:
    """The sites of a stack's blocks, in order."""
    return [f"{stack.site}blocks.{i}" for i in range(len(stack.blocks))]


def check_readable(model: AnyModel, text: Text) -> None:
    """Refuse what gives no answer in tokens.

    Raises:
        ValueError: where the model has no head for tokens, or the text is empty or longer than the context.
    """
    if isinstance(model, Encoder) and model.config.head != "language":
        raise ValueError("This encoder has no masked-token head, so no token forms in it: choose another model.")
    check_prompt(len(text.ids), model.config.context_length)
    if isinstance(model, EncoderDecoder):
        check_prompt(len(text.source_ids), model.config.context_length)


def read(
    model: AnyModel, text: Text, trace: Trace | None = None, rows: int = 1, cache: KVCache | None = None
) -> Tensor:
    """The text's last hidden states (rows, T, C), the same text in every row; call it under `evaluating`.

    Raises:
        ValueError: as `check_readable`.
    """
    check_readable(model, text)
    device = model.embedding.weight.device
    ids, mask = _rows(text.ids, text.hidden, rows, device)
    if isinstance(model, EncoderDecoder):
        source, source_mask = _rows(text.source_ids, text.hidden_source, rows, device)
        return model.hidden(source, ids, source_mask=source_mask, target_mask=mask, cache=cache, trace=trace)
    if isinstance(model, Encoder):
        return model.hidden(ids, mask=mask, trace=trace)
    return model.hidden(ids, mask=mask, cache=cache, trace=trace)


def answer_logits(model: AnyModel, hidden: Tensor) -> Tensor:
    """Final hidden states (…, C) -> logits (…, V), float32 on the CPU.

    Raises:
        ValueError: where one is not a number.
    """
    logits = model.logits(hidden).float().cpu()
    check_finite(logits)
    return logits


def _rows(ids: Sequence[int], hidden: frozenset[int], rows: int, device: torch.device) -> tuple[Tensor, Tensor | None]:
    """Ids (rows, T), and which of them are seen, None for all."""
    tensor = torch.tensor([list(ids)], device=device).expand(rows, -1)
    if not hidden:
        return tensor, None
    seen = torch.tensor([[place not in hidden for place in range(len(ids))]], device=device)
    return tensor, seen.expand(rows, -1)


def streams_of(model: AnyModel, text: Text) -> Trace:
    """The residual stream, and what each part adds to it, at every place of a text: for the lens and its like.

    Raises:
        ValueError: as `check_readable`.
    """
    trace = Trace(wanted=frozenset({"residual", "parts"}))
    with evaluating(model):
        read(model, text, trace)
    return trace


class Reader:
    """Reads a text once for many questions: again only for another text, model or weights, or where it is too long."""

    def __init__(self) -> None:
        self._model: weakref.ref[AnyModel] | None = None
        self._read: tuple[Text, int] | None = None
        self._trace: Trace | None = None

    def streams(self, model: AnyModel, text: Text) -> Trace:
        """As `streams_of`."""
        now = (text, model.weights_version)
        if self._trace is None or self._read != now or self._model is None or self._model() is not model:
            self._trace = None  # before the next one takes as much memory
            trace = streams_of(model, text)
            n_bytes = sum(x.numel() * x.element_size() for x in (*trace.residual.values(), *trace.parts.values()))
            if n_bytes > _MOST_BYTES:
                return trace
            self._model, self._read, self._trace = weakref.ref(model), now, trace
        return self._trace


def n_weights(module: nn.Module) -> int:
    """Numbers that a module multiplies with, in whatever kind they are kept."""
    return sum(tensor.numel() for tensor in (*module.parameters(), *module.buffers()))
