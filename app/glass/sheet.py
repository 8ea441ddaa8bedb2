"""The whole content of a panel as one picture with a heading, for export, including parts that are scrolled away."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, Qt
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QRegion
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider

_MARGIN = 2 * SPACE


class Sheet(QWidget):
    """Renders other widgets, one above the other, in their current state; never shown itself.

    Args:
        heading: returns the text above them.
    """

    def __init__(self, theme: ThemeProvider, heading: Callable[[], str], *widgets: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme, self._heading, self._widgets = theme, heading, widgets
        self.hide()
        for widget in widgets:
            widget.installEventFilter(self)
        theme.theme_changed.connect(self._update_size)

    @property
    def _top(self) -> int:
        return _MARGIN + QFontMetrics(self._theme.font(bold=True)).height() + SPACE

    def _update_size(self) -> None:
        self.resize(
            max(widget.width() for widget in self._widgets) + 2 * _MARGIN,
            self._top + sum(widget.height() + SPACE for widget in self._widgets) + _MARGIN - SPACE,
        )

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Show, QEvent.Type.Hide):
            self._update_size()
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter, colors = QPainter(self), self._theme.theme
        painter.fillRect(self.rect(), colors.color("surface"))
        painter.setFont(self._theme.font(bold=True))
        painter.setPen(colors.color("text"))
        available = self.width() - 2 * _MARGIN
        words = painter.fontMetrics().elidedText(self._heading(), Qt.TextElideMode.ElideRight, available)
        painter.drawText(_MARGIN, _MARGIN + painter.fontMetrics().ascent(), words)
        y = self._top
        for widget in self._widgets:
            widget.render(painter, QPoint(_MARGIN, y), QRegion(), QWidget.RenderFlag.DrawChildren)
            y += widget.height() + SPACE
