"""The calibration of a model in words."""

from __future__ import annotations

from terrarium.models.metrics.calibration import Calibration, Estimate, Reliability, ReliabilityBin
from terrarium.models.number_words import format_count, format_percent

_FAIR, _LITTLE, _MUCH = 0.015, 0.03, 0.10
"""Calibration errors: below the first, a model is about as sure as it should be, below the second a little too sure,
above the third much too sure."""
_TYPICAL = 0.7
"""The confidence that is the example if no other deviates clearly from the accuracy."""
HOTTEST, COLDEST = 3.99, 0.251
"""Temperatures beyond which the best one is outside what was tried."""


def describe_calibration(found: Calibration) -> str:
    """Describe how sure the model is, how often it is right, and whether a temperature mends that."""
    best, bins = found.before.best, found.before.best.bins
    temperature = format_temperature(found.temperature.value)
    if not best.ece.excludes(0) or best.ece.value < _FAIR:
        example = min(bins, key=lambda each: abs(each.confidence - _TYPICAL))
        right = format_interval(example.accuracy, 0) or format_percent(example.accuracy.value)
        enough = format_count(found.n_judged, found.what)
        fair = "it is about" if best.ece.excludes(0) else f"as far as {enough} can tell, it is"
        end = f". A temperature of {temperature} would change little."
        verdict = (
            f"{fair} as sure as it should be{end if found.temperature.excludes(1) else ', and needs no temperature.'}"
        )
    else:
        example = _worst(best)
        right = format_percent(example.accuracy.value)
        degree = "a little " if best.ece.value < _LITTLE else "much " if best.ece.value > _MUCH else ""
        way = "too sure" if example.confidence > example.accuracy.value else "too cautious"
        verdict = f"it is {degree}{way}{'' if best.excess.excludes(0) else ' there'}. {_remedy(found, temperature)}"
    return f"When this model says {format_percent(example.confidence)}, it is right {right} of the time: {verdict}"


def describe_data(found: Calibration) -> str:
    """Describe on how much text it was measured, and what chance does."""
    n, texts = found.n_fitted + found.n_judged, found.n_fitted_texts + found.n_judged_texts
    by_chance = format_percent(found.before.best.by_chance, 1)
    return (
        f"{format_count(n, found.what)} in {format_count(texts, 'text')} ({found.data}). The temperature was fitted on "
        f"one half, and the errors are of the other; an error of {by_chance} would be chance."
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


def format_error(error: Estimate) -> str:
    """Format a calibration error with its interval: “0.9 % (0.3–1.2)”."""
    words = format_percent(error.value, 1)
    return words if error.interval is None else f"{words} ({100 * error.interval[0]:.1f}–{100 * error.interval[1]:.1f})"


def _worst(curve: Reliability) -> ReliabilityBin:
    """Return the bin that deviates most, weighted by its size: clearly, and as all do on average, if there is one."""

    def rank(each: ReliabilityBin) -> tuple[bool, bool, float]:
        gap = each.confidence - each.accuracy.value
        is_typical = not curve.excess.excludes(0) or gap * curve.excess.value > 0
        return is_typical, each.accuracy.excludes(each.confidence), each.n * abs(gap)

    return max(curve.bins, key=rank)


def _remedy(found: Calibration, temperature: str) -> str:
    before, after = found.before.best.ece, found.after.best.ece
    if not found.temperature.excludes(1):
        return "No temperature mends that."
    if not after.excludes(0) or after.value < _FAIR:
        return f"A temperature of {temperature} would mend that."
    if after.value < 0.9 * before.value:
        errors = f"from {format_percent(before.value, 1)} to {format_percent(after.value, 1)}"
        return f"A temperature of {temperature} would mend a part of that: the error falls {errors}."
    return f"A temperature of {temperature} makes the texts more likely, but does not mend that."
