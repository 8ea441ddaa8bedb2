"""A viewport on points in a plane, with zooming, panning, pixel coordinates, the nearest point and point density."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from terrarium.app.plots.pictures import Floats


class PointView:
    """A view of points in `width` × `height` pixels, initially of all points. The origin of pixels is the top left.

    Both axes have the same scale, so that distances are not distorted.

    Attributes:
        points: (n, 2).
        middle: (2,) the centre of the view. per_pixel: the size of a pixel in units of the points.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points
        self.middle, self.per_pixel = np.zeros(2), 1.0
        self.width = self.height = 1.0
        self._is_whole = True

    def show_all(self) -> None:
        """Fit all points into the view."""
        self._is_whole = True
        if len(self.points):
            low, high = self.points.min(axis=0), self.points.max(axis=0)
            self.middle = (low + high) / 2.0
            self.per_pixel = max(1.06 * float(((high - low) / [self.width, self.height]).max()), 1e-9)

    def resize(self, width: float, height: float) -> None:
        """Change the size in pixels; keep fitting all points or, after zooming or panning, keep the centre."""
        self.width, self.height = max(width, 1.0), max(height, 1.0)
        if self._is_whole:
            self.show_all()

    def pixels(self, ids: slice | NDArray[np.int64] = np.s_[:]) -> Floats:
        """Return the pixel coordinates (n, 2) of points, by default of all."""
        scale = np.array([1.0, -1.0]) / self.per_pixel
        found: Floats = ((self.points[ids] - self.middle) * scale).astype(np.float32)
        found += np.array([self.width / 2, self.height / 2], np.float32)
        return found

    def seen(self) -> NDArray[np.int64]:
        """Return the indices of the visible points."""
        x, y = self.pixels().T
        return np.flatnonzero((x >= 0) & (y >= 0) & (x < self.width) & (y < self.height))

    def nearest(self, x: float, y: float, within: float) -> int:
        """Return the index of the point nearest to a pixel; −1 if none is within `within` pixels."""
        if not len(self.points):
            return -1
        away = ((self.pixels() - np.array([x, y], np.float32)) ** 2).sum(axis=1)
        found = int(away.argmin())
        return found if away[found] <= within**2 else -1

    def zoom(self, factor: float, x: float, y: float) -> None:
        """Zoom in (`factor` below 1) or out around the pixel (x, y), which stays in place."""
        aside = np.array([x - self.width / 2, self.height / 2 - y]) * self.per_pixel
        self.middle, self.per_pixel = self.middle + aside * (1 - factor), self.per_pixel * factor
        self._is_whole = False

    def move(self, right: float, down: float) -> None:
        """Pan by a number of pixels."""
        self.middle = self.middle - np.array([right, -down]) * self.per_pixel
        self._is_whole = False

    def density(self, ids: NDArray[np.int64]) -> Floats:
        """Return how many of these visible points cover each pixel, (height, width); a point is 2 × 2 pixels."""
        wide, high = int(self.width), int(self.height)
        x, y = self.pixels(ids).astype(np.int64).T
        counts = np.zeros(wide * high, np.float32)
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            at = np.minimum(y + down, high - 1) * wide + np.minimum(x + right, wide - 1)
            counts += np.bincount(at, minlength=wide * high)
        return counts.reshape(high, wide)
