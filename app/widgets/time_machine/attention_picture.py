"""Recorded attention weights as pictures: on a linear or a root scale, with what cannot be seen as nothing."""

from __future__ import annotations

import math
import re

import numpy as np

from app.pictures import Axis, Floats, HeatPicture
from app.run_history import KeptAttention
from app.widgets.words import percent
from models.config import ModelConfig
from models.mask_tables import MaskedText, seen_from

_SITE = re.compile(r"(?P<stack>encoder\.|decoder\.)?blocks\.(?P<layer>\d+)\.")
_TICKS = (0.0, 0.1, 0.25, 0.5, 1.0)


def site_words(site: str) -> str:
    """«Layer 1», «Encoder layer 2»; the site itself where it is another."""
    found = _SITE.match(site)
    if found is None:
        return site
    stack, layer = found["stack"], int(found["layer"]) + 1
    return f"{stack.rstrip('.').capitalize()} layer {layer}" if stack else f"Layer {layer}"


def head_weights(seen: KeptAttention, config: ModelConfig | None) -> Floats:
    """(H, T, S): the weights of all heads; NaN where the mask of a design `config` lets nothing through."""
    weights = seen.weights.copy()
    if config is not None:
        stack = config.encoder() if seen.site.startswith("encoder.") else config
        text = MaskedText(length=weights.shape[1])
        for query in range(weights.shape[1]):
            first, end = seen_from(stack, text, query)
            weights[:, query, :first] = np.nan
            weights[:, query, end:] = np.nan
    return weights


def scaled(weights: Floats, scale: str) -> Floats:
    """As they are coloured: "root" shows small weights, too."""
    return np.sqrt(weights) if scale == "root" else weights


def head_picture(weights: Floats, title: str, tokens: list[str], scale: str) -> HeatPicture:
    """One head (T, S), whose rows look at its columns; colours from 0 to 1, whatever the largest weight."""
    ticks = tuple((i + 0.5, token) for i, token in enumerate(tokens))
    n = len(tokens)

    def describe(row: int, column: int) -> str:
        weight = float(weights[row, column])
        looking, seen = f"{tokens[row]} ({row + 1})", f"{tokens[column]} ({column + 1})"
        if math.isnan(weight):
            return f"{looking} cannot see\n{seen}"
        return f"{looking} looks at\n{seen}: {percent(weight, 1)}"

    marks = scaled(np.array(_TICKS, np.float32), scale)
    apart = [i for i, mark in enumerate(marks) if mark == 0 or mark >= 0.2]
    return HeatPicture(
        title=title,
        values=scaled(weights, scale),
        x=Axis(title="the tokens it sees", low=0, high=n, ticks=ticks),
        y=Axis(title="attention of each token", low=n, high=0, ticks=ticks),
        colours="sequential",
        low=0.0,
        high=1.0,
        bar=tuple((float(marks[i]), percent(_TICKS[i])) for i in apart),
        describe=describe,
        square=True,
    )
