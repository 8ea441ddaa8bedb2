"""Gradient × input: how much each token that was read counts for one logit, to first order.

Source: Not Just a Black Box (Shrikumar et al., arXiv:1605.01713). No `.grad` is touched, and no mode or random state.

Letters in shape comments: B = 1, T tokens, C d_model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from models.inference.sampling import check_finite
from models.inspect.reading import Text, check_readable, read_up_to
from models.transformer import AnyModel, Encoder, EncoderDecoder

OF = ("logit", "log-probability")


@dataclass(frozen=True, kw_only=True)
class Attribution:
    """What each token of the text, and of an encoder-decoder's source, counts for; `value` is what is explained."""

    tokens: tuple[float, ...]
    source: tuple[float, ...]
    value: float

    @property
    def total(self) -> float:
        """The sum over all tokens, which is the value only where the model is linear."""
        return sum(self.tokens) + sum(self.source)


def attribute(model: AnyModel, text: Text, at: int, id: int, of: str = "logit") -> Attribution:
    """Gradient × input of the logit, or the log-probability, of `id` at place `at`; one number for each token.

    The input is the token's embedding, before positions are added.

    Raises:
        ValueError: as `reading.check_readable`, or where the model's output is not a number.
    """
    assert of in OF, of
    text = read_up_to(model.config, text, at)
    check_readable(model, text)
    with _evaluating_with_gradients(model):
        x = _embedded(model, text.ids)
        xs = _embedded(model, text.source_ids) if isinstance(model, EncoderDecoder) else None
        logits = model.logits(_hidden(model, x, xs)[0, at]).float()
        check_finite(logits)
        value = logits[id] if of == "logit" else torch.log_softmax(logits, dim=-1)[id]
        inputs = [x] if xs is None else [x, xs]
        gradients = torch.autograd.grad(value, inputs)
    shares = [(g * i.detach()).sum(dim=-1)[0].tolist() for g, i in zip(gradients, inputs, strict=True)]
    return Attribution(
        tokens=tuple(shares[0]), source=tuple(shares[1]) if xs is not None else (), value=float(value.detach())
    )


def _embedded(model: AnyModel, ids: tuple[int, ...]) -> Tensor:
    """The embeddings (1, T, C) as a leaf that gradients go to."""
    device = model.embedding.weight.device
    return model.embed(torch.tensor([list(ids)], device=device)).detach().requires_grad_()


def _hidden(model: AnyModel, x: Tensor, source: Tensor | None) -> Tensor:
    """Embeddings (1, T, C) -> final hidden states (1, T, C)."""
    if isinstance(model, EncoderDecoder):
        assert source is not None
        return model.decoder.transform(x, memory=model.encoder.transform(source))
    if isinstance(model, Encoder) and model.segment is not None:
        return model.transform(x + model.segment.weight[0])
    return model.transform(x)


@contextmanager
def _evaluating_with_gradients(model: AnyModel) -> Iterator[None]:
    """Eval mode with gradients; the mode is put back."""
    was_training = model.training
    model.eval()
    try:
        with torch.enable_grad():
            yield
    finally:
        model.train(was_training)
