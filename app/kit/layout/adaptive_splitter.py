"""A splitter that is horizontal if its parts fit side by side, and vertical otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QSplitter, QWidget

from terrarium.app.kit.layout.relayout_on_resize import RelayoutOnResize

_MIN_WIDTH = 240
"""The minimum width of a part in pixels when they are side by side."""


class AdaptiveSplitter(QSplitter):
    """A splitter that adapts its orientation to its width.

    Args:
        sizes: the initial widths in pixels, side by side. grows: the index of the part that takes spare space.
    """

    def __init__(self, *parts: QWidget, sizes: Sequence[int], grows: int) -> None:
        super().__init__(Qt.Orientation.Horizontal)
        self.setChildrenCollapsible(False)
        for part in parts:
            self.addWidget(part)
        self.setStretchFactor(grows, 1)
        self.setSizes(list(sizes))
        RelayoutOnResize(self, self._turn)

    @property
    def _needed(self) -> list[int]:
        parts = [self.widget(i) for i in range(self.count())]
        return [part.minimumSizeHint().width() for part in parts if part is not None]

    def minimumSizeHint(self) -> QSize:
        return QSize(max(self._needed, default=0), super().minimumSizeHint().height())

    def _turn(self) -> None:
        beside = sum(max(needed, _MIN_WIDTH) for needed in self._needed) + self.handleWidth() * (self.count() - 1)
        wanted = Qt.Orientation.Horizontal if beside <= self.width() else Qt.Orientation.Vertical
        if wanted != self.orientation():
            self.setOrientation(wanted)
