"""Sentences about the effect of ablations: the part of the model that matters most for a token. No widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from terrarium.app.glass.names import format_least, format_rough
from terrarium.app.kit.setting_names.site_words import part_of_layer
from terrarium.models.number_words import format_prob

if TYPE_CHECKING:
    from terrarium.models.inspect.ablation import ModelPart

SMALL = 0.05
"""Nats: a smaller change of the log-probability, about 5 % of the probability, counts as negligible."""


def describe_survey(
    word: str, share: float, found: Mapping[ModelPart, float], *, is_complete: bool, busy: bool, patched: bool
) -> str:
    """Describe the single-part ablation that changes the probability of a token most.

    Args:
        word: the token, in quotes. share: its probability.
        found: the change of its log-probability without each part, in nats.
        is_complete: whether all parts are measured. busy: whether parts are being measured.
        patched: whether parts are patched from another text, not ablated.
    """
    now = f"{word} ({format_rough(share)})"
    if busy:
        return f"Measuring what each part of the model does for {now} …"
    if not is_complete:
        return f"“Measure all parts” will tell which part of the model {now} needs most."
    parts = {part: change for part, change in found.items() if "." in part.site.partition("blocks.")[2]}
    worst, best = min(parts, key=lambda part: parts[part]), max(parts, key=lambda part: parts[part])
    part, change = (worst, parts[worst]) if parts[worst] <= -SMALL else (best, parts[best])
    if abs(change) < SMALL:
        least = share * math.exp(min(parts[worst], 0.0))
        return f"No single part decides it: {word} stays {format_least(least)} without any one of them."
    what = part_of_layer(part.site, part.head)
    how = f"With {what} taken from the other text" if patched else f"Without {what}"
    return f"{how}, {describe_move(word, share, share * math.exp(change), would=True)}."


def describe_change(word: str, before: float, after: float) -> str:
    """Describe the effect of the current intervention on a token."""
    return f"With these changes, {describe_move(word, before, after, would=False)}."


def describe_move(word: str, before: float, after: float, *, would: bool) -> str:
    """Describe the change of a probability. would: in the conditional mood."""
    after = min(after, 1.0)
    start, end = format_rough(before), format_rough(after)
    if start == end:  # avoids “from 2 % to 2 %”
        start, end = format_prob(before), format_prob(after)
    if before == after:
        return f"{word} {'would stay' if would else 'stays'} at {end}"
    if start == end:
        return f"{word} {'would hardly change' if would else 'hardly changes'} ({end})"
    ends = f"from {start} to {end}"
    if after < before:
        return f"{word} {'would fall' if would else 'falls'} {ends}"
    return f"{word} {'would rise' if would else 'rises'} {ends}"
