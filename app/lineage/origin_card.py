"""A clickable card for one link of a lineage, and the arrow between two cards."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import column, label, plain_tip, row
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.lineage.clickable_card import ClickableCard
from terrarium.app.lineage.origin import Link

_KINDS = {
    "run": ("Run", "trend-down"),
    "tokenizer": ("Tokenizer", "text-aa"),
    "corpus": ("Text", "book-open"),
    "model": ("Imported model", "download-simple"),
}


class LineageCard(ClickableCard):
    """A card of a link; clickable if `opens`, the tooltip of the click, is given."""

    def __init__(self, link: Link, theme: ThemeProvider, opens: str = "", *, stands_out: bool = False) -> None:
        words, icon = _KINDS[link.kind]
        super().__init__(icon, theme, can_open=bool(opens), stands_out=stands_out)
        self.link = link
        title = ElidedLabel(link.title)
        title.setProperty("role", "subheading")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.icon.setAccessibleName(words)
        kind = label(words, "caption")
        head = row(self.icon, title, kind, grows=title)
        facts = [label("  ·  ".join(link.facts), "caption", wrap=True)] if link.facts else []
        problem = [label(link.problem, "warning", wrap=True)] if link.problem else []
        margin = (2 * SPACE, SPACE + 2, 2 * SPACE, SPACE + 2)
        self.setLayout(column(head, *facts, *problem, margin=margin, spacing=SPACE // 2))
        self.setAccessibleName(", ".join(filter(None, (words, link.title, *link.facts, link.problem))))
        if opens:
            self.setToolTip(plain_tip(opens))


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
