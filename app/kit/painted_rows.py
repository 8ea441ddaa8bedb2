"""What the glass box's lists of bars share: rows in the fixed-width font, as high as all of them."""

from __future__ import annotations

from PySide6.QtCore import QSize, Slot
from PySide6.QtGui import QFontMetrics
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.row_tips import RowTips
from app.kit.theme import ThemeProvider


class PaintedRows(RowTips):
    """Subclasses say how many rows there are, and paint them."""

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
