"""One line of the benchmark: our figure, and that of a reference. No torch import."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Result:
    """A measurement. `ratio`: how many times better than the reference it is; None if not measured.

    `target` is the minimum of `ratio`, or the maximum of `ours` if there is no reference. `skipped` says why there is
    no figure. `spread`: the least and the greatest ratio of the rounds, None of one. `others`: what share of the
    computer other programs used meanwhile, 0 to 1; None if not measured.
    """

    name: str
    unit: str
    ours: float | None = None
    reference: float | None = None
    ratio: float | None = None
    target: float | None = None
    met: bool | None = None
    skipped: str | None = None
    spread: tuple[float, float] | None = None
    others: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able dict."""
        return dataclasses.asdict(self)


def compared(
    name: str,
    ours: float | None,
    reference: float,
    unit: str,
    *,
    less_is_better: bool,
    target: float | None = None,
    rounds: Iterable[tuple[float, float]] = (),
) -> Result:
    """A result compared to a reference; `ours` None means not reached, which misses every target.

    rounds: our figure and the reference's in each round, in any unit whose better end is that of `unit`.
    """
    if ours is None:
        return Result(name=name, unit=unit, reference=reference, target=target, met=None if target is None else False)
    ratio = _ratio(ours, reference, less_is_better)
    ratios = [_ratio(*both, less_is_better) for both in rounds]
    return Result(
        name=name,
        ours=ours,
        reference=reference,
        unit=unit,
        ratio=ratio,
        target=target,
        met=None if target is None else ratio >= target,
        spread=(min(ratios), max(ratios)) if len(ratios) > 1 else None,
    )


def _ratio(ours: float, reference: float, less_is_better: bool) -> float:
    return reference / ours if less_is_better else ours / reference
