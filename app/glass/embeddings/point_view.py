"""Points in a plane, and which part of it is looked at: places in pixels, the nearest point, and how many lie where."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.kit.figures.pictures import Floats


class PointView:
    """Points (n, 2) seen in `width` × `height` pixels, at first all of them; pixels count from the top left.

    Both directions are drawn to the same scale, so that distances are what they are.

    Attributes:
        points: (n, 2).
        middle: (2,) the point in the middle of what is seen. per_pixel: how far a pixel reaches.
    """

    def __init__(self, points: Floats) -> None:
        self.points = points
        self.middle, self.per_pixel = np.zeros(2), 1.0
        self.width = self.height = 1.0
        self._is_whole = True

    def show_all(self) -> None:
        """See everything."""
        self._is_whole = True
        if len(self.points):
            low, high = self.points.min(axis=0), self.points.max(axis=0)
            self.middle = (low + high) / 2.0
            self.per_pixel = max(1.06 * float(((high - low) / [self.width, self.height]).max()), 1e-9)

    def resize(self, width: float, height: float) -> None:
        """See the same, or still everything, in another number of pixels."""
        self.width, self.height = max(width, 1.0), max(height, 1.0)
        if self._is_whole:
            self.show_all()

    def pixels(self, ids: slice | NDArray[np.int64] = np.s_[:]) -> Floats:
        """Where points stand, (n, 2) pixels."""
        scale = np.array([1.0, -1.0]) / self.per_pixel
        found: Floats = ((self.points[ids] - self.middle) * scale).astype(np.float32)
        found += np.array([self.width / 2, self.height / 2], np.float32)
        return found

    def seen(self) -> NDArray[np.int64]:
        """The points in sight."""
        x, y = self.pixels().T
        return np.flatnonzero((x >= 0) & (y >= 0) & (x < self.width) & (y < self.height))

    def nearest(self, x: float, y: float, within: float) -> int:
        """The point nearest to a place, -1 where none is within so many pixels."""
        if not len(self.points):
            return -1
        away = ((self.pixels() - np.array([x, y], np.float32)) ** 2).sum(axis=1)
        found = int(away.argmin())
        return found if away[found] <= within**2 else -1

    def zoom(self, factor: float, x: float, y: float) -> None:
        """Look closer (below 1) or from farther at what is around a place, which stays where it is."""
        aside = np.array([x - self.width / 2, self.height / 2 - y]) * self.per_pixel
        self.middle, self.per_pixel = self.middle + aside * (1 - factor), self.per_pixel * factor
        self._is_whole = False

    def move(self, right: float, down: float) -> None:
        """Pull what is seen along by so many pixels."""
        self.middle = self.middle - np.array([right, -down]) * self.per_pixel
        self._is_whole = False

    def density(self) -> Floats:
        """(height, width): how many points cover each pixel, each being two pixels wide and high."""
        wide, high = int(self.width), int(self.height)
        x, y = self.pixels(self.seen()).astype(np.int64).T
        counts = np.zeros(wide * high, np.float32)
        for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
            at = np.minimum(y + down, high - 1) * wide + np.minimum(x + right, wide - 1)
            counts += np.bincount(at, minlength=wide * high)
        return counts.reshape(high, wide)
