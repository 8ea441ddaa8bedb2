"""From logits to a drawn token, step by step: the window shows exactly the steps that generation uses.

The steps in order, each applied to the result of the one before:

1. the model's own probabilities, the softmax of its logits;
2. logit bias, added to the logits; repetition penalty (CTRL, arXiv:1909.05858), for the tokens of prompt and reply;
   frequency and presence penalty (as in OpenAI's API), for the tokens of the reply;
3. temperature, which divides the logits;
4. truncation: top-nσ (arXiv:2411.07641), top-k, locally typical (arXiv:2202.00666), top-p (arXiv:1904.09751), min-p
   (arXiv:2407.01082) and mirostat 2.0 (arXiv:2007.14966), then those of extensions, by the names of their packages;
5. renormalisation: the remaining probabilities laid out as a bar, the most likely token first;
6. a random number in [0, 1), the position of the drawn token on that bar.

In numpy, since these are many small steps, and so that the window can run them independently of torch's threads.

Letters in shape comments: V vocab_size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from terrarium.models.settings.sampling_config import ADDED_STEPS, TRUNCATIONS, SamplingConfig
from terrarium.models.settings.slots import check_complete

DIVERGED = "The model's output is not a number, so its training diverged: choose an earlier checkpoint."
_MIN_TEMPERATURE = 1e-30
"""A lower temperature counts as 0: the quotient may overflow float32, and the largest logit wins anyway."""
_TINY = 1e-37  # float32's logarithm is exact down to here; what is less likely adds nothing to an entropy
Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SamplingStep:
    """The distribution after one step.

    name: "model", "penalties" (bias among them), "temperature", a truncation's name as in SamplingConfig, or "drawn".
    probabilities: (V,) float32; after a truncation they sum to the remaining share of the step "temperature". removed:
    the share of the step "temperature" that this truncation removed.
    """

    name: str
    probabilities: Floats
    removed: float = 0.0

    @property
    def entropy(self) -> float:
        """The entropy of the renormalised distribution, in nats."""
        return entropy(self.probabilities / self.probabilities.sum())


@dataclass(frozen=True, eq=False)
class SamplingSteps:
    """All distributions before a token is drawn.

    Steps of settings without effect are left out; "model", "temperature" and "drawn" are always present.
    """

    stages: tuple[SamplingStep, ...]

    @property
    def own(self) -> Floats:
        """(V,) The model's own probabilities."""
        return self.stages[0].probabilities

    @property
    def untempered(self) -> Floats:
        """(V,) The probabilities after penalties, before the temperature."""
        return self.stages[len(self.stages) - len(self.truncations) - 3].probabilities

    @property
    def tempered(self) -> Floats:
        """(V,) The probabilities after penalties and temperature, before any truncation."""
        return self.stages[len(self.stages) - len(self.truncations) - 2].probabilities

    @property
    def truncations(self) -> tuple[SamplingStep, ...]:
        """The steps that only remove tokens."""
        return tuple(stage for stage in self.stages if stage.name in TRUNCATIONS)

    @property
    def final(self) -> Floats:
        """(V,) The distribution that a token is drawn from; 0 for removed tokens."""
        return self.stages[-1].probabilities

    @property
    def removed(self) -> float:
        """The share of the probabilities after temperature that all truncations together removed."""
        return sum(stage.removed for stage in self.truncations)


def softmax(logits: Floats) -> Floats:
    """Convert logits (V,) to probabilities (V,)."""
    # Subtracting the maximum first keeps large logits, and tiny temperatures, from overflowing.
    powers = np.exp(logits - logits.max())
    shares: Floats = powers / powers.sum()
    return shares


def entropy(probabilities: Floats) -> float:
    """Return the entropy of probabilities (V,) that sum to 1, in nats."""
    return max(0.0, -float((probabilities * np.log(np.maximum(probabilities, np.float32(_TINY)))).sum()))


def rank(logits: Floats, id: int) -> int:
    """Return the rank of token `id` among logits (V,), 1 = most likely; equal logits share a rank."""
    return int(np.count_nonzero(logits > logits[id])) + 1


class SamplingState:
    """The state of truncations across the tokens of one reply, one number each; initially that for the first token."""

    def __init__(self, config: SamplingConfig) -> None:
        self._config = config
        self.numbers = {name: memory.begin(config) for name, memory in _MEMORIES.items() if is_on(config, name)}

    @property
    def remembers(self) -> bool:
        """Whether any truncation has a state."""
        return bool(self.numbers)

    def update(self, steps: SamplingSteps, id: int) -> None:
        """Update the state by the token `id`, drawn (or chosen by the user) from `steps`, computed with this state."""
        for name, number in self.numbers.items():
            self.numbers[name] = _MEMORIES[name].update(number, self._config, _surprisal(steps, id))

    def copy(self) -> SamplingState:
        """Return an independent copy."""
        other = SamplingState(self._config)
        other.numbers = dict(self.numbers)
        return other


