"""Sentences about the part of the model, and the input token, that matters most for an answer. No widgets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from terrarium.app.glass.names import digits_for, format_least, format_rough, spoken
from terrarium.app.kit.setting_names.value_words import part_of_layer
from terrarium.models.number_words import format_percent, format_prob, format_signed

if TYPE_CHECKING:
    from terrarium.app.glass.read_text import ReadText
    from terrarium.models.inspect.ablation import ModelPart
    from terrarium.models.inspect.leave_one_out import InputToken


SMALL = 0.05
"""Nats: a smaller change of the log-probability, about 5 % of the probability, counts as negligible."""
_SMALL = 0.05
"""Nats: a smaller change of the log-probability, about 5 % of the probability, counts as negligible."""
_MOST_TIMES = 1000


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


def format_effect(change: float) -> str:
    """Format a change of a log-probability (nats) in words: “12 times less likely”, “20 % more likely”."""
    times, way = math.exp(min(abs(change), 50.0)), "less" if change < 0 else "more"
    if times > _MOST_TIMES:
        return f"over {_MOST_TIMES:,} times {way} likely"
    if times >= 1.95:
        return f"{times:.{0 if times >= 9.5 else 1}f} times {way} likely".replace(".0 ", " ")
    return f"{format_percent(abs(math.expm1(change)))} {way} likely"


def unit_of(text: ReadText) -> str:
    """Return the unit that is hidden: whole words if the model labels the text, else tokens."""
    return "token" if text.question is None else "word"


def describe_inputs(
    word: str, share: float, changes: Mapping[InputToken, float], text: ReadText, *, is_complete: bool, busy: bool
) -> str:
    """Describe the token that changes the answer's probability most when it is hidden.

    Args:
        word: the answer, in quotes. share: its probability.
        changes: the change of its log-probability without each token, in nats.
        text: the text that contains the tokens.
        is_complete: whether all tokens are measured. busy: whether they are being measured.
    """
    now, unit = f"{word} ({format_rough(share)})", unit_of(text)
    if busy:
        return f"Measuring how likely {now} would be without each {unit} …"
    if not is_complete:
        return f"“Hide each {unit}” will tell which of them {now} depends on most."
    if not changes:
        return f"There is nothing to hide: {word} follows a single {unit}."
    most = max(changes, key=lambda token: abs(math.expm1(min(changes[token], -math.log(share)))))  # capped at 100 %
    if abs(changes[most]) < _SMALL:
        least = share * math.exp(min(*changes.values(), 0.0))
        return f"No single {unit} decides it: {word} stays {format_least(least)} without any one of them."
    moved = describe_move(word, share, share * math.exp(changes[most]), would=True)
    return f"Without {_placed(most, text)}, {moved}."


def describe_sum(word: str, own: float, changes: Mapping[InputToken, float]) -> str:
    """Compare the sum of all effects with the log-probability `own` of the answer, and explain why the two differ."""
    total = format_signed(sum(-change for change in changes.values()))
    whole = format_signed(own, max(2, digits_for(abs(own)) - 1))
    return (
        f"What the tokens add one by one sums to {total} nats; the log-probability of {word} is {whole}. They need not "
        "agree: two tokens that say the same hide each other's effect, and two that only work together both count in "
        "full."
    )


def _placed(token: InputToken, text: ReadText) -> str:
    """Describe a token and its position."""
    if token.in_source:
        return f"{spoken(text.source_words[token.position])} in the source"
    word = spoken(text.words[token.position])
    if text.n_prompt == len(text.ids):  # the model generated none of it
        return word
    return f"{word} in the {'prompt' if token.position < text.n_prompt else 'reply so far'}"
