"""From logits to the next token, step by step: what is shown of a draw is what was drawn.

The steps, in this order, each on what the one before has left:

1. the model's own probabilities, the softmax of its logits;
2. logit bias, added to the logits; repetition penalty (CTRL, arXiv:1909.05858), for the tokens of prompt and reply;
   frequency and presence penalty (as in OpenAI's API), for the tokens of the reply;
3. temperature, which divides the logits;
4. cuts: top-k, locally typical (arXiv:2202.00666), top-p (arXiv:1904.09751) and min-p (arXiv:2407.01082);
5. what is left, with a sum of 1 again, laid out as a bar, the likeliest token first;
6. a random number in [0, 1), the place on that bar where the drawn token stands.

Letters in shape comments: V vocab_size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.inference.likeliest import likeliest, likeliest_holding
from models.inference.settings import SamplingConfig

__all__ = [
    "Choice",
    "SamplingConfig",
    "SamplingSteps",
    "Stage",
    "check_finite",
    "draw_number",
    "drawn_token",
    "entropy",
    "likeliest_log_probabilities",
    "next_token_probabilities",
    "rank",
    "sample",
    "sampling_steps",
]


@dataclass(frozen=True)
class Choice:
    """A chosen token, and what the model itself said before any setting changed its distribution.

    `probability` of the token, its `rank` (1 = the likeliest of the vocabulary), the `entropy` of the distribution in
    nats. `draw`: the number in [0, 1) that the token was drawn with, None at temperature 0.
    """

    id: int
    probability: float
    entropy: float
    rank: int
    draw: float | None


@dataclass(frozen=True, eq=False)
class Stage:
    """What one step has left.

    name: "model", "penalties" (bias among them), "temperature", the name of a cut as in SamplingConfig, or "drawn".
    probabilities: (V,) float32 on the CPU; after a cut they sum to what it has left of the stage "temperature".
    removed: the share of the stage "temperature" that this cut took away.
    """

    name: str
    probabilities: Tensor
    removed: float = 0.0

    @property
    def entropy(self) -> float:
        """In nats, of what is left with a sum of 1 again."""
        return entropy(self.probabilities / self.probabilities.sum())


@dataclass(frozen=True, eq=False)
class SamplingSteps:
    """All that happens to a distribution before a token is drawn from it.

    Stages of settings that change nothing are left out; "model", "temperature" and "drawn" are always there.
    """

    stages: tuple[Stage, ...]

    @property
    def own(self) -> Tensor:
        """(V,) The model's own probabilities."""
        return self.stages[0].probabilities

    @property
    def tempered(self) -> Tensor:
        """(V,) The probabilities after penalties and temperature, before any cut."""
        return next(stage for stage in self.stages if stage.name == "temperature").probabilities

    @property
    def final(self) -> Tensor:
        """(V,) What a token is drawn from; 0 for those that were cut."""
        return self.stages[-1].probabilities

    @property
    def removed(self) -> float:
        """The share of the probabilities after temperature that all cuts together took away."""
        return sum(stage.removed for stage in self.stages)


def check_finite(logits: Tensor) -> None:
    """Raise ValueError where a logit (of any shape) is not a number."""
    if not torch.isfinite(logits).all():
        raise ValueError("The model's output is not a number, so its training diverged: choose an earlier checkpoint.")


def entropy(probabilities: Tensor) -> float:
    """Of probabilities (V,) that sum to 1, in nats."""
    return max(0.0, -float(torch.xlogy(probabilities, probabilities).sum()))


def rank(logits: Tensor, id: int) -> int:
    """The place of token `id` among all of logits (V,), 1 = the likeliest; tokens that are alike share one."""
    return int((logits > logits[id]).sum()) + 1


def sampling_steps(
    logits: Tensor, config: SamplingConfig, before: Sequence[int] = (), n_prompt: int = 0
) -> SamplingSteps:
    """What becomes of logits (V,).

    Args:
        before: the ids of the text so far, which the penalties are about; the first `n_prompt` of them are the prompt.

    Raises:
        ValueError: where a logit is not a number, or a biased token is not in the vocabulary.
    """
    logits = logits.detach().float().cpu()
    check_finite(logits)
    stages = [Stage("model", torch.softmax(logits, dim=-1))]
    changed = _penalised(logits, config, before, n_prompt)
    if changed is not logits:
        stages.append(Stage("penalties", torch.softmax(changed, dim=-1)))
    if config.temperature == 0.0:
        probabilities = torch.zeros_like(logits).index_fill_(0, changed.argmax(), 1.0)
        return SamplingSteps((*stages, Stage("temperature", probabilities), Stage("drawn", probabilities)))
    # Subtracting the maximum first keeps tiny temperatures from overflowing.
    probabilities = torch.softmax((changed - changed.max()) / config.temperature, dim=-1)
    stages.append(Stage("temperature", probabilities))
    for name, cut in _CUTS.items():
        if _is_on(name, config):
            left = torch.zeros_like(probabilities)
            kept = cut(probabilities, getattr(config, name))
            left[kept] = probabilities[kept]
            stages.append(Stage(name, left, max(0.0, float(probabilities.sum() - left.sum()))))
            probabilities = left
    return SamplingSteps((*stages, Stage("drawn", probabilities / probabilities.sum())))


