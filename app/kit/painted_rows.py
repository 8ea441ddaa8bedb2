"""The base classes of lists of painted rows: a tooltip per row, the monospaced font, the total height."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Slot
from PySide6.QtGui import QFontMetrics, QHelpEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider


class RowTips(QWidget):
    """A widget that paints rows of equal height, from its top."""

    @property
    def _row_height(self) -> float:
        """The height of a row in pixels."""
        raise NotImplementedError

    def tip(self, row: int) -> str:
        """Return the tooltip of row `row`, counted from 0; '' for none, or if there is no such row."""
        raise NotImplementedError

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            tip = self.tip(int(event.pos().y() / max(self._row_height, 1)))
            QToolTip.showText(event.globalPos(), plain_tip(tip), self)
            return True
        return super().event(event)


class PaintedRows(RowTips):
    """A widget of painted rows; subclasses provide the number of rows, and paint them."""

    def __init__(self, name: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setAccessibleName(name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._restyle)

    @property
    def _n_rows(self) -> int:
        raise NotImplementedError

    @property
    def _row_height(self) -> float:
        return QFontMetrics(self._theme.mono_font(0.9)).height() + 5

    def sizeHint(self) -> QSize:
        return QSize(360, int(self._n_rows * self._row_height))

    def minimumSizeHint(self) -> QSize:
        return QSize(220, self.sizeHint().height())

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()
