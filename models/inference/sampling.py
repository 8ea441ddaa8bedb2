"""Sampling the next token from a model's logits: `models.inference.sampling_steps` for torch tensors.

Letters in shape comments: V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from terrarium.models.events import Speculated
from terrarium.models.inference.sampling_steps import (
    DIVERGED,
    Floats,
    SamplingState,
    drawn_token,
    entropy,
    rank,
    sampling_steps,
    top_ids,
)
from terrarium.models.settings.sampling_config import SamplingConfig

__all__ = [
    "Drawn",
    "SampledToken",
    "SamplingConfig",
    "as_floats",
    "check_finite",
    "draw_number",
    "sample",
    "top_log_probabilities",
]


@dataclass(frozen=True)
class SampledToken:
    """A sampled token, with values of the model's own distribution, before sampling settings.

    `probability` of the token, its `rank` (1 = most likely in the vocabulary), the `entropy` of the distribution in
    nats. `draw`: the random number in [0, 1) with which the token was drawn, None at temperature 0.
    """

    id: int
    probability: float
    entropy: float
    rank: int
    draw: float | None


class Drawn(NamedTuple):
    """A token, the logits (V,) that it was drawn from, and its outcome in speculative decoding, else None."""

    choice: SampledToken
    logits: Tensor
    speculated: Speculated | None = None


def check_finite(logits: Tensor) -> None:
    """Raise ValueError if any logit (of any shape) is not finite."""
    if not torch.isfinite(logits).all():
        raise ValueError(DIVERGED)


def as_floats(logits: Tensor) -> Floats:
    """Convert logits to a float32 array on the CPU."""
    floats: Floats = logits.detach().float().cpu().numpy()
    return floats


def draw_number(generator: torch.Generator) -> float:
    """Draw the next number in [0, 1) from a CPU generator."""
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def top_log_probabilities(logits: Tensor, n: int) -> tuple[tuple[int, float], ...]:
    """Return the n most likely tokens of logits (V,): (id, natural log-probability) in the model's own distribution."""
    logs = as_floats(torch.log_softmax(logits.detach().float(), dim=-1))
    ids = top_ids(logs, n)
    return tuple(zip(ids.tolist(), logs[ids].tolist(), strict=True))


def sample(
    logits: Tensor,
    config: SamplingConfig,
    generator: torch.Generator,
    before: Sequence[int] = (),
    n_prompt: int = 0,
    state: SamplingState | None = None,
) -> SampledToken:
    """Choose the next token from logits (V,) with `generator` (a CPU one); temperature 0 draws no number.

    Args:
        before, n_prompt: as for `sampling_steps`, which also documents what is raised.
        state: the reply's, updated by the choice.
    """
    floats = as_floats(logits)
    steps = sampling_steps(floats, config, before, n_prompt, state)
    draw = draw_number(generator) if config.temperature else None
    id = int(steps.final.argmax()) if draw is None else drawn_token(steps.final, draw)
    if state is not None:
        state.update(steps, id)
    return SampledToken(id, float(steps.own[id]), entropy(steps.own), rank(floats, id), draw)