def next_token_probabilities(
    logits: Tensor, config: SamplingConfig, before: Sequence[int] = (), n_prompt: int = 0
) -> Tensor:
    """What the next token is drawn from, (V,) summing to 1: as `sampling_steps`.

    Temperature 0 puts everything on the most likely token.
    """
    return sampling_steps(logits, config, before, n_prompt).final


def drawn_token(probabilities: Tensor, draw: float) -> int:
    """The token that the number `draw` in [0, 1) lands on, where probabilities (V,) lie side by side, largest first."""
    ids = likeliest_holding(probabilities, draw)
    up_to = probabilities[ids].double().cumsum(0)
    place = int(torch.searchsorted(up_to, draw * float(probabilities.double().sum()), right=True))
    return int(ids[min(place, len(ids) - 1)])


def draw_number(generator: torch.Generator) -> float:
    """The next number in [0, 1) of a CPU generator."""
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def likeliest_log_probabilities(logits: Tensor, n: int) -> tuple[tuple[int, float], ...]:
    """The n likeliest tokens of logits (V,): ids and the natural logarithms of the model's own probabilities."""
    logs = torch.log_softmax(logits.detach().float().cpu(), dim=-1)
    ids = likeliest(logs, n)
    return tuple(zip(ids.tolist(), logs[ids].tolist(), strict=True))


def sample(
    logits: Tensor, config: SamplingConfig, generator: torch.Generator, before: Sequence[int] = (), n_prompt: int = 0
) -> Choice:
    """Choose the next token from logits (V,) with `generator` (a CPU one); temperature 0 draws nothing."""
    steps = sampling_steps(logits, config, before, n_prompt)
    draw = draw_number(generator) if config.temperature else None
    id = int(steps.final.argmax()) if draw is None else drawn_token(steps.final, draw)
    own = steps.own
    return Choice(id, float(own[id]), entropy(own), rank(logits, id), draw)


def _penalised(logits: Tensor, config: SamplingConfig, before: Sequence[int], n_prompt: int) -> Tensor:
    """The logits with bias and penalties; the very same ones where there are none."""
    if config.logit_bias:
        ids = torch.tensor([id for id, _ in config.logit_bias])
        if int(ids.max()) >= len(logits):
            raise ValueError(
                f"The token biases name the token {int(ids.max())}, but the model knows only {len(logits):,} of them."
            )
        logits = logits.index_add(0, ids, torch.tensor([bias for _, bias in config.logit_bias], dtype=logits.dtype))
    if config.repetition_penalty != 1.0 and before:
        seen = torch.unique(torch.tensor(before))
        values, penalty = logits[seen], config.repetition_penalty
        logits = logits.index_copy(0, seen, torch.where(values > 0, values / penalty, values * penalty))
    made = before[n_prompt:]
    if (config.frequency_penalty or config.presence_penalty) and made:
        ids, counts = torch.unique(torch.tensor(made), return_counts=True)
        logits = logits.index_add(0, ids, -(config.frequency_penalty * counts + config.presence_penalty))
    return logits


def _is_on(cut: str, config: SamplingConfig) -> bool:
    value = getattr(config, cut)
    return bool(value > 0) if cut in ("top_k", "min_p") else bool(value < 1.0)


def _top_k(probabilities: Tensor, k: int) -> Tensor:
    return likeliest(probabilities, k)


def _typical(probabilities: Tensor, share: float) -> Tensor:
    """Those whose surprisal is nearest to the entropy, until they hold `share` (Meister et al., section 4)."""
    ids = probabilities.nonzero()[:, 0]
    left = probabilities[ids] / probabilities.sum()
    distance = (-left.log() - entropy(left)).abs()
    ordered, order = distance.sort(stable=True)
    n_before = int((left[order].cumsum(0) < share).sum())
    return ids[distance <= ordered[min(n_before, len(ids) - 1)]]


def _top_p(probabilities: Tensor, share: float) -> Tensor:
    ids = likeliest_holding(probabilities, share)
    ordered = probabilities[ids]
    return ids[ordered.cumsum(0) - ordered < share * probabilities.sum()]


def _min_p(probabilities: Tensor, share: float) -> Tensor:
    return (probabilities >= share * probabilities.max()).nonzero()[:, 0]


_CUTS = {"top_k": _top_k, "typical_p": _typical, "top_p": _top_p, "min_p": _min_p}