def state_at(
    position: int, config: SamplingConfig, ids: Sequence[int], n_prompt: int, logits: Callable[[int], Floats]
) -> SamplingState:
    """Compute the state at `position` of a text `ids`, whose first `n_prompt` tokens are the prompt.

    logits(p): returns those from which the token at position p was drawn; called only if there is a state to compute.
    """
    state = SamplingState(config)
    for i in range(n_prompt, position if state.remembers else n_prompt):
        state.update(sampling_steps(logits(i), config, ids[:i], n_prompt, state), ids[i])
    return state


def sampling_steps(
    logits: Floats,
    config: SamplingConfig,
    before: Sequence[int] = (),
    n_prompt: int = 0,
    state: SamplingState | None = None,
) -> SamplingSteps:
    """Compute all steps from logits (V,) to the final distribution.

    Args:
        before: the ids of the text so far, for the penalties; the first `n_prompt` of them are the prompt.
        state: the sampling state after the reply's tokens so far; None at its first token.

    Raises:
        ValueError: if a logit is not finite, or a biased token is not in the vocabulary.
    """
    if not np.isfinite(logits).all():
        raise ValueError(DIVERGED)
    stages = [SamplingStep("model", softmax(logits))]
    changed = _with_penalties(logits, config, before, n_prompt)
    if changed is not logits:
        stages.append(SamplingStep("penalties", softmax(changed)))
    if config.temperature < _MIN_TEMPERATURE:
        probabilities = np.zeros_like(logits)
        probabilities[changed.argmax()] = 1.0
        return SamplingSteps(
            (*stages, SamplingStep("temperature", probabilities), SamplingStep("drawn", probabilities))
        )
    probabilities = softmax((changed - changed.max()) / np.float32(config.temperature))
    stages.append(SamplingStep("temperature", probabilities))
    numbers = (SamplingState(config) if state is None else state).numbers
    for name, cut in _TRUNCATIONS.items():
        if is_on(config, name):
            given = TruncationInput(changed, probabilities, numbers.get(name, 0.0))
            left = np.where(cut(given, config), probabilities, np.float32(0))
            stages.append(SamplingStep(name, left, max(0.0, float(probabilities.sum() - left.sum()))))
            probabilities = left
    return SamplingSteps((*stages, SamplingStep("drawn", probabilities / probabilities.sum())))


def likeliest(logits: Floats, config: SamplingConfig, before: Sequence[int], n_prompt: int) -> int:
    """Return the token that temperature 0 selects from logits (V,); the arguments are those of `sampling_steps`."""
    if not np.isfinite(logits).all():
        raise ValueError(DIVERGED)
    return int(_with_penalties(logits, config, before, n_prompt).argmax())


def is_on(config: SamplingConfig, cut: str) -> bool:
    """Return whether the truncation of that name is active."""
    return bool(getattr(config, cut) != getattr(SamplingConfig, cut))


def drawn_token(probabilities: Floats, draw: float) -> int:
    """Return the token at `draw` in [0, 1) of the cumulative distribution of probabilities (V,), largest first."""
    ordered = _sorted_desc(probabilities)
    cumulative = np.cumsum(ordered, dtype=np.float64)
    position = min(
        int(np.searchsorted(cumulative, draw * cumulative[-1], side="right")), int(np.count_nonzero(ordered)) - 1
    )
    value = ordered[position]
    alike = np.flatnonzero(probabilities == value)
    return int(alike[position - np.count_nonzero(probabilities > value)])


def _with_penalties(logits: Floats, config: SamplingConfig, before: Sequence[int], n_prompt: int) -> Floats:
    """Apply bias and penalties to logits; returns the same array if there are none."""
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
class TruncationInput:
    """The input of a truncation.

    logits: (V,) after penalties, before the temperature. probabilities: (V,) after the temperature and earlier
    truncations, 0 for removed tokens. memory: the state of the truncation, if it has one.
    """

    logits: Floats
    probabilities: Floats
    memory: float = 0.0


