"""The doctor's results: diagnoses with evidence and remedy, and checks that passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TITLES: dict[str, str] = {
    "nan": "Not a number",
    "divergence": "Divergence",
    "exploding": "Exploding gradients",
    "dead": "Dead gradients",
    "wrong_reference": "Wrong reference",
    "reward_hacking": "Reward hacking",
    "large_updates": "Updates too large",
    "kl_high": "Too far from its parent",
    "collapse": "Entropy collapse",
    "cut": "Replies without an end",
    "no_signal": "No signal",
    "chosen_falls": "Chosen replies become unlikely",
    "weak_judge": "Weak judge",
    "over_refusal": "Over-refusal",
    "forgetting": "Forgetting",
    "length": "Length is rewarded",
    "critic": "Useless critic",
    "kl_low": "It hardly changes",
    "pairs_unlearned": "Pairs are not learned",
    "lr_high": "Learning rate too high",
    "lr_low": "Learning rate too low",
    "plateau": "Plateau",
    "overfitting": "Overfitting",
    "little_data": "Too little data",
    "small_validation": "Validated on too little",
}
"""The titles of all diagnoses by kind, the most severe first."""

PASSED_TITLES: dict[str, str] = {
    "nan": "Finite numbers",
    "divergence": "No divergence",
    "exploding": "No exploding gradients",
    "dead": "No dead gradients",
    "wrong_reference": "The right reference",
    "reward_hacking": "No reward hacking",
    "large_updates": "Updates not too large",
    "kl_high": "Not too far from its parent",
    "collapse": "No entropy collapse",
    "cut": "Replies that end",
    "no_signal": "A signal to learn from",
    "chosen_falls": "Chosen replies stay likely",
    "weak_judge": "A good judge",
    "over_refusal": "No over-refusal",
    "forgetting": "No forgetting",
    "length": "Length is not rewarded",
    "critic": "A useful critic",
    "kl_low": "It changes",
    "pairs_unlearned": "Pairs are learned",
    "lr_high": "Learning rate not too high",
    "lr_low": "Learning rate not too low",
    "plateau": "No plateau",
    "overfitting": "No overfitting",
    "little_data": "Enough data",
    "small_validation": "Validated on enough",
}
"""The titles of passed checks."""

SHOWN_BY: dict[str, tuple[str, ...]] = {
    "reward_hacking": ("gold", "reward_disagreement"),
    "large_updates": ("policy/clipfrac_avg",),
    "kl_high": ("kl",),
    "collapse": ("entropy",),
    "cut": ("completions/clipped_ratio",),
    "no_signal": ("frac_reward_zero_std",),
    "chosen_falls": ("logps/chosen_change",),
    "weak_judge": ("accuracy",),
    "length": ("completions/mean_length",),
    "critic": ("val/explained_variance",),
    "kl_low": ("kl", "rewards/margins"),
    "pairs_unlearned": ("rewards/accuracies",),
    "wrong_reference": ("kl", "rewards/margins"),
}
"""The alignment figures that show a problem; the first one that the run has is used."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A proposed better run, with `changes` by full name ("train.lr").

    It is a fork from the checkpoint of `fork_step`, or a new run if that is None.
    """

    words: str
    changes: Mapping[str, Any]
    fork_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A problem of a run, in one sentence with the measured evidence.

    `step` is where it starts; `evidence` has the numbers behind the sentence, by name. If only other data would help,
    the sentence says so and there is no `remedy`.
    """

    kind: str
    sentence: str
    step: int
    evidence: Mapping[str, float] = field(default_factory=dict)
    remedy: Remedy | None = None

    def __post_init__(self) -> None:
        assert self.kind in TITLES

    @property
    def title(self) -> str:
        return TITLES[self.kind]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check that passed, with the measured value; or, if not `possible`, what it needs."""

    kind: str
    words: str
    possible: bool = True

    @property
    def title(self) -> str:
        return (PASSED_TITLES if self.possible else TITLES)[self.kind]


Finding = Diagnosis | Check


@dataclass(frozen=True, kw_only=True)
class Examination:
    """The diagnoses of a run, the most severe first, and the checks that passed or were not possible."""

    diagnoses: tuple[Diagnosis, ...]
    checks: tuple[Check, ...]

    @property
    def is_early(self) -> bool:
        """Whether at least half of all checks were not possible, so that the findings are not conclusive."""
        impossible = sum(not check.possible for check in self.checks)
        return 2 * impossible >= len(self.diagnoses) + len(self.checks)
