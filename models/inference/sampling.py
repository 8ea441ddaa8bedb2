"""From logits to the next token: repetition penalty, temperature, top-k, top-p and min-p, in that order."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.inference.settings import SamplingConfig

__all__ = ["Choice", "SamplingConfig", "check_finite", "next_token_probabilities", "sample"]


@dataclass(frozen=True)
class Choice:
    """A drawn token, and the model's own probability of it: softmax of its logits, before any setting changed them."""

    id: int
    probability: float


def check_finite(logits: Tensor) -> None:
    """Raise ValueError where a logit (of any shape) is not a number."""
    if not torch.isfinite(logits).all():
        raise ValueError("The model's output is not a number, so its training diverged: choose an earlier checkpoint.")


def next_token_probabilities(logits: Tensor, config: SamplingConfig, seen: Tensor | None = None) -> Tensor:
    """What the next token is drawn from: logits (V,) -> probabilities (V,), float32 on the CPU, summing to 1.

    `seen` (n,) long: the ids in the text so far, which the repetition penalty makes less likely (CTRL,
    arXiv:1909.05858). Temperature 0 puts everything on the most likely token.

    Raises:
        ValueError: where a logit is not a number.
    """
    logits = logits.detach().float().cpu()
    check_finite(logits)
    if seen is not None and config.repetition_penalty != 1.0 and len(seen):
        logits = _penalised(logits, torch.unique(seen.cpu()), config.repetition_penalty)
    if config.temperature == 0.0:
        return torch.zeros_like(logits).index_fill_(0, logits.argmax(), 1.0)
    # Subtracting the maximum first keeps tiny temperatures from overflowing.
    probabilities = torch.softmax((logits - logits.max()) / config.temperature, dim=-1)
    if 0 < config.top_k < len(logits):
        probabilities = _only(probabilities, probabilities.topk(config.top_k).indices)
    if config.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True, stable=True)
        before = ordered.cumsum(0) - ordered
        probabilities = _only(probabilities, order[before < config.top_p * ordered.sum()])
    if config.min_p > 0.0:
        probabilities = _only(probabilities, (probabilities >= config.min_p * probabilities.max()).nonzero()[:, 0])
    return probabilities / probabilities.sum()


def sample(logits: Tensor, config: SamplingConfig, generator: torch.Generator, seen: Tensor | None = None) -> Choice:
    """Draw the next token from logits (V,) with `generator` (a CPU one); temperature 0 draws nothing."""
    probabilities = next_token_probabilities(logits, config, seen)
    if config.temperature == 0.0:
        id = int(probabilities.argmax())
    else:
        up_to = probabilities.double().cumsum(0)
        drawn = torch.rand((), generator=generator, dtype=torch.float64) * up_to[-1]
        id = min(int(torch.searchsorted(up_to, drawn, right=True)), int(probabilities.nonzero()[-1]))
    own = logits.detach().float().log_softmax(dim=-1)[id].exp()
    return Choice(id, float(own))


def _penalised(logits: Tensor, seen: Tensor, penalty: float) -> Tensor:
    values = logits[seen]
    return logits.index_copy(0, seen, torch.where(values > 0, values / penalty, values * penalty))


def _only(probabilities: Tensor, kept: Tensor) -> Tensor:
    """The probabilities of the ids `kept`, and 0 elsewhere."""
    return torch.zeros_like(probabilities).index_copy_(0, kept, probabilities[kept])