def _top_n_sigma(given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    """Keep tokens whose logits are at most n standard deviations, of all logits, below the maximum (Tang et al.). A
    temperature scales both equally, so it does not matter here."""
    logits = given.logits.astype(np.float64)
    kept: NDArray[np.bool_] = logits >= logits.max() - config.top_n_sigma * logits.std()
    return kept


def _top_k(given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    return largest(given.probabilities, config.top_k)


def _typical(given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    """Keep tokens whose surprisal is nearest to the entropy (locally typical; Meister et al., section 4)."""
    probabilities, share = given.probabilities, config.typical_p
    there = probabilities > 0
    left = probabilities[there] / probabilities.sum()
    distance = np.abs(-np.log(left) - np.float32(entropy(left)))
    order = np.argsort(distance)  # the order of ties does not matter: all or none of them remain
    n_before = int((np.cumsum(left[order], dtype=np.float64) < share).sum())
    mask = np.zeros(len(probabilities), bool)
    mask[there] = distance <= distance[order[min(n_before, len(order) - 1)]]
    return mask


def _top_p(given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    ordered = _sorted_desc(given.probabilities)
    cumulative = np.cumsum(ordered, dtype=np.float64)
    n = int((cumulative - ordered < config.top_p * cumulative[-1]).sum())
    return largest(given.probabilities, max(n, 1), ordered)


def _min_p(given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    kept: NDArray[np.bool_] = given.probabilities >= np.float32(config.min_p) * given.probabilities.max()
    return kept


def _mirostat(given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    """Keep tokens with a surprisal of at most μ bits (Basu et al., algorithm 2), and always the most likely one."""
    # After a prefix of very unlikely tokens, μ is below 0: only the most likely token remains, and 2^-μ might overflow.
    least = 2.0 ** -max(given.memory, 0.0) * given.probabilities.sum()
    kept: NDArray[np.bool_] = given.probabilities >= min(least, given.probabilities.max())
    return kept


def _of_extension(name: str, given: TruncationInput, config: SamplingConfig) -> NDArray[np.bool_]:
    """Apply an extension's truncation.

    Raises:
        ValueError: if it cannot be imported, or does not keep one of the tokens at least.
    """
    cut = ADDED_STEPS.load(name, ADDED_STEPS.entries[name].code)
    kept = np.asarray(cut(given, getattr(config, name)))
    if kept.dtype != bool or kept.shape != given.probabilities.shape or not given.probabilities[kept].any():
        package = ADDED_STEPS.packages[name]
        raise ValueError(
            f"The sampling step “{name}” of the package {package} does not say which tokens it keeps, one at least: "
            f"switch it off, or update {package}."
        )
    return kept


_TRUNCATIONS: dict[str, Callable[[TruncationInput, SamplingConfig], NDArray[np.bool_]]] = {
    "top_n_sigma": _top_n_sigma,
    "top_k": _top_k,
    "typical_p": _typical,
    "top_p": _top_p,
    "min_p": _min_p,
    "mirostat_tau": _mirostat,
    **{name: partial(_of_extension, name) for name in ADDED_STEPS.entries},
}
"""In order of application: each returns the mask (V,) of the tokens to keep."""


check_complete(_TRUNCATIONS, TRUNCATIONS, "code of truncations")


@dataclass(frozen=True)
class TruncationMemory:
    """A truncation's state: its value at a reply's first token, and its update by a token's surprisal in bits."""

    begin: Callable[[SamplingConfig], float]
    update: Callable[[float, SamplingConfig, float], float]


_MEMORIES: dict[str, TruncationMemory] = {
    "mirostat_tau": TruncationMemory(
        begin=lambda config: 2 * config.mirostat_tau,
        update=lambda mu, config, surprise: mu - config.mirostat_eta * (surprise - config.mirostat_tau),
    ),
}
"""The truncations that depend on earlier tokens."""


def _surprisal(steps: SamplingSteps, id: int) -> float:
    """Return −log2 of the probability with which token `id` was drawn, in bits; for a removed token, which the user
    chose, of its probability before truncation."""
    return -math.log2(float(steps.final[id]) or max(float(steps.tempered[id]), _TINY))


def _sorted_desc(values: Floats) -> Floats:
    """Return the values (V,) in descending order."""
    return np.sort(values)[::-1]


def largest(values: Floats, n: int, ordered: Floats | None = None) -> NDArray[np.bool_]:
    """Return a mask (V,) of the n largest values (V,); `ordered`: the values in descending order, if known.

    Among equal values, the one with the lower id comes first, so the order is the same on every machine. Values are
    sorted without their ids, which is several times as fast as argsort.
    """
    if n >= len(values):
        return np.ones(len(values), bool)
    last = (_sorted_desc(values) if ordered is None else ordered)[n - 1]
    mask: NDArray[np.bool_] = values > last
    mask[np.flatnonzero(values == last)[: n - int(mask.sum())]] = True
    return mask


def top_ids(values: Floats, n: int) -> NDArray[np.int64]:
    """Return the ids of the n largest values (V,), in descending order: (min(n, V),)."""
    ids = np.flatnonzero(largest(values, n))
    return ids[np.argsort(-values[ids], kind="stable")]
