"""From logits to the number that a token is drawn from, step by step: what is shown of a draw is what was drawn.

The steps, in this order, each on what the one before has left:

1. the model's own probabilities, the softmax of its logits;
2. logit bias, added to the logits; repetition penalty (CTRL, arXiv:1909.05858), for the tokens of prompt and reply;
   frequency and presence penalty (as in OpenAI's API), for the tokens of the reply;
3. temperature, which divides the logits;
4. cuts: top-nσ (arXiv:2411.07641), top-k, locally typical (arXiv:2202.00666), top-p (arXiv:1904.09751), min-p
   (arXiv:2407.01082) and mirostat 2.0 (arXiv:2007.14966);
5. what is left, with a sum of 1 again, laid out as a bar, the likeliest token first;
6. a random number in [0, 1), the place on that bar where the drawn token stands.

In numpy, since these are many small steps, and so that a window can take them without a thought for torch's threads.

Letters in shape comments: V vocab_size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.inference.top_tokens import Floats, falling, largest
from models.settings.sampling_config import CUTS, SamplingConfig
from models.settings.slots import check_complete

DIVERGED = "The model's output is not a number, so its training diverged: choose an earlier checkpoint."
_COLDEST = 1e-30
"""A temperature below this one counts as 0: float32 may not hold what is divided by it, and the largest wins anyway."""
_TINY = 1e-37  # float32's logarithm is exact down to here; what is less likely adds nothing to an entropy


@dataclass(frozen=True, eq=False)
class Stage:
    """What one step has left.

    name: "model", "penalties" (bias among them), "temperature", the name of a cut as in SamplingConfig, or "drawn".
    probabilities: (V,) float32; after a cut they sum to what it has left of the stage "temperature".
    removed: the share of the stage "temperature" that this cut took away.
    """

    name: str
    probabilities: Floats
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
    def own(self) -> Floats:
        """(V,) The model's own probabilities."""
        return self.stages[0].probabilities

    @property
    def untempered(self) -> Floats:
        """(V,) The probabilities after penalties, before the temperature."""
        return self.stages[len(self.stages) - len(self.cuts) - 3].probabilities

    @property
    def tempered(self) -> Floats:
        """(V,) The probabilities after penalties and temperature, before any cut."""
        return self.stages[len(self.stages) - len(self.cuts) - 2].probabilities

    @property
    def cuts(self) -> tuple[Stage, ...]:
        """Those that only take tokens away."""
        return tuple(stage for stage in self.stages if stage.name in CUTS)

    @property
    def final(self) -> Floats:
        """(V,) What a token is drawn from; 0 for those that were cut."""
        return self.stages[-1].probabilities

    @property
    def removed(self) -> float:
        """The share of the probabilities after temperature that all cuts together took away."""
        return sum(stage.removed for stage in self.cuts)


def softmax(logits: Floats) -> Floats:
    """Logits (V,) -> probabilities (V,)."""
    # Subtracting the maximum first keeps large logits, and tiny temperatures, from overflowing.
    powers = np.exp(logits - logits.max())
    shares: Floats = powers / powers.sum()
    return shares


def entropy(probabilities: Floats) -> float:
    """Of probabilities (V,) that sum to 1, in nats."""
    return max(0.0, -float((probabilities * np.log(np.maximum(probabilities, np.float32(_TINY)))).sum()))


def rank(logits: Floats, id: int) -> int:
    """The place of token `id` among all of logits (V,), 1 = the likeliest; tokens that are alike share one."""
    return int(np.count_nonzero(logits > logits[id])) + 1


class SamplingState:
    """What cuts remember from token to token of one reply, a number each; at first as at a reply's beginning."""

    def __init__(self, config: SamplingConfig) -> None:
        self._config = config
        self.numbers = {name: memory.begin(config) for name, memory in _MEMORIES.items() if is_on(config, name)}

    @property
    def remembers(self) -> bool:
        """Whether there is anything to remember: else all replies begin and go on alike."""
        return bool(self.numbers)

    def follow(self, steps: SamplingSteps, id: int) -> None:
        """The token `id` was drawn (or chosen by hand) from what `steps`, made with this state, have left."""
        for name, number in self.numbers.items():
            self.numbers[name] = _MEMORIES[name].follow(number, self._config, _surprisal(steps, id))

    def copy(self) -> SamplingState:
        """Another one that goes on from here."""
        other = SamplingState(self._config)
        other.numbers = dict(self.numbers)
        return other


