"""A chart of the compression of BPE by vocabulary size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.kit.basics import label
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.plot_spec import PlotSpec, Series
from terrarium.app.plots.plot_view import PlotView
from terrarium.models.events import VocabularyGrowth
from terrarium.models.number_words import format_size


class GrowthChart(PlotView):
    """Bytes per token by vocabulary size, with a caption; or a hint while there is no data."""

    def __init__(self, theme: ThemeProvider, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(theme, "Compression by size", has_y=True, margins=(8, 12, 16), parent=parent)
        self._hint = hint
        self._points: tuple[VocabularyGrowth, ...] = ()
        self._words = label("", "caption", wrap=True)
        self._words.setAlignment(Qt.AlignmentFlag.AlignTop)
        lines = self.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.setSpacing(SPACE)
        lines.addWidget(self._words)
        self.set_points(())

    @property
    def points(self) -> tuple[VocabularyGrowth, ...]:
        """The points on screen."""
        return self._points

    @property
    def words(self) -> str:
        """The caption."""
        return self._words.text()

    def set_points(self, points: Sequence[VocabularyGrowth]) -> None:
        """Replace the points, in order of size."""
        self._points = tuple(points)
        self.show_chart(shown=bool(points))
        lines = self.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.setStretchFactor(self._words, 0 if points else 1)
        if not points:
            self._words.setText(self._hint)
            return
        x = np.array([point.vocab_size for point in points], np.float64)
        y = np.array([point.bytes_per_token for point in points])
        dots = Series(x=x, y=y, kind="joined", name="Bytes per token", size=6, in_legend=False)
        self.show_spec(
            PlotSpec(
                series=(dots,),
                x_title="Vocabulary (tokens)",
                y_title="Bytes per token",
                x_range=(x[0], max(x[-1], x[0] + 1)),
            )
        )
        self._words.setText(
            f"Measured on the first {format_size(points[0].sample_bytes)} of the text, by replaying the first merges, "
            f"as smaller vocabularies would. {x[-1]:,.0f} tokens: {y[-1]:.2f} bytes per token."
        )

    def add_point(self, point: VocabularyGrowth) -> None:
        """Add a point."""
        self.set_points((*self._points, point))
