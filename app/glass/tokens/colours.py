"""How tokens are coloured: by what, on which fixed scale, and in which colours, so that words stay readable on them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PySide6.QtGui import QColor

from app.glass.names import format_prob
from app.kit.theme import ThemeProvider

_N = 64
"""Shades. More could not be told from their neighbours."""
_FADED = 0.15
"""Below this share of a scale, a shade lets more and more of the ground through: of nothing, nothing is to be seen."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something about a token that can be coloured.

    of: its value, from the token's probability, the entropy of the distribution (nats) and the token's rank.
    marks: values with their words, for the legend; what is larger than the last one has its colour, too.
    place: where a value lies between the first colour (0), which is the ground, and the last (1).
    is_share: whether it comes from the token's own probability, and has the colours of probabilities.
    """

    name: str
    tip: str
    of: Callable[[float, float, int], float]
    marks: tuple[tuple[float, str], ...]
    fraction: Callable[[float], float]
    is_share: bool = False


def surprisal(probability: float) -> float:
    """In nats; the largest that a float32 probability can tell of where it is 0."""
    return -math.log(max(probability, 1e-45))


QUANTITIES = {
    "surprisal": Quantity(
        name="Surprisal",
        tip="How unexpected each token was to the model: the negative logarithm of its probability, in nats",
        of=lambda probability, entropy, rank: surprisal(probability),
        marks=((0.0, "0 nats"), (4.0, "4"), (8.0, "≥ 8")),
        fraction=lambda value: value / 8,
        is_share=True,
    ),
    "probability": Quantity(
        name="Probability",
        tip="What share of its own probability the model gave each token, before any setting changed it",
        of=lambda probability, entropy, rank: probability,
        marks=((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")),
        fraction=lambda value: value,
        is_share=True,
    ),
    "entropy": Quantity(
        name="Entropy",
        tip="How undecided the model was before each token: the entropy of its distribution, in nats",
        of=lambda probability, entropy, rank: entropy,
        marks=((0.0, "0 nats"), (2.5, "2.5"), (5.0, "≥ 5")),
        fraction=lambda value: value / 5,
    ),
    "rank": Quantity(
        name="Rank",
        tip="How many tokens of the whole vocabulary were at least as likely as each token: 1 is the likeliest",
        of=lambda probability, entropy, rank: float(rank),
        marks=((1.0, "1st"), (32.0, "32nd"), (1000.0, "1,000th …")),
        fraction=lambda value: math.log(value) / math.log(1000),
    ),
}


class Shades:
    """The colours of one quantity in a theme: of a token's ground and of the words on it."""

    def __init__(self, theme: ThemeProvider, quantity: Quantity) -> None:
        self._quantity = quantity
        colours = theme.sequential_map() if quantity.is_share else theme.quantity_map()
        table = np.asarray(colours.getLookupTable(nPts=_N, alpha=False), dtype=float)  # (N, 3) 0 to 255
        if not quantity.is_share and not theme.theme.dark:
            table = table[::-1]  # the more, the darker
        ground = QColor(theme.theme.surface)
        opacity = np.clip(np.linspace(0, 1, _N) / _FADED, 0, 1)[:, None]
        table = table * opacity + np.array([ground.red(), ground.green(), ground.blue()]) * (1 - opacity)
        self._grounds = [QColor(*(round(channel) for channel in row)) for row in table.tolist()]
        self._words = [readable_on(colour) for colour in self._grounds]

    def of(self, value: float) -> tuple[QColor, QColor]:
        """The colours of the ground and of the words for a value."""
        shade = round(min(max(self._quantity.fraction(value), 0.0), 1.0) * (_N - 1))
        return self._grounds[shade], self._words[shade]

    @property
    def grounds(self) -> list[QColor]:
        """All of them, from the first to the last."""
        return self._grounds


def readable_on(ground: QColor) -> QColor:
    """Black or white, whichever stands out more: at least 4.5 to 1 (WCAG 2.2)."""
    return QColor("#000000") if contrast(ground, QColor("#000000")) >= 21**0.5 else QColor("#FFFFFF")


def contrast(one: QColor, other: QColor) -> float:
    """The ratio of two colours' luminances as WCAG 2.2 has it, 1 to 21."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: QColor) -> float:
    channels = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def token_facts(word: str, probability: float, entropy: float, rank: int) -> str:
    """A line about a token."""
    nats = f"surprisal {surprisal(probability):.2f} nats" if probability > 0 else "below what can be told from 0"
    return f"{word}   {format_prob(probability)}, {nats}, number {rank:,} of the likeliest, entropy {entropy:.2f} nats"
