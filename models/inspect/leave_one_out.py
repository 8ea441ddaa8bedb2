"""Leave-one-out: how much less likely an answer is while one token of its input, or all tokens of one word, are hidden.

Source: Understanding Neural Networks through Representation Erasure (Li et al., arXiv:1612.08220). No token attends to
the hidden ones, while all others keep their positions; in an encoder, mask tokens replace them, since it treats gaps as
masks.

Letters in shape comments: R rows (variants in one batch), T tokens, C d_model, V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from terrarium.models.architecture.transformer import AnyModel, Decoder, Encoder, EncoderDecoder
from terrarium.models.inference.continuation import evaluating
from terrarium.models.inspect.ablation import FLOPS_PER_CALL
from terrarium.models.inspect.read_text import Text, n_weights, read, read_up_to, segment_rows
from terrarium.models.inspect.readout import Readout


class InputToken(NamedTuple):
    """A token of the input, by its position in the text, or in an encoder-decoder's source."""

    position: int
    in_source: bool = False


Unit = tuple[InputToken, ...]
"""Tokens that are hidden together."""


class LeaveOneOut:
    """Measures, unit by unit, how the log-probability of the target token changes without that unit of the text.

    Calls of `measure_next` may be far apart: if the weights change in between, it starts again.

    Args:
        readout: the question, and `id` its target outcome: a token or a label. mask: an encoder's mask token; None for
            other models. units: the tokens that are hidden together, such as those of a word, all on one side (text or
            source); None for single tokens.
    """

    def __init__(
        self, text: Text, readout: Readout, id: int, mask: int | None = None, units: Sequence[Unit] | None = None
    ) -> None:
        self._text, self._readout, self._id, self._mask, self._units = text, readout, id, mask, units
        self._todo: list[Unit] | None = None
        self._version = -1
        self.own = 0.0
        """The log-probability with all tokens; 0 before the first call."""

    def measure_next(self, model: AnyModel) -> list[tuple[InputToken, float]]:
        """Measure some units, the last one first: (first token, change in nats) of each; empty when all are done.

        Raises:
            ValueError: as `read_text.check_readable`.
        """
        text, readout = read_up_to(model.config, self._text, self._readout.at), self._readout
        if self._todo is None or self._version != model.weights_version:
            self._version = model.weights_version
            each: list[Unit] = [(token,) for token in inputs_of(model, text, readout)]
            self._todo = each if self._units is None else [*self._units]
            with torch.no_grad(), evaluating(model):
                self.own = float(readout.log_probability(model, read(model, text, readout=readout), self._id)[0])
        if not self._todo:
            return []
        n = max(1, int(FLOPS_PER_CALL / max(flops_of_one(model, text), 1.0)))
        now = self._todo[-n:][::-1]
        is_source = now[0][0].in_source
        now = [unit for unit in now if unit[0].in_source == is_source]
        del self._todo[-len(now) :]
        without = self._without_each(model, text, now)
        return [(unit[0], value - self.own) for unit, value in zip(now, without, strict=True)]

    @torch.no_grad()
    def _without_each(self, model: AnyModel, text: Text, hidden: Sequence[Unit]) -> list[float]:
        """Return the log-probability of the target without each of these units, which are all on one side."""
        device, n = model.embedding.weight.device, len(hidden)
        ids, source = (torch.tensor([each], device=device).expand(n, -1) for each in (text.ids, text.source_ids))
        in_source = hidden[0][0].in_source
        seen = torch.ones_like(source if in_source else ids, dtype=torch.bool)
        for i, unit in enumerate(hidden):
            seen[i, [token.position for token in unit]] = False
        segments = segment_rows(text, n, device)
        with evaluating(model):
            if isinstance(model, EncoderDecoder):
                source_mask = seen if in_source else None
                target_mask = shifted(seen) if repeats_source(model) else None if in_source else seen
                states = model.hidden(source, ids, source_mask=source_mask, target_mask=target_mask)
            elif isinstance(model, Decoder):
                states = model.hidden(ids, mask=seen)
            elif self._mask is not None:
                states = model.hidden(torch.where(seen, ids, self._mask), segments=segments)
            else:
                states = model.hidden(ids, mask=seen, segments=segments)
            found: list[float] = self._readout.log_probability(model, states, self._id).tolist()
            return found


def answer_to(model: AnyModel, text: Text, readout: Readout, id: int) -> tuple[int, float]:
    """Return the outcome `id` of a readout, or for −1 the most likely one, and its log-probability.

    Raises:
        ValueError: as `read_text.check_readable`.
    """
    text = read_up_to(model.config, text, readout.at)
    with torch.no_grad(), evaluating(model):
        logs = torch.log_softmax(readout.logits(model, read(model, text, readout=readout))[0], dim=-1)
    id = int(logs.argmax()) if id < 0 else id
    return id, float(logs[id])


def flops_of_one(model: AnyModel, text: Text) -> float:
    """Return the approximate number of FLOPs for reading a text once."""
    weights = n_weights(model) - model.embedding.weight.numel()
    return 2.0 * weights * max(len(text.ids), len(text.source_ids))


def inputs_of(model: AnyModel, text: Text, readout: Readout) -> list[InputToken]:
    """Return the tokens of a text that can be hidden.

    A text's only token cannot, nor can the token at which an encoder answers for the whole text: a mask, or the start
    token.
    """
    is_encoder, asks_about_itself = isinstance(model, Encoder), readout.head in ("token", "span")
    source = [InputToken(i, in_source=True) for i in range(len(text.source_ids))] if len(text.source_ids) > 1 else []
    if repeats_source(model):
        return source
    own = [InputToken(i) for i in range(len(text.ids)) if not is_encoder or asks_about_itself or i != readout.at]
    return source + (own if len(text.ids) > 1 else [])


def words_to_hide(inputs: Sequence[InputToken], words: Sequence[range], source: Sequence[range]) -> list[Unit]:
    """Return the units for hiding whole words: the tokens of each word of the source and of the text that are in
    `inputs`, without empty units."""
    units = [
        tuple(token for at in word if (token := InputToken(at, in_source)) in inputs)
        for in_source, side in ((True, source), (False, words))
        for word in side
    ]
    return [unit for unit in units if unit]


def repeats_source(model: AnyModel) -> bool:
    """Return whether the decoder reads the source again, shifted, as for labels (Lewis et al., arXiv:1910.13461)."""
    return isinstance(model, EncoderDecoder) and model.config.head != "language"


def shifted(seen: Tensor) -> Tensor:
    """Shift the mask of the source's tokens for the decoder that reads them again: (R, T) bool both."""
    return torch.cat((torch.ones_like(seen[:, :1]), seen[:, :-1]), dim=1)
