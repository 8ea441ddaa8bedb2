"""From which layer on a token leads, in one plain sentence. No widgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from app.glass.names import format_rough, spoken


def describe_lead(leaders: Sequence[tuple[int, float]], token: int, share: float, name: Callable[[int], str]) -> str:
    """The way of a token through the layers.

    Args:
        leaders: the likeliest token and its probability if the model ended there: after the embedding, then after each
            layer. token: the token that it is about. share: its probability in the end. name: the text of a token.
    """
    tops, word, n_layers = [id for id, _ in leaders], spoken(name(token)), len(leaders) - 1
    if tops[-1] != token:
        best, its_share = leaders[-1]
        end = f"in the end {spoken(name(best))} has {format_rough(its_share)}, {word} {format_rough(share)}"
        led = [layer for layer, top in enumerate(tops) if top == token]
        if not led:
            return f"{word} never leads: {end}."
        return f"{word} led {_after(led[-1])}, but {end}."
    since = next(layer for layer in range(len(tops)) if all(top == token for top in tops[layer:]))
    if since == 0:
        return f"{word} leads from the start, before any layer ({format_rough(share)} in the end)."
    before = f"before that, {spoken(name(tops[since - 1]))} did"
    if since == n_layers:
        return f"{word} takes the lead only in the last layer, with {format_rough(share)}; {before}."
    return f"{word} leads from layer {since} on, and ends with {format_rough(share)}; {before}."


def _after(layer: int) -> str:
    return f"after layer {layer}" if layer else "before any layer"
