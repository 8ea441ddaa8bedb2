"""Where tokens stand in a text that wraps, with room above each line for arcs and below for numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QFontMetrics

from app.theme import ThemeProvider
from app.widgets.pill_layout import PillLayout

ARC_ROOM = 26  # pixels above a line
_PAD, _GAP = 5, 4
_LONGEST = 18
"""Characters of a token that are shown."""


class TokenFlow:
    """Tokens, in order, in lines no wider than `width` from `top` down; made anew when the theme changes.

    words: as they are shown.
    """

    def __init__(self, theme: ThemeProvider, words: Sequence[str], width: int, top: int) -> None:
        self.words = [word if len(word) <= _LONGEST else f"{word[: _LONGEST - 1]}…" for word in words]
        metrics, numbers = QFontMetrics(theme.mono_font(0.92)), QFontMetrics(theme.font(0.75))
        self.pill_height = metrics.height() + 4
        self.below = numbers.height() + 5
        self.row_height = ARC_ROOM + self.pill_height + self.below
        self._top = top
        least = numbers.horizontalAdvance("100 %")
        wide = {word: max(metrics.horizontalAdvance(word) + 2 * _PAD, least) + _GAP for word in set(self.words)}
        widths = np.array([wide[word] for word in self.words], np.int64)
        ends = np.array([word.endswith(("⏎", "\n")) for word in self.words], np.bool_)
        self._layout = PillLayout(widths, ends, width)

    @property
    def bottom(self) -> int:
        """Below the last line."""
        return self._top + self._layout.n_rows * self.row_height

    def rect(self, index: int) -> QRectF:
        """Where a token's pill stands."""
        y = self._top + self._layout.row_of(index) * self.row_height + ARC_ROOM
        return QRectF(self._layout.x_of(index), y, self._layout.width_of(index) - _GAP, self.pill_height)

    def row_of(self, index: int) -> int:
        """A token's line."""
        return self._layout.row_of(index)

    def at(self, point: QPointF) -> int | None:
        """The token under a point, its arcs and numbers included."""
        if point.y() < self._top:
            return None
        return self._layout.at(int(point.x()), int((point.y() - self._top) // self.row_height))

    def within(self, top: float, bottom: float) -> range:
        """The tokens of all lines between two heights."""
        first = max(int((top - self._top) // self.row_height), 0)
        last = min(int((bottom - self._top) // self.row_height), self._layout.n_rows - 1)
        if last < first:
            return range(0)
        return range(self._layout.pills_in(first).start, self._layout.pills_in(last).stop)
