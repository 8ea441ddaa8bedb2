"""A plain-language summary of the figures of an alignment run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from terrarium.models.alignment.alerts import Floats
from terrarium.models.alignment.figures import alert_of
from terrarium.models.number_words import format_percent, with_minus
from terrarium.models.runs.curve import Table

Figures = Mapping[tuple[str, bool], Table]
"""The figures of a RunHistory, by name and whether they are of validations."""

_SCORES = ("objective/scores", "reward")
_CHOSEN = "logps/chosen_change"
_SOME = 5
"""Number of values to average, since single steps are noisy."""
_POINTS = 0.1
"""A smaller change of a share counts as none: the standard error of a share of 128 replies is up to 0.04."""
_GROWN = 1.15
"""Growth of the mean reply length from which it is mentioned, as a factor."""


def verdict_of(figures: Figures) -> str:
    """Summarize a run in a sentence or two; "" while there are too few steps."""
    score = next((values for name in _SCORES if len(values := _values(figures, name)) >= 2), None)
    if "pass@1" in {name for name, _ in figures}:
        return _about_right_replies(_values(figures, "pass@1"))
    if score is not None:
        return _about_score(figures, score)
    if len(margins := _values(figures, "rewards/margins")) >= 2:
        return _about_preferences(figures, margins)
    if len(right := _values(figures, "accuracy", True)) >= 1:
        return (
            f"It puts {format_percent(float(right[-1]))} of the pairs that it has not seen in the right order; "
            "guessing gets 50 %."
        )
    return ""


def _about_score(figures: Figures, score: Floats) -> str:
    first, last = _ends(score)
    rises = last > first
    steps, gold = _steps(figures, "gold")
    if len(gold) < 2:
        moved = "rises" if rises else "does not rise yet"
        return f"The reward {moved}: {_number(first)} at the start, {_number(last)} now."
    peak = int(gold.argmax())
    lost = gold[peak] - gold[-1]
    if rises and lost >= _POINTS:
        words = (
            f"The reward rises, but replies as meant fell from {format_percent(gold[peak])} to "
            f"{format_percent(gold[-1])} since step {steps[peak]:,.0f}: it is gaming the judge."
        )
        return words + _about_length(figures)
    if not rises:
        return f"The reward does not rise yet: {_number(first)} at the start, {_number(last)} now."
    was, now = format_percent(gold[0]), format_percent(gold[-1])
    if gold[-1] - gold[0] >= _POINTS:
        return f"The reward rises, and replies as meant with it: from {was} to {now}."
    return f"The reward rises, but there are not many more replies as meant: {was} at the start, {now} now."


def _about_right_replies(shares: Floats) -> str:
    if len(shares) < 2:
        return ""
    first, last = _ends(shares)
    was, now = format_percent(first), format_percent(last)
    if abs(last - first) < _POINTS:
        return f"No clear change in right replies (pass@1): {was} in the first steps, {now} in the last ones."
    moved = "rose" if last > first else "fell"
    return f"Right replies (pass@1) {moved} from {was} in the first steps to {now} in the last ones."


def _about_preferences(figures: Figures, margins: Floats) -> str:
    right = _values(figures, "rewards/accuracies")
    words = f"It now prefers the better reply in {format_percent(_ends(right)[1])} of the pairs." if len(right) else ""
    if _ends(margins)[1] <= 0:
        words = "It does not prefer the better replies yet."
    if alert_of(_CHOSEN, _values(figures, _CHOSEN)):
        words += " But the better replies themselves have become much less likely."
    return words.strip()


def _about_length(figures: Figures) -> str:
    lengths = _values(figures, "completions/mean_length")
    if len(lengths) < 2:
        return ""
    first, last = _ends(lengths)
    return f" Its replies grew from {first:.0f} to {last:.0f} tokens." if last >= _GROWN * first else ""


def _steps(figures: Figures, name: str) -> tuple[Floats, Floats]:
    """Return steps and values (n,) of a share: of the validations if there are three, else training averages."""
    held_out = figures.get((name, True))
    if held_out is not None and len(held_out) >= 3:
        return held_out["step"], held_out["value"]
    of_steps = figures.get((name, False))
    if of_steps is None or len(of_steps) < 2:
        return np.empty(0), np.empty(0)
    n = min(_SOME, len(of_steps))
    means = np.convolve(of_steps["value"], np.full(n, 1 / n), mode="valid")
    return of_steps["step"][n - 1 :], means


def _values(figures: Figures, name: str, held_out: bool = False) -> Floats:
    table = figures.get((name, held_out))
    return np.empty(0) if table is None else table["value"]


def _ends(values: Floats) -> tuple[float, float]:
    """Return the means of the first and of the last values; two or more values are never in both."""
    n = max(1, min(_SOME, len(values) // 2))
    return float(values[:n].mean()), float(values[-n:].mean())


def _number(value: float) -> str:
    return with_minus(f"{value:.2f}")
