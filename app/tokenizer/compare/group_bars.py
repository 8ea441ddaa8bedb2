"""A grouped bar chart: one group per part of the texts, one bar per tokenizer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.colours import CATEGORIES
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.pictures import Axis, round_ticks
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.plots.series_items import LINE_STYLES
from terrarium.app.tokenizer.compare.metrics import Metric
from terrarium.models.tokenizers.text.compare import Figures

_GROUP = 0.84
"""The share of a group's width that its bars take."""
_STYLES = tuple(LINE_STYLES)
"""The patterns of bars, which tell tokenizers apart without colours."""
_MOST_TICKS = 5
_WIDEST = 0.1
"""The widest bar, as a share of the x axis."""
_ROOM = 1.14
"""The end of the y axis relative to the highest bar: above it is the bar's number."""


@dataclass(frozen=True)
class BarSeries:
    """One tokenizer: its name and its colour index."""

    name: str
    colour: int


@dataclass(frozen=True)
class Group:
    """One part of the texts, with the figures of each tokenizer; None if not measured."""

    label: str
    figures: Sequence[Figures | None]


class GroupBars(PlotView):
    """A grouped bar chart of one metric."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, is_boxed=True, parent=parent)
        self._metric: Metric | None = None
        self._groups: Sequence[Group] = ()

    def sizeHint(self) -> QSize:
        return QSize(640, 200)

    def value(self, group: int, tokenizer: int) -> float:
        """Return the value of a bar, NaN if not measured."""
        assert self._metric is not None
        return self._metric.value(self._groups[group].figures[tokenizer], None)

    def show_groups(self, metric: Metric, tokenizers: Sequence[BarSeries], groups: Sequence[Group]) -> None:
        """Replace the bars."""
        self._metric, self._groups = metric, groups
        self.set_name(f"{metric.title} by text and tokenizer")
        n = len(groups)
        wide = min(_GROUP / max(len(tokenizers), 1), _WIDEST * n)
        x = np.arange(0.5, n)
        values = np.array([[self.value(g, s) for g in range(n)] for s in range(len(tokenizers))])
        top = _ROOM * float(np.nanmax(values, initial=0.0)) or 1.0
        ticks = round_ticks(Axis(title="", low=0.0, high=top, whole=False), _MOST_TICKS)
        places = [x + (s + 0.5 - len(tokenizers) / 2) * wide for s in range(len(tokenizers))]
        self.show_spec(
            PlotSpec(
                series=[
                    Series(
                        x=places[s],
                        y=values[s],
                        kind="bars",
                        name=each.name,
                        role=(*range(len(CATEGORIES)), "muted")[each.colour % (len(CATEGORIES) + 1)],
                        style=_STYLES[s % len(_STYLES)],
                        wide=0.97 * wide,
                        labels=[self._number(value) for value in values[s]],
                    )
                    for s, each in enumerate(tokenizers)
                ],
                y_title=metric.title,
                x_range=(0.0, float(max(n, 1))),
                y_range=(0.0, top),
                x_names=[(i + 0.5, group.label) for i, group in enumerate(groups)],
                y_names=[(tick, self._tick(tick)) for tick in ticks],
                at=np.concatenate([*places, []]).reshape(len(tokenizers), n).T.ravel(),
                words=lambda i: self._describe(i, tokenizers),
            )
        )

    def columns(self) -> Columns:
        """Return the parts of the texts, and the values of each tokenizer."""
        return {"text": [group.label for group in self._groups], **{each.name: each.y for each in self.spec.series}}

    def _describe(self, i: int, tokenizers: Sequence[BarSeries]) -> str:
        assert self._metric is not None
        group, tokenizer = divmod(i, len(tokenizers))
        figures = self._groups[group].figures[tokenizer]
        head = f"{self._groups[group].label}, {tokenizers[tokenizer].name}"
        if figures is None:
            return f"{head}\nnot measured yet"
        reading = f"{self._metric.title.lower()}: {self._metric.format(self.value(group, tokenizer))}"
        return f"{head}\n{reading}\n{figures.n_tokens:,} tokens, {figures.n_words:,} words"

    def _number(self, value: float) -> str:
        assert self._metric is not None
        return "" if math.isnan(value) else self._metric.format(value).removesuffix("%").rstrip()

    def _tick(self, value: float) -> str:
        assert self._metric is not None
        return f"{100 * value:.3g} %" if self._metric.format(0.0).endswith("%") else f"{value:.3g}"
