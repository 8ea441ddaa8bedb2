"""What the doctor says: a diagnosis with its evidence and remedy, or what a check looked at and found in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TITLES: dict[str, str] = {
    "nan": "Not a number",
    "divergence": "Divergence",
    "exploding": "Exploding gradients",
    "dead": "Dead gradients",
    "lr_high": "Learning rate too high",
    "lr_low": "Learning rate too low",
    "plateau": "Plateau",
    "overfitting": "Overfitting",
    "little_data": "Too little data",
    "small_validation": "Validation set too small",
}
"""Every diagnosis there is, by kind, the gravest first."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A run that is likely to do better: `changes` by full name ("train.lr"), everything else as it was.

    A fork from the checkpoint of `fork_step`; where that is None, a new run from the start.
    """

    words: str
    changes: Mapping[str, Any]
    fork_step: int | None = None


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """What is wrong with a run, in one sentence that says the measured evidence.

    `step` is where it begins; `evidence` the numbers behind the sentence, by what they are called. There is no `remedy`
    where only other text helps, which the sentence says then.
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
    """A check that found nothing: what it looked at, with the measured value; or, if not `possible`, what it needs."""

    kind: str
    words: str
    possible: bool = True

    @property
    def title(self) -> str:
        return TITLES[self.kind]


Finding = Diagnosis | Check


@dataclass(frozen=True, kw_only=True)
class Examination:
    """All that the doctor found in a run, the gravest first, and the checks that found nothing."""

    diagnoses: tuple[Diagnosis, ...]
    checks: tuple[Check, ...]