def state_at(
    place: int, config: SamplingConfig, ids: Sequence[int], n_prompt: int, logits: Callable[[int], Floats]
) -> SamplingState:
    """The state by which the token at `place` of a text `ids` was drawn, whose first `n_prompt` tokens are the prompt.

    logits(p): those that the token at place p was drawn from; asked for only where there is something to remember.
    """
    state = SamplingState(config)
    for each in range(n_prompt, place if state.remembers else n_prompt):
        state.follow(sampling_steps(logits(each), config, ids[:each], n_prompt, state), ids[each])
    return state


def sampling_steps(
    logits: Floats,
    config: SamplingConfig,
    before: Sequence[int] = (),
    n_prompt: int = 0,
    state: SamplingState | None = None,
) -> SamplingSteps:
    """What becomes of logits (V,).

    Args:
        before: the ids of the text so far, which the penalties are about; the first `n_prompt` of them are the prompt.
        state: what the reply's tokens so far have left behind; None at its first one.

    Raises:
        ValueError: where a logit is not a number, or a biased token is not in the vocabulary.
    """
    if not np.isfinite(logits).all():
        raise ValueError(DIVERGED)
    stages = [Stage("model", softmax(logits))]
    changed = _penalised(logits, config, before, n_prompt)
    if changed is not logits:
        stages.append(Stage("penalties", softmax(changed)))
    if config.temperature < _COLDEST:
        probabilities = np.zeros_like(logits)
        probabilities[changed.argmax()] = 1.0
        return SamplingSteps((*stages, Stage("temperature", probabilities), Stage("drawn", probabilities)))
    probabilities = softmax((changed - changed.max()) / np.float32(config.temperature))
    stages.append(Stage("temperature", probabilities))
    numbers = (SamplingState(config) if state is None else state).numbers
    for name, cut in _CUTS.items():
        if is_on(config, name):
            given = Left(changed, probabilities, numbers.get(name, 0.0))
            left = np.where(cut(given, config), probabilities, np.float32(0))
            stages.append(Stage(name, left, max(0.0, float(probabilities.sum() - left.sum()))))
            probabilities = left
    return SamplingSteps((*stages, Stage("drawn", probabilities / probabilities.sum())))


def is_on(config: SamplingConfig, cut: str) -> bool:
    """Whether the cut of that name changes anything."""
    return bool(getattr(config, cut) != getattr(SamplingConfig, cut))


def drawn_token(probabilities: Floats, draw: float) -> int:
    """The token that the number `draw` in [0, 1) lands on, where probabilities (V,) lie side by side, largest first."""
    ordered = falling(probabilities)
    up_to = np.cumsum(ordered, dtype=np.float64)
    place = min(int(np.searchsorted(up_to, draw * up_to[-1], side="right")), int(np.count_nonzero(ordered)) - 1)
    value = ordered[place]
    alike = np.flatnonzero(probabilities == value)
    return int(alike[place - np.count_nonzero(probabilities > value)])


def _penalised(logits: Floats, config: SamplingConfig, before: Sequence[int], n_prompt: int) -> Floats:
    """The logits with bias and penalties; the very same ones where there are none."""
    changed = logits
    if config.logit_bias:
        largest_id = max(id for id, _ in config.logit_bias)
        if largest_id >= len(logits):
            known = f"the model knows only {len(logits):,} of them"
            raise ValueError(f"The token biases name the token {largest_id}, but {known}.")
        changed = changed.copy()
        for id, bias in config.logit_bias:
            changed[id] += bias
    if config.repetition_penalty != 1.0 and before:
        seen, penalty = np.unique(before), np.float32(config.repetition_penalty)
        changed = changed.copy()
        values = changed[seen]
        changed[seen] = np.where(values > 0, values / penalty, values * penalty)
    made = before[n_prompt:]
    if (config.frequency_penalty or config.presence_penalty) and made:
        ids, counts = np.unique(made, return_counts=True)
        changed = changed.copy()
        changed[ids] -= (config.frequency_penalty * counts + config.presence_penalty).astype(np.float32)
    return changed


