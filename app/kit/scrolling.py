"""A panel that scrolls up and down, never sideways."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QFrame, QScrollArea, QWidget


def scrolling(widget: QWidget) -> QScrollArea:
    """`widget` in an area without a frame that scrolls up and down only."""
    area = _UpAndDown()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not at a click between what is in it
    widget.setProperty("role", "scrolled")
    area.setWidget(widget)
    return area


class _UpAndDown(QScrollArea):
    """Never narrower than what it holds, since nobody can scroll it sideways."""

    def minimumSizeHint(self) -> QSize:
        inside, bar = self.widget(), self.verticalScrollBar()
        width = inside.minimumSizeHint().width() if inside is not None else 0
        return QSize(width + bar.sizeHint().width(), 80)
