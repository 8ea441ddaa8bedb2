"""Describes in one plain sentence how one token was chosen. No widgets."""

from __future__ import annotations

from collections.abc import Callable

from terrarium.app.glass.names import format_rough, spoken
from terrarium.app.glass.read_text import ReadText
from terrarium.app.glass.xray import Xray, XrayRow
from terrarium.models.settings.sampling_config import STEP_OF, format_step

HOW = ("drawn", "unknown", "hand", "read", "masked", "seen")
"""How a token came into the text: drawn with a known random number; with an unknown one; chosen by the user; part of
the prompt; a mask token in an encoder's text; or another token there, which the encoder has in its input."""

_MAX_NAMED = 2
"""If more settings than this are active, they are not named one by one."""


def how_chosen(text: ReadText, position: int, xray: Xray, mask: int | None, *, is_encoder: bool) -> str:
    """Return how the token at a position came into the text: one of HOW. mask: the id of the mask token, or None."""
    if is_encoder:
        return "masked" if text.ids[position] == mask else "seen"
    if position < text.n_prompt:
        return "read"
    if xray.draw is None and text.mark_at(position) is None and text.sampling.temperature > 0.0:
        return "hand" if any(draw is not None for draw in text.draws) else "unknown"
    return "drawn"


_TRIED = "With these settings it"
_CERTAIN, _SURE, _RIVAL, _TWO = 0.9995, 0.9, 0.25, 0.5
"""Thresholds: the probability of the first token for “certain” and for “almost sure”; the ratio of the second token's
probability to the first's for “wavered between”; the sum of both below which it “wavered among many tokens”."""


def describe_token(
    xray: Xray, name: Callable[[int], str], how: str, *, tried: bool = False, learned: bool = False, told: str = ""
) -> str:
    """Describe how the token of an X-ray was chosen.

    Args:
        name: returns the displayed text of a token.
        how: one of HOW.
        tried: whether the settings are not those of the reply, so that the sentence says what they would do.
        learned: whether the model was trained since, so that the user chose by other probabilities.
        told: a sentence about the outcome of speculative decoding for this token, or "".
    """
    own = xray.row_of(xray.chosen)
    word = spoken(name(own.id))
    best, *others = sorted(xray.rows, key=lambda row: -row.own)
    if how == "masked":
        second = f", then {_named(others[0], name, others[0].own)}" if others else ""
        return f"Behind the mask it expects {_named(best, name, best.own)} most{second}."
    if how == "seen":
        return f"It sees {word} in this place, and gives it {format_rough(own.own)}."
    if how == "read":
        if best.id == own.id:
            return f"It read {word} here, and would have expected just that ({format_rough(own.own)})."
        given = f"it would have expected {_named(best, name, best.own)}, and gave {word} {format_rough(own.own)}"
        return f"It read {word} here: {given}."
    if how == "hand" and learned:
        likeliest = "it" if best.id == own.id else _named(best, name, best.own)
        given = f" ({format_rough(own.own)})" if best.id == own.id else f", and gives yours {format_rough(own.own)}"
        return f"You chose {word} here. The model has learned since: now it finds {likeliest} likeliest{given}."
    if how == "hand" and best.id == own.id:
        return f"You chose {word} here, which was also the likeliest ({format_rough(own.own)})."
    if how == "hand":
        return f"You chose {word} here ({format_rough(own.own)}); the likeliest was {_named(best, name, best.own)}."
    moved = not tried and xray.lands not in (None, own.id)  # the model was trained since
    if xray.config.temperature == 0.0:
        sentence = _greedy(xray, name, best, others, would="Now it" if moved else _TRIED if tried else "")
        return f"{sentence} When it wrote this, it took {word}." if moved else sentence
    setting = _TRIED if tried else _after_settings(xray)
    leaning, named = _leaning(xray, name, would=tried or moved)
    if told:
        return f"{setting} {leaning}. {told}"
    if xray.draw is None or xray.lands is None:
        return f"{setting} {leaning}." if tried else f"{setting} {leaning}; the draw that chose {word} is not known."
    hit = xray.row_of(xray.lands)
    share = "" if hit.id in named else f" ({format_rough(hit.final)})"
    if moved:
        now = f"would fall on {spoken(name(hit.id))}{share} now"
        return f"{setting} {leaning}; the draw {_draw(xray.draw)} chose {word} when it wrote this, and {now}."
    draw = f"the {'same ' if tried else ''}draw {_draw(xray.draw)} {'would fall' if tried else 'fell'}"
    return f"{setting} {leaning}; {draw} on {'it' if named == {hit.id} else spoken(name(hit.id))}{share}."


def _greedy(xray: Xray, name: Callable[[int], str], best: XrayRow, others: list[XrayRow], *, would: str) -> str:
    taken = xray.row_of(xray.lands) if xray.lands is not None else best
    others = [row for row in (best, *others) if row.id != taken.id]
    second = f"; {_named(others[0], name, others[0].own)} {'comes' if would else 'came'} next" if others else ""
    took = f"{would} would take" if would else "It took"
    return f"{took} the likeliest, {_named(taken, name, taken.own)}{second}."


def _leaning(xray: Xray, name: Callable[[int], str], *, would: bool) -> tuple[str, set[int]]:
    """Describe the confidence of the model after all settings; also return the ids of the tokens that are named."""
    first, *rest = sorted(xray.rows, key=lambda row: -row.final)
    second = rest[0] if rest and rest[0].final > 0 else None
    be = "would be" if would else "was"
    if first.final >= _CERTAIN or second is None:
        return f"{be} certain of {spoken(name(first.id))}", {first.id}
    if first.final >= _SURE:
        return f"{be} almost sure of {_named(first, name, first.final)}", {first.id}
    both = f"{_named(first, name, first.final)} and {_named(second, name, second.final)}"
    if first.final + second.final < _TWO:
        be = "would waver" if would else "wavered"
        return f"{be} among many tokens, with {both} in front", {first.id, second.id}
    if second.final >= _RIVAL * first.final:
        return f"{'would waver' if would else 'wavered'} between {both}", {first.id, second.id}
    ahead = f"{_named(first, name, first.final)}, far ahead of {_named(second, name, second.final)}"
    return f"{'would lean' if would else 'leaned'} to {ahead}", {first.id, second.id}


def named_settings(xray: Xray) -> str:
    """Name the settings that change the model's distribution: “temperature 0.2 and top-p 0.9”; "" if none does."""
    config, names = xray.config, list[str]()
    for bar in xray.bars:
        if bar.name == "penalties":
            names.append("penalties and biases")
        elif bar.name in STEP_OF and not (bar.name == "temperature" and config.temperature == 1.0):
            words = format_step(config, bar.name)
            names.append(words[0].lower() + words[1:])
    return " and ".join(names) if len(names) <= _MAX_NAMED else "all settings"


def _after_settings(xray: Xray) -> str:
    settings = named_settings(xray)
    return f"After {settings} it" if settings else "It"


def _named(row: XrayRow, name: Callable[[int], str], share: float) -> str:
    return f"{spoken(name(row.id))} ({format_rough(share)})"


def _draw(draw: float) -> str:
    """Format a random number with two decimals, or four if two would round it to 0 or 1."""
    return f"{draw:.2f}" if 0.005 <= draw < 0.995 else f"{draw:.4f}"
