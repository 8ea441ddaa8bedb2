"""The plot of a chart: a view and its two axes."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import pyqtgraph as pg
from PySide6.QtWidgets import QGraphicsGridLayout, QGraphicsItem

_PLACES = {"left": (0, 0), "bottom": (1, 1)}
"""The (row, column) of each axis in the layout; the view is at (0, 1)."""
_GRID = 30
"""The opacity of the grid lines, 0 to 255."""


class Plot(pg.GraphicsWidget):  # type: ignore[misc]
    """The part of pyqtgraph's PlotItem API that charts use. A PlotItem creates two more axes, and fifty widgets for a
    menu that no chart has, which takes twice as long as all the rest of a chart.

    Args:
        view: the view that contains the items.
        axes: the axes "left" and "bottom".
    """

    def __init__(self, view: pg.ViewBox, axes: Mapping[str, pg.AxisItem]) -> None:
        super().__init__()
        self._view, self._axes = view, dict(axes)
        self._layout = layout = QGraphicsGridLayout()
        self.setLayout(layout)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.setSpacing(0)
        layout.addItem(view, 0, 1)
        for side, axis in self._axes.items():
            axis.linkToView(view)
            layout.addItem(axis, *_PLACES[side])
            axis.setZValue(0.5)  # above pictures, and below what asks for 1
            axis.setFlag(QGraphicsItem.GraphicsItemFlag.ItemNegativeZStacksBehindParent)
        self._axes["left"].setGrid(_GRID)
        view.disableAutoRange()

    def getViewBox(self) -> pg.ViewBox:
        """Return the view that contains the items."""
        return self._view

    def getAxis(self, side: str) -> pg.AxisItem:
        """Return the axis at the "left" or "bottom"."""
        return self._axes[side]

    def setLabel(self, side: str, text: str) -> None:
        """Set the label of an axis, verbatim."""
        self._axes[side].setLabel(html.escape(text, quote=False))  # pyqtgraph shows HTML

    def addItem(self, item: Any) -> None:
        """Add an item."""
        self._view.addItem(item, ignoreBounds=True)  # a chart sets its own range

    def removeItem(self, item: Any) -> None:
        """Remove an item."""
        self._view.removeItem(item)

    def setLogMode(self, *, x: bool = False, y: bool = False) -> None:
        """Label the axes for items that draw log10 of x or y."""
        self._axes["bottom"].setLogMode(x=x)
        self._axes["left"].setLogMode(y=y)
