"""The layout of tokens in wrapped lines, with space above each line for arcs and below for numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QFontMetrics

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.pill_layout import PillLayout

ARC_HEIGHT = 20  # pixels above a line
_PAD, _GAP = 5, 4
_MAX_CHARS = 18
"""Longer tokens are truncated to this many characters."""


class TokenFlow:
    """A layout of tokens in lines no wider than `width`, from `top` down, some of which can be folded.

    words: the displayed tokens, truncated. Sizes depend on the fonts of the theme, so create another if it changes.
    """

    def __init__(self, theme: ThemeProvider, words: Sequence[str], width: int, top: int) -> None:
        self.words = [word if len(word) <= _MAX_CHARS else f"{word[: _MAX_CHARS - 1]}…" for word in words]
        metrics, numbers = QFontMetrics(theme.mono_font(0.92)), QFontMetrics(theme.font(0.75))
        self.pill_height = metrics.height() + 4
        self.below = numbers.height() + 4
        self.row_height = ARC_HEIGHT + self.pill_height + self.below
        self._top = top
        min_width = numbers.horizontalAdvance("100 %")
        wide = {word: max(metrics.horizontalAdvance(word) + 2 * _PAD, min_width) + _GAP for word in set(self.words)}
        widths = np.array([wide[word] for word in self.words], np.int64)
        ends = np.array([word.endswith(("⏎", "\n")) for word in self.words], np.bool_)
        self._layout = PillLayout(widths, ends, width)
        self._fold_height = numbers.height() + 4
        self._tops = np.zeros(0, np.int64)
        self.unfold()

    @property
    def n_rows(self) -> int:
        """The number of lines, folded or not."""
        return self._layout.n_rows

    @property
    def bottom(self) -> int:
        """The y coordinate of the bottom of the last line."""
        return int(self._tops[-1])

    def unfold(self) -> None:
        """Show all lines."""
        self._set_tops(np.ones(self.n_rows, np.bool_))

    def fold(self, indices: Iterable[int]) -> None:
        """Show only the lines of these tokens; consecutive other lines become one narrow gap."""
        shown = np.zeros(self.n_rows, np.bool_)
        shown[[self._layout.row_of(index) for index in indices]] = True
        self._set_tops(shown)

    def _set_tops(self, shown: NDArray[np.bool_]) -> None:
        self._shown = shown
        begins_gap = ~shown & np.concatenate(([True], shown[:-1]))
        heights = np.where(shown, self.row_height, np.where(begins_gap, self._fold_height, 0))
        self._tops = self._top + np.concatenate(([0], np.cumsum(heights)))

    def gaps(self) -> list[tuple[float, int]]:
        """Return the (y coordinate of the centre, number of folded lines) of each gap."""
        edges = np.flatnonzero(np.diff(np.concatenate(([True], self._shown, [True])).astype(np.int8)))
        pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        return [(float(self._tops[first]) + self._fold_height / 2, end - first) for first, end in pairs]

    def rect(self, index: int) -> QRectF:
        """Return the rectangle of a token's pill."""
        y = int(self._tops[self._layout.row_of(index)]) + ARC_HEIGHT
        return QRectF(self._layout.x_of(index), y, self._layout.width_of(index) - _GAP, self.pill_height)

    def row_of(self, index: int) -> int:
        """Return the index of a token's line."""
        return self._layout.row_of(index)

    def at(self, point: QPointF) -> int | None:
        """Return the index of the token at a point, including the space above and below its pill, or None."""
        row = int(np.searchsorted(self._tops, point.y(), "right")) - 1
        return self._layout.at(int(point.x()), row) if 0 <= row < self.n_rows and self._shown[row] else None

    def within(self, top: float, bottom: float) -> list[int]:
        """Return the indices of the tokens in unfolded lines between two y coordinates."""
        first = max(int(np.searchsorted(self._tops, top, "right")) - 1, 0)
        rows = (row for row in range(first, self.n_rows) if self._tops[row] <= bottom and self._shown[row])
        return [index for row in rows for index in self._layout.pills_in(row)]
