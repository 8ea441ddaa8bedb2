"""The calibration of a model in words."""

from __future__ import annotations

from terrarium.models.metrics.calibration import Calibration, Estimate, ReliabilityBin
from terrarium.models.number_words import format_count, format_percent

_LITTLE, _MUCH = 0.03, 0.10
"""Calibration errors below which a model is a little too sure, and above which it is much too sure."""
_TYPICAL = 0.7
"""The confidence that is the example if no other deviates clearly from the accuracy."""
HOTTEST, COLDEST = 3.99, 0.251
"""Temperatures beyond which the best one is outside what was tried."""


def describe_calibration(found: Calibration) -> str:
    """Describe how sure the model is, how often it is right, and whether a temperature mends that."""
    example = _example(found)
    said, right = format_percent(example.confidence), format_percent(example.accuracy.value)
    if not found.before.best.ece.excludes(0):
        right = format_interval(example.accuracy, 0) or right
    return f"When this model says {said}, it is right {right} of the time: {_verdict(found, example)}"


def describe_data(found: Calibration) -> str:
    """Describe on how much text it was measured, and what chance does."""
    n, texts = found.n_fitted + found.n_judged, found.n_fitted_texts + found.n_judged_texts
    by_chance = format_percent(found.before.best.by_chance, 1)
    return (
        f"{format_count(n, found.what)} of {format_count(texts, 'text')} of {found.data}: the temperature was fitted "
        f"on one half, and the errors are of the other. An error of {by_chance} would be chance."
    )


def format_temperature(temperature: float) -> str:
    """Format a fitted temperature: “1.12”, “4 or more”."""
    if temperature >= HOTTEST:
        return "4 or more"
    return "¼ or less" if temperature <= COLDEST else f"{temperature:.2f}"


def format_interval(estimate: Estimate, digits: int = 1, *, percent: bool = True) -> str:
    """Format the interval of an estimate: “0.3 to 0.9 %”; "" without one."""
    if estimate.interval is None:
        return ""
    scale, unit = (100, "\N{NO-BREAK SPACE}%") if percent else (1, "")
    low, high = (f"{scale * end:.{digits}f}" for end in estimate.interval)
    return f"{low} to {high}{unit}"


def _example(found: Calibration) -> ReliabilityBin:
    """Return the bin that deviates most, weighted by its size; if none does clearly, the one near 70 %."""
    bins = found.before.best.bins
    clear = [each for each in bins if each.accuracy.excludes(each.confidence)]
    if not clear or not found.before.best.ece.excludes(0):
        return min(bins, key=lambda each: abs(each.confidence - _TYPICAL))
    return max(clear, key=lambda each: each.n * abs(each.confidence - each.accuracy.value))


def _verdict(found: Calibration, example: ReliabilityBin) -> str:
    """Return the end of the sentence, and the next one."""
    before, after, best = found.before.best, found.after.best, format_temperature(found.temperature.value)
    if not before.ece.excludes(0):
        fair = f"as far as {format_count(found.n_judged, found.what)} can tell, it is as sure as it should be"
        needs_none = not found.temperature.excludes(1)
        return (
            f"{fair}, and needs no temperature." if needs_none else f"{fair}. A temperature of {best} changes little."
        )
    degree = "a little " if before.ece.value < _LITTLE else "much " if before.ece.value > _MUCH else ""
    way = "too sure" if example.confidence > example.accuracy.value else "too cautious"
    errors = f"from {format_percent(before.ece.value, 1)} to {format_percent(after.ece.value, 1)}"
    if not found.temperature.excludes(1):
        mends = "No temperature mends that."
    elif not after.ece.excludes(0):
        mends = f"A temperature of {best} would mend that."
    elif after.ece.value < 0.9 * before.ece.value:
        mends = f"A temperature of {best} would mend a part of that: the error falls {errors}."
    else:
        mends = f"A temperature of {best} makes the texts more likely, but does not mend that."
    return f"it is {degree}{way}. {mends}"
