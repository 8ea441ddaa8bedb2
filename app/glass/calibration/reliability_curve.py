"""The reliability diagram of a panel: accuracy by confidence with intervals, and how often each confidence is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QSize
from PySide6.QtWidgets import QWidget

from terrarium.app.glass.calibration.calibration_sentence import format_interval
from terrarium.app.kit.plots.plot_spec import PlotSpec, Series
from terrarium.app.kit.plots.plot_view import PlotView
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.metrics.calibration import Reliability, ReliabilityBin
from terrarium.models.number_words import format_count, format_percent

_TICKS = [(share, format_percent(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
_MARKS = (("accent", "o", 10), ("query", "d", 7))
"""The colour and the dots of each curve; those of the second are smaller, so that equal points are both seen."""
_HIGHEST_BAR = 0.12
"""The height of the highest bar of the histogram, as a share of the y axis."""


class ReliabilityCurve(PlotView):
    """Up to two reliability curves, such as before and after temperature scaling, and the histogram of the first."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, has_y=True, is_boxed=True, margins=(8, 10, 24), least=300, parent=parent)
        self.set_name("Reliability curve: share of right answers by confidence")
        self.points: Sequence[tuple[str, ReliabilityBin]] = ()
        """The points that can be read, each with the name of its curve."""
        self._what = ""

    def sizeHint(self) -> QSize:
        return QSize(380, 340)

    def show_curves(self, curves: Sequence[tuple[str, Reliability]], what: str) -> None:
        """Show curves, each with its name. what: what is predicted, as a noun: “token”."""
        self.points, self._what = [(name, each) for name, curve in curves for each in curve.bins], what
        shares = np.array(curves[0][1].histogram)
        ends, n = np.array([0.0, 1.0]), len(shares)
        self.show_spec(
            PlotSpec(
                series=(
                    Series(
                        x=(np.arange(n) + 0.5) / n,
                        y=_HIGHEST_BAR * shares / shares.max(),
                        kind="bars",
                        name="how often it is so sure",
                        role="faint",
                        alpha=0.6,
                        wide=0.85 / n,
                        in_legend=False,
                    ),
                    Series(
                        x=ends,
                        y=ends,
                        name="as sure as right",
                        role="muted",
                        style="dashed",
                        width=1.2,
                        in_legend=False,
                    ),
                    *(
                        _curve(name, curve, role, symbol, size)
                        for (name, curve), (role, symbol, size) in zip(curves, _MARKS, strict=False)
                    ),
                ),
                x_title="How sure the model is, and how often so (bars)",
                y_title="How often it is right",
                x_range=(0.0, 1.0),
                y_range=(0.0, 1.0),
                x_names=_TICKS,
                y_names=_TICKS,
                at=np.array([each.confidence for _, each in self.points]),
                heights=np.array([each.accuracy.value for _, each in self.points]),
                words=self._describe,
            )
        )

    def _describe(self, i: int) -> str:
        name, each = self.points[i]
        said, right = format_percent(each.confidence, 1), format_percent(each.accuracy.value, 1)
        interval = format_interval(each.accuracy, 0)
        words = f"{name}: {format_count(each.n, self._what)}\nsaid {said}\nright {right}"
        return f"{words} ({interval})" if interval else words


def _curve(name: str, curve: Reliability, role: str, symbol: str, size: float) -> Series:
    ends = np.array([each.accuracy.interval or (np.nan, np.nan) for each in curve.bins])
    return Series(
        x=np.array([each.confidence for each in curve.bins]),
        y=np.array([each.accuracy.value for each in curve.bins]),
        kind="joined",
        name=name,
        role=role,
        width=1.5,
        alpha=0.6,
        symbol=symbol,
        size=size,
        low=ends[:, 0],
        high=ends[:, 1],
    )
