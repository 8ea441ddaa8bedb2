"""What there is to see of a run's data: how long its texts are."""

from __future__ import annotations

import numpy as np

from app.kit.figures.pictures import Axis, BarPicture, round_ticks
from models.number_words import counted, percent, short_count
from models.training.trials.findings import Lengths

_LONG = 100_000
"""From here on, the numbers of an axis are shortened."""


def text_lengths_picture(lengths: Lengths) -> BarPicture:
    """How many texts have which length."""
    values = np.array(lengths.counts, np.int64)
    n, width = len(values), lengths.width
    has_more = lengths.longest > n * width
    height = Axis(title=lengths.unit.capitalize(), low=0.0, high=float(values.max(initial=1)) * 1.05)
    every = max(1, n // 5)
    ends = [i for i in range(n) if (i + 1) % every == 0]
    ticks = tuple((i + 1.0, f"{(i + 1) * width}{'+' if has_more and i == n - 1 else ''}") for i in ends)
    total = max(1, int(values.sum()))

    def describe(i: int) -> str:
        first, last = i * width + 1, (i + 1) * width
        size = f"{first} tokens" if width == 1 else f"{first} to {last} tokens"
        if has_more and i == n - 1:
            size = f"{first} tokens and more"
        found = counted(int(values[i]), lengths.unit.removesuffix("s"))
        return f"{size}: {found}, {percent(values[i] / total, 1)}"

    def words(tick: float) -> str:
        return f"{tick:,.0f}" if height.high < _LONG else short_count(tick)

    return BarPicture(
        title=f"Length of {lengths.unit}",
        values=values,
        x=Axis(title="Tokens", low=0.4, high=n + 0.6, ticks=ticks),
        y=Axis(
            title=height.title,
            low=0.0,
            high=height.high,
            ticks=tuple((tick, words(tick)) for tick in round_ticks(height, 4)),
        ),
        describe=describe,
    )
