"""A chart of reward against KL to the parent: a dot for each evaluation point, joined in order of the steps."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.plot_spec import NONE, Goal, PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.models.alignment.overoptimisation import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """A curve for comparison. kl, value: (n,). tip: its explanation. role: its colour. style: a key of LINE_STYLES."""

    name: str
    tip: str
    kl: Floats
    value: Floats
    role: str
    style: str = "solid"
    has_dots: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Dots:
    """The evaluation points, in order of the steps.

    kl, value: (n,). low, high: (n,), the ends of confidence intervals, NaN if unknown. words: a description of each.
    peak: the index of the point marked with a star.
    """

    kl: Floats
    value: Floats
    low: Floats
    high: Floats
    words: Sequence[str]
    peak: int | None = None


NO_DOTS = Dots(kl=NONE, value=NONE, low=NONE, high=NONE, words=())
_KEYS = "Left and right go from dot to dot, Return shows its replies, plus and minus zoom, Escape shows everything."


class KlChart(PlotView):
    """One quantity against √KL or KL; an evaluation point is chosen by a click, or by Return."""

    def __init__(self, theme: ThemeProvider, title: str, tip: str, role: str, *, has_x: bool) -> None:
        super().__init__(theme, title, tip=tip, keys=_KEYS, has_x=has_x)
        self.set_name(f"{title} against KL")
        self._role, self._longest = role, 1.0
        self.dots, self.lines = NO_DOTS, tuple[Line, ...]()
        self.is_root, self.scale = True, 1.0
        self._price = Goal(value=math.nan, is_vertical=True)
        self._marks: Sequence[float] = ()

    def draw(self, dots: Dots, lines: Sequence[Line], longest_kl: float) -> None:
        """Draw points and comparison curves; the x axis ends at `longest_kl`."""
        self.dots, self.lines, self._longest = dots, tuple(lines), longest_kl
        self._show()

    def show_price(self, kl: float, words: str, tip: str) -> None:
        """Draw a vertical line at the minimum KL of a goal; NaN hides it. Shown by the next `draw`."""
        self._price = Goal(value=kl, name=words, tip=tip, is_vertical=True)

    def show_marks(self, kl: Sequence[float]) -> None:
        """Draw vertical dashed lines at these KL values."""
        self._marks = kl
        self._show()

    def _show(self) -> None:
        dots, scale = self.dots, self.scale
        others = [self._series_of(line) for line in self.lines]
        points = Series(
            x=self._x(dots.kl),
            y=scale * dots.value,
            kind="joined",
            name=self._name,
            role=self._role,
            width=1.5,
            alpha=0.55,
            size=8,
            low=scale * dots.low,
            high=scale * dots.high,
            star=dots.peak,
            in_legend=False,
        )
        price = dataclasses.replace(self._price, value=float(self._x(np.array([self._price.value]))[0]))
        self.show_spec(
            PlotSpec(
                series=(*others, points),
                goals=(price,),
                x_title="√KL to the parent (√nats)" if self.is_root else "KL (nats)",
                y_title=self._name,
                x_range=(0.0, float(self._x(np.array([self._longest]))[0])),
                marks=self._x(np.asarray(self._marks, np.float64)).tolist(),
                at=points.x,
                heights=points.y,
                words=lambda i: dots.words[i],
            )
        )

    def _series_of(self, line: Line) -> Series:
        inside = line.kl <= self._longest * 1.001
        return Series(
            x=self._x(line.kl[inside]),
            y=self.scale * line.value[inside],
            kind="joined" if line.has_dots else "line",
            name=line.name,
            tip=line.tip,
            role=line.role,
            style=line.style,
            width=1.4 if line.has_dots else 1.1,
            symbol="d",
            sets_range=line.has_dots or line.style == "solid",
        )

    def _x(self, kl: Floats) -> Floats:
        return np.sqrt(kl) if self.is_root else kl
