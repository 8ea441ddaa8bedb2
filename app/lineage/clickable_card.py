"""A card that can be clicked, or opened with the keyboard."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QLabel

from terrarium.app.kit.theme import ThemeProvider


class ClickableCard(QFrame):
    """A frame whose border shows hover and focus. `icon` is a label for the layout.

    Args:
        can_open: whether it can be clicked. stands_out: whether it is coloured. dashed: whether its edge is dashed.

    Signals:
        clicked()
    """

    clicked = Signal()

    def __init__(
        self, icon: str, theme: ThemeProvider, *, can_open: bool, stands_out: bool, dashed: bool = False
    ) -> None:
        super().__init__()
        self.icon, self.can_open = QLabel(), can_open
        self._theme, self._icon_name, self._stands_out, self._dashed = theme, icon, stands_out, dashed
        self._is_hot = False
        if can_open:
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.restyle()

    def restyle(self) -> None:
        """Apply the colours of the theme."""
        role = "accent" if self._stands_out else "muted"
        self.icon.setPixmap(self._theme.icon(self._icon_name, role).pixmap(QSize(18, 18)))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, hot = self._theme.theme, self._is_hot and self.can_open
        edge = "accent" if self._stands_out or self.hasFocus() else "border_strong" if hot else "border"
        pen = QPen(colors.color(edge), 1.5 if edge == "accent" else 1)
        if self._dashed:
            pen.setStyle(Qt.PenStyle.DashLine)
        painter.setPen(pen)
        painter.setBrush(colors.color("accent_soft" if self._stands_out else "sunken" if hot else "surface"))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(1, 1, -1, -1), 9, 9)

    def enterEvent(self, event: QEvent) -> None:
        self._is_hot = True
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        self._is_hot = False
        self.update()

    def focusInEvent(self, event: QFocusEvent) -> None:
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        inside = self.rect().contains(event.position().toPoint())
        if self.can_open and event.button() == Qt.MouseButton.LeftButton and inside:
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self.can_open and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)