@dataclass(frozen=True, eq=False)
class Left:
    """What a cut is given.

    logits: (V,) after penalties, before the temperature. probabilities: (V,) after the temperature and the cuts before,
    0 for what those took away. memory: what the cut remembers, where it does.
    """

    logits: Floats
    probabilities: Floats
    memory: float = 0.0


def _top_n_sigma(given: Left, config: SamplingConfig) -> NDArray[np.bool_]:
    """Those whose logits are no more than n standard deviations, of all logits, below the largest (Tang et al.): a
    temperature stretches both alike, so it changes nothing of this."""
    logits = given.logits.astype(np.float64)
    kept: NDArray[np.bool_] = logits >= logits.max() - config.top_n_sigma * logits.std()
    return kept


def _top_k(given: Left, config: SamplingConfig) -> NDArray[np.bool_]:
    return largest(given.probabilities, config.top_k)


def _typical(given: Left, config: SamplingConfig) -> NDArray[np.bool_]:
    """Those whose surprisal is nearest to the entropy, until they hold a share (Meister et al., section 4)."""
    probabilities, share = given.probabilities, config.typical_p
    there = probabilities > 0
    left = probabilities[there] / probabilities.sum()
    distance = np.abs(-np.log(left) - np.float32(entropy(left)))
    order = np.argsort(distance)  # the order of those that are alike does not matter: all or none of them are kept
    n_before = int((np.cumsum(left[order], dtype=np.float64) < share).sum())
    mask = np.zeros(len(probabilities), bool)
    mask[there] = distance <= distance[order[min(n_before, len(order) - 1)]]
    return mask


def _top_p(given: Left, config: SamplingConfig) -> NDArray[np.bool_]:
    ordered = falling(given.probabilities)
    up_to = np.cumsum(ordered, dtype=np.float64)
    n = int((up_to - ordered < config.top_p * up_to[-1]).sum())
    return largest(given.probabilities, max(n, 1), ordered)


def _min_p(given: Left, config: SamplingConfig) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = given.probabilities >= np.float32(config.min_p) * given.probabilities.max()
    return kept


def _mirostat(given: Left, config: SamplingConfig) -> NDArray[np.bool_]:
    """Those of at most μ bits of surprise (Basu et al., algorithm 2); the likeliest at any rate."""
    least = 2.0**-given.memory * given.probabilities.sum()
    kept: NDArray[np.bool_] = given.probabilities >= min(least, given.probabilities.max())
    return kept


_CUTS: dict[str, Callable[[Left, SamplingConfig], NDArray[np.bool_]]] = {
    "top_n_sigma": _top_n_sigma,
    "top_k": _top_k,
    "typical_p": _typical,
    "top_p": _top_p,
    "min_p": _min_p,
    "mirostat_tau": _mirostat,
}
"""In their order: which tokens each keeps, (V,)."""
check_complete(_CUTS, CUTS, "cuts of the draw")


@dataclass(frozen=True)
class Memory:
    """How a cut remembers: its number at a reply's first token, and after a token of so many bits of surprise."""

    begin: Callable[[SamplingConfig], float]
    follow: Callable[[float, SamplingConfig, float], float]


_MEMORIES: dict[str, Memory] = {
    "mirostat_tau": Memory(
        begin=lambda config: 2 * config.mirostat_tau,
        follow=lambda mu, config, surprise: mu - config.mirostat_eta * (surprise - config.mirostat_tau),
    ),
}
"""Of the cuts that hang on the tokens before."""


def _surprisal(steps: SamplingSteps, id: int) -> float:
    """−log2 of the probability that token `id` was drawn with, in bits; of one that was cut off, and so chosen by hand,
    of that before the cuts."""
    return -math.log2(float(steps.final[id]) or max(float(steps.tempered[id]), _TINY))
