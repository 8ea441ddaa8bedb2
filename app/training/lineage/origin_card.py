"""A clickable card for one link of a lineage, and the arrow between two cards."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, QSize, Qt, Signal
from PySide6.QtGui import QFocusEvent, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout, QWidget

from app.kit.basics import label, row
from app.kit.labels import ElidedLabel
from app.kit.theme import SPACE, ThemeProvider
from app.training.lineage.origin import Link

_KINDS = {
    "run": ("Run", "trend-down"),
    "tokenizer": ("Tokenizer", "text-aa"),
    "corpus": ("Text", "book-open"),
    "model": ("Imported model", "download-simple"),
}


class LineageCard(QFrame):
    """Shows a link. It can be clicked where `opens`, its tooltip, says what a click does.

    Signals:
        clicked()
    """

    clicked = Signal()

    def __init__(self, link: Link, theme: ThemeProvider, opens: str = "", *, stands_out: bool = False) -> None:
        super().__init__()
        self.link, self._theme, self._opens, self._stands_out = link, theme, opens, stands_out
        self._is_hot = False
        words, icon = _KINDS[link.kind]
        self._icon = QLabel()
        self._icon_name = icon
        title = ElidedLabel(link.title)
        title.setProperty("role", "subheading")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        kind = label(words, "caption")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, SPACE + 2, 2 * SPACE, SPACE + 2)
        layout.setSpacing(SPACE // 2)
        head = row(self._icon, title, kind)
        head.setStretch(1, 1)
        layout.addLayout(head)
        if link.facts:
            layout.addWidget(label("  ·  ".join(link.facts), "caption", wrap=True))
        if link.problem:
            layout.addWidget(label(link.problem, "warning", wrap=True))
        self.setAccessibleName(", ".join(filter(None, (words, link.title, *link.facts, link.problem))))
        if opens:
            self.setToolTip(opens)
            self.setCursor(Qt.CursorShape.PointingHandCursor)
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.restyle()

    def restyle(self) -> None:
        """Take the theme's colours."""
        role = "accent" if self._stands_out else "muted"
        self._icon.setPixmap(self._theme.icon(self._icon_name, role).pixmap(QSize(18, 18)))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, hot = self._theme.theme, self._is_hot and bool(self._opens)
        edge = "accent" if self._stands_out or self.hasFocus() else "border_strong" if hot else "border"
        painter.setPen(QPen(colors.color(edge), 1.5 if edge == "accent" else 1))
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
        if (
            self._opens
            and event.button() == Qt.MouseButton.LeftButton
            and self.rect().contains(event.position().toPoint())
        ):
            self.clicked.emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._opens and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.clicked.emit()
        else:
            super().keyPressEvent(event)


class LineageArrow(QWidget):
    """A labelled arrow from a card up to the one made from it."""

    def __init__(self, words: str, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words, self._theme = words, theme
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(120, 34)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, x = self._theme.theme, 2 * SPACE + 9.0
        painter.setPen(QPen(colors.color("border_strong"), 1.5))
        painter.drawLine(QPointF(x, 9), QPointF(x, self.height() - 2))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("border_strong"))
        painter.drawPolygon(QPolygonF([QPointF(x, 2), QPointF(x - 5, 10), QPointF(x + 5, 10)]))
        painter.setPen(colors.color("muted"))
        painter.setFont(self._theme.font(0.9))
        words = self.rect().adjusted(round(x) + 2 * SPACE, 0, 0, 0)
        painter.drawText(words, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, self._words)
