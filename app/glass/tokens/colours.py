"""The colouring of tokens: the quantities, the outcomes of a draft, and colours on which text stays readable."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PySide6.QtGui import QColor

from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_prob

_N = 64
"""Number of shades; more would be indistinguishable."""
_FADED = 0.15
"""Below this fraction of a scale, shades fade into the background."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A quantity that tokens can be coloured by.

    of: computes the value from a token's probability, the entropy of the distribution (nats) and the token's rank.
    marks: values with their labels in the legend; values beyond the last mark are clipped.
    fraction: maps a value to the colour scale, from 0 (the first colour, the background) to 1 (the last).
    colours: the colour map, as in HeatPicture.
    """

    name: str
    tip: str
    of: Callable[[float, float, int], float]
    marks: tuple[tuple[float, str], ...]
    fraction: Callable[[float], float]
    colours: str = "quantity"


def surprisal(probability: float) -> float:
    """Return the surprisal −log p in nats; for probability 0, about that of the smallest positive float32."""
    return -math.log(max(probability, 1e-45))


NO_COLOURS = ""
"""The key for no colouring, in addition to those of QUANTITIES."""
QUANTITIES = {
    "surprisal": Quantity(
        name="Surprisal",
        tip="How unexpected each token was: −log p, labelled with the probabilities p",
        of=lambda probability, entropy, rank: surprisal(probability),
        marks=((0.0, "100 %"), (4.0, "2 %"), (8.0, "≤ 0.03 %")),
        fraction=lambda value: value / 8,
        colours="sequential",
    ),
    "probability": Quantity(
        name="Probability",
        tip="The model's own probability of each token, before any setting changed it",
        of=lambda probability, entropy, rank: probability,
        marks=((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")),
        fraction=lambda value: value,
        colours="probability",
    ),
    "entropy": Quantity(
        name="Entropy",
        tip="How uncertain the model was: its entropy, as a number of equally likely tokens to choose from",
        of=lambda probability, entropy, rank: entropy,
        marks=((0.0, "1 choice"), (math.log(12), "12"), (5.0, "≥ 148")),
        fraction=lambda value: value / 5,
    ),
    "rank": Quantity(
        name="Rank",
        tip="The rank of each token by probability in the whole vocabulary: 1 is the most likely",
        of=lambda probability, entropy, rank: float(rank),
        marks=((1.0, "1st"), (32.0, "32nd"), (1000.0, "≥ 1,000th")),
        fraction=lambda value: math.log(value) / math.log(1000),
    ),
}


class Shades:
    """The background and text colours of tokens for one quantity in a theme."""

    def __init__(self, theme: ThemeProvider, quantity: Quantity) -> None:
        self._quantity = quantity
        colours = theme.colour_map(quantity.colours)
        table = np.asarray(colours.getLookupTable(nPts=_N, alpha=False), dtype=float)  # (N, 3) 0 to 255
        if quantity.colours == "quantity" and not theme.theme.dark:
            table = table[::-1]  # higher values are darker
        ground = QColor(theme.theme.surface)
        opacity = np.clip(np.linspace(0, 1, _N) / _FADED, 0, 1)[:, None]
        table = table * opacity + np.array([ground.red(), ground.green(), ground.blue()]) * (1 - opacity)
        self._grounds = [QColor(*(round(channel) for channel in row)) for row in table.tolist()]
        self._words = [readable_on(colour) for colour in self._grounds]

    def of(self, value: float) -> tuple[QColor, QColor]:
        """Return the background and text colours for a value."""
        shade = round(min(max(self._quantity.fraction(value), 0.0), 1.0) * (_N - 1))
        return self._grounds[shade], self._words[shade]

    @property
    def grounds(self) -> list[QColor]:
        """All background colours, in order."""
        return self._grounds


def token_facts(word: str, probability: float, entropy: float, rank: int) -> str:
    """Format all statistics of a token in one line."""
    nats = f"surprisal {surprisal(probability):.2f} nats" if probability > 0 else "too unlikely for float32"
    choices = f"as unsure as among {math.exp(entropy):.1f} equally likely tokens"
    return f"{word}   {format_prob(probability)}, rank {rank:,}; {choices} ({nats}, entropy {entropy:.2f} nats)"


DRAFT = "draft"
"""The key of this colouring, in addition to those of QUANTITIES."""
DRAFT_NAME = "Draft"
DRAFT_TIP = "Which tokens the draft model had proposed: accepted by the model, or replaced by another one"
_DRAFT_COLOURS = {"accepted": "#56B4E9", "replaced": "#E69F00"}
"""Blue and orange of Okabe and Ito, distinguishable with any colour vision; replaced tokens are also underlined."""
_DRAFT_STRENGTH = {"light": 0.5, "dark": 0.55}


def draft_colours(theme: ThemeProvider, outcome: str) -> tuple[QColor, QColor] | None:
    """Return the background and text colours of a token with an outcome; None for those of plain text."""
    if outcome not in _DRAFT_COLOURS:
        return None
    colour, ground = QColor(_DRAFT_COLOURS[outcome]), QColor(theme.theme.surface)
    share = _DRAFT_STRENGTH["dark" if theme.theme.dark else "light"]
    channels = ((colour.red(), ground.red()), (colour.green(), ground.green()), (colour.blue(), ground.blue()))
    mixed = QColor(*(round(share * a + (1 - share) * b) for a, b in channels))
    return mixed, readable_on(mixed)
