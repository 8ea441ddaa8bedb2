"""The layout of pills in rows: line breaking for a million pills in a fraction of a second. No Qt."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class PillLayout:
    """Pills of given widths, in order, broken into rows no wider than `available` pixels.

    Args:
        widths: (n,) pixels of each pill with its gap.
        ends_line: (n,) bool, True if the row ends after that pill (a line feed in the text).
        available: the width of a row in pixels. A wider pill gets a row of its own.
        batch_size: the number of pills to lay out now, default: all; `extend` continues.
    """

    def __init__(
        self, widths: NDArray[np.int64], ends_line: NDArray[np.bool_], available: int, batch_size: int | None = None
    ) -> None:
        self._n, self._available = len(widths), available
        self._edges = np.concatenate(([0], np.cumsum(widths)))
        self._line_ends = np.append(np.flatnonzero(ends_line) + 1, self._n)
        self._starts = np.zeros(1, np.int64)
        self.extend(self._n if batch_size is None else batch_size)

    @property
    def n_laid_out(self) -> int:
        """The number of pills laid out so far."""
        return int(self._starts[-1])

    @property
    def is_complete(self) -> bool:
        """Whether all pills are laid out."""
        return self.n_laid_out == self._n

    def extend(self, n_pills: int) -> None:
        """Lay out about this many more pills."""
        first = self.n_laid_out
        last = min(first + n_pills, self._n)
        # For each pill, the start of the next row if this pill started a row. Vectorized, since a loop over half a
        # million rows would dominate the time.
        each = np.arange(first, last)
        fits = np.searchsorted(self._edges, self._edges[first:last] + self._available, side="right") - 1
        limits = self._line_ends[np.searchsorted(self._line_ends[:-1], each, side="right")]
        after = np.minimum(np.maximum(fits, each + 1), limits).tolist()
        starts, i = [], first
        while i < last:
            i = after[i - first]
            starts.append(i)
        self._starts = np.concatenate((self._starts, np.array(starts, np.int64)))

    @property
    def n_rows(self) -> int:
        """The number of rows."""
        return len(self._starts) - 1

    def row_of(self, index: int) -> int:
        """Return the row of pill `index`, which must be laid out."""
        assert index < max(1, self.n_laid_out), (index, self.n_laid_out)
        return int(np.searchsorted(self._starts, index, side="right")) - 1

    def pills_in(self, row: int) -> range:
        """Return the pills of `row`."""
        return range(int(self._starts[row]), int(self._starts[row + 1]))

    def x_of(self, index: int) -> int:
        """Return the left edge of pill `index` in its row, in pixels."""
        return int(self._edges[index] - self._edges[self._starts[self.row_of(index)]])

    def width_of(self, index: int) -> int:
        """Return the width of pill `index` with its gap, in pixels."""
        return int(self._edges[index + 1] - self._edges[index])

    def at(self, x: int, row: int) -> int | None:
        """Return the pill at `x` pixels in `row`, or None."""
        if not 0 <= row < self.n_rows or x < 0:
            return None
        pills = self.pills_in(row)
        index = int(np.searchsorted(self._edges, self._edges[pills.start] + x, side="right")) - 1
        return index if index in pills else None

    def neighbour(self, index: int, rows: int) -> int:
        """Return the pill `rows` rows below pill `index` (above if negative), clamped to the first and last row."""
        row = min(max(self.row_of(index) + rows, 0), self.n_rows - 1)
        found = self.at(self.x_of(index) + self.width_of(index) // 2, row)
        return self.pills_in(row)[-1] if found is None else found
