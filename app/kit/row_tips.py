"""Tooltips of painted rows: each row has its own."""

from __future__ import annotations

from PySide6.QtCore import QEvent
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QToolTip, QWidget


class RowTips(QWidget):
    """A widget that paints rows from its top down, all equally high."""

    @property
    def _row_height(self) -> float:
        """Pixels of one row."""
        raise NotImplementedError

    def tip(self, row: int) -> str:
        """What is said of a row, counted from 0; '' for nothing, and where there is no such row."""
        raise NotImplementedError

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(event.globalPos(), self.tip(int(event.pos().y() / max(self._row_height, 1))), self)
            return True
        return super().event(event)
