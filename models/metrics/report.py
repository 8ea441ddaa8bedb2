"""The result of every scoring function: a `Report` of named scores with intervals. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from terrarium.models.metrics.intervals import RESAMPLES, Comparison, Measure, bootstrap, mean, paired_bootstrap, wilson
from terrarium.models.metrics.metrics_table import METRICS

_NO_SPREAD = "All items score alike, so drawing them again cannot show how far off the score may be."
_ALL_RIGHT = "Every item is right: the interval is Wilson's, of the share of items that are right."


@dataclass(frozen=True, kw_only=True)
class Score:
    """The value of a metric, or None if undefined; `note` then says why.

    interval: the 95 % confidence interval, if computed. measure: the metric as a function of items, for comparisons.
    """

    value: float | None
    interval: tuple[float, float] | None = None
    note: str | None = None
    measure: Measure | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        assert self.value is None or math.isfinite(self.value)
        assert self.value is not None or self.note, "a score without a value says why"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The evaluation of predictions: scores by metric name (`METRICS`), with one headline metric.

    n: the number of scored items. details: task-specific results (confusion matrix, entities by type, signature, …),
    JSON-serializable; see the scoring functions. item_scores: one number per item, higher is better, for sorting; 1 if
    perfect, except in regression (negated absolute errors).
    """

    headline: str
    n: int
    scores: Mapping[str, Score]
    details: Mapping[str, Any] = field(default_factory=dict)
    item_scores: tuple[float, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        assert self.headline in self.scores
        assert all(name in METRICS for name in self.scores)

    @property
    def value(self) -> float | None:
        """The headline's value."""
        return self.scores[self.headline].value

    @property
    def interval(self) -> tuple[float, float] | None:
        """The headline's 95 % interval."""
        return self.scores[self.headline].interval

    @property
    def notes(self) -> tuple[str, ...]:
        """The distinct notes of all scores."""
        return tuple(dict.fromkeys(score.note for score in self.scores.values() if score.note))

    def with_headline(self, name: str) -> Report:
        """Return the same report with another headline.

        Raises:
            ValueError: if there is no score of that name.
        """
        if name not in self.scores:
            raise ValueError(f"There is no score {name!r} here: choose one of {', '.join(self.scores)}.")
        return replace(self, headline=name)

    def joined(self, other: Report) -> Report:
        """Return this report with the scores and details of another report of the same items, such as texts of code."""
        return replace(self, scores={**self.scores, **other.scores}, details={**self.details, **other.details})

    def to_dict(self) -> dict[str, Any]:
        """Convert to a JSON-serializable dict, for `report_from_dict`; without item scores and measures."""
        return {
            "headline": self.headline,
            "n": self.n,
            "scores": {
                name: {"value": score.value, "interval": list(score.interval) if score.interval else None}
                | ({"note": score.note} if score.note else {})
                for name, score in self.scores.items()
            },
            "details": dict(self.details),
        }


def report_from_dict(data: Mapping[str, Any]) -> Report:
    """Build a report from the dict of `Report.to_dict`; metrics that are not in METRICS are left out.

    If its headline is one of these, as without the extension that adds it, the first of the others is.

    Raises:
        ValueError: if a key is missing or a value has a wrong type.
    """
    try:
        scores = {name: _read_score(score) for name, score in data["scores"].items() if name in METRICS}
        headline = data["headline"]
        if headline in data["scores"] and headline not in METRICS:
            headline = next(iter(scores), headline)
        if headline not in scores:
            raise KeyError(headline)
        return Report(headline=headline, n=int(data["n"]), scores=scores, details=dict(data["details"]))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(f"The scores are damaged: {error} is missing or wrong. Evaluate again.") from error


def _read_score(data: Mapping[str, Any]) -> Score:
    value, interval, note = data["value"], data["interval"], data.get("note")
    if value is None:
        return Score(value=None, note=str(note or "It is undefined."))
    if not math.isfinite(value):
        raise ValueError(f"value {value}")
    return Score(value=float(value), interval=(float(interval[0]), float(interval[1])) if interval else None, note=note)


def compare(a: Report, b: Report, metric: str | None = None, resamples: int = RESAMPLES) -> Comparison:
    """Compare system `b` with `a` on the same items, by paired bootstrap.

    Raises:
        ValueError: if a score is missing or undefined, or the numbers of items differ.
    """
    name = metric or b.headline
    first, second = (report.scores.get(name) for report in (a, b))
    if first is None or second is None or first.measure is None or second.measure is None:
        raise ValueError(f"{name!r} was not measured for both systems: score both again, or choose another metric.")
    return paired_bootstrap(first.measure, second.measure, resamples)


def bootstrapped(
    measure: Measure, resamples: int, undefined: str, note: str | None = None, *, is_share: bool = False
) -> Score:
    """Compute the score of a measure with its bootstrap interval; `undefined`: the note if it has no value.

    If all items score alike (for example, all are right), every resample has the same value, and there is no interval.

    Args:
        is_share: whether the metric is 1 if every item is right, and falls with their share, as F1 does; Wilson's
            interval of that share is then used if all are right.
    """
    value = measure.value()
    if value is None:
        return Score(value=None, note="There are no items." if not measure.n else undefined, measure=measure)
    interval = bootstrap(measure, resamples)
    if interval is not None and interval[0] == interval[1]:
        interval = wilson(measure.n, measure.n) if is_share and value == 1.0 else None
        note = note or (_NO_SPREAD if interval is None else _ALL_RIGHT)
    return Score(value=value, interval=interval, note=note, measure=measure)


def proportion(flags: Sequence[bool], note: str | None = None) -> Score:
    """Compute the share of items that are right, with Wilson's interval."""
    n = len(flags)
    if not n:
        return Score(value=None, note="There are no items.", measure=mean([]))
    n_right = sum(map(bool, flags))
    return Score(value=n_right / n, interval=wilson(n_right, n), note=note, measure=mean([bool(f) for f in flags]))


def check_lengths(n_gold: int, n_predicted: int) -> None:
    """Raise ValueError unless there is one prediction per item."""
    if n_gold != n_predicted:
        raise ValueError(f"There are {n_gold} items but {n_predicted} predictions: give one prediction for each item.")
