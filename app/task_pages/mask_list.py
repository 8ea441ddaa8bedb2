"""A card for each mask of a text: the words around it, and its candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import column, label, titled_card
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_prob

if TYPE_CHECKING:
    from terrarium.models.inference.fill_mask import MaskCandidate

_NOTE = (
    "Probabilities over the whole vocabulary. All masks are predicted at once, independently of each other: fill one "
    "in, and the others are predicted again."
)


_PAD, _RADIUS = 4, 4


class MaskList(QWidget):
    """A column of cards, or a sentence.

    Signals:
        chosen(mask, candidate): the user chose this candidate for this mask; both counted from 0.
    """

    chosen = Signal(int, int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.bars: list[CandidateBars] = []
        self._cards: list[QWidget] = []
        self._sentence = label("", "muted", wrap=True)
        self._note = label(_NOTE, "caption", wrap=True)
        self._lines = column(self._sentence, self._note, None, margin=(SPACE, 0, SPACE, 0))
        self.setLayout(self._lines)
        self.say("")

    def say(self, sentence: str) -> None:
        """Show a sentence instead of cards."""
        self._clear()
        self._sentence.setText(sentence)
        self._sentence.show()
        self._note.hide()

    def show_masks(self, masks: Sequence[Sequence[MaskCandidate]], around: Sequence[str]) -> None:
        """Show the candidates of each mask, best first, and the words around it."""
        self._clear()
        self._sentence.hide()
        self._note.show()
        for number, (candidates, words) in enumerate(zip(masks, around, strict=True)):
            rows = [
                CandidateRow(c.text.strip() or repr(c.text), c.probability, format_prob(c.probability))
                for c in candidates
            ]
            bars = CandidateBars(f"Candidates for mask {number + 1}", self._theme, rows)
            bars.chosen.connect(lambda candidate, number=number: self.chosen.emit(number, candidate))
            title = f"Mask {number + 1}" if len(masks) > 1 else "Mask"
            card = titled_card(title, label(words, "caption", wrap=True), bars)
            self._lines.insertWidget(self._lines.count() - 2, card)
            self.bars.append(bars)
            self._cards.append(card)

    def _clear(self) -> None:
        for card in self._cards:
            self._lines.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._cards, self.bars = [], []


@dataclass(frozen=True)
class CandidateRow:
    """A candidate: its text, its probability (0 to 1), and the probability as text."""

    words: str
    share: float
    text: str


class CandidateBars(QWidget):
    """Candidates as rows, with a bar of the probability behind each.

    Signals:
        chosen(i): the user chose row `i`.
    """

    chosen = Signal(int)

    def __init__(
        self, name: str, theme: ThemeProvider, rows: Sequence[CandidateRow], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._rows = theme, rows
        self._hovered, self._at = -1, 0
        self.setAccessibleName(name)
        self.setAccessibleDescription(", ".join(f"{row.words} {row.text}" for row in rows))
        self.setToolTip("Click to insert it")
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self.update)

    @property
    def rows(self) -> Sequence[CandidateRow]:
        """The candidates, best first."""
        return self._rows

    @property
    def _row_height(self) -> int:
        return QFontMetrics(self._theme.mono_font(0.95)).height() + 2 * _PAD

    def sizeHint(self) -> QSize:
        return QSize(220, len(self._rows) * self._row_height)

    def minimumSizeHint(self) -> QSize:
        return QSize(140, len(self._rows) * self._row_height)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, font = self._theme.theme, self._theme.mono_font(0.95)
        metrics = QFontMetrics(font)
        painter.setFont(font)
        for i, row in enumerate(self._rows):
            line = QRectF(0, i * self._row_height + 1, self.width(), self._row_height - 2)
            painter.setPen(Qt.PenStyle.NoPen)
            if i == self._hovered:
                painter.setBrush(colors.color("sunken"))
                painter.drawRoundedRect(line, _RADIUS, _RADIUS)
            painter.setBrush(colors.color("accent_line" if i == self._hovered else "accent_soft"))
            painter.drawRoundedRect(
                QRectF(line.left(), line.top(), max(line.width() * row.share, 2.0), line.height()), _RADIUS, _RADIUS
            )
            inside = line.adjusted(SPACE, 0, -SPACE, 0)
            number = metrics.horizontalAdvance(row.text)
            painter.setPen(colors.color("text"))
            words = metrics.elidedText(row.words, Qt.TextElideMode.ElideRight, int(inside.width()) - number - SPACE)
            painter.drawText(inside, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, words)
            painter.setPen(colors.color("muted"))
            painter.drawText(inside, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, row.text)
            if self.hasFocus() and i == self._at:
                painter.setPen(colors.color("accent"))
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(line.adjusted(0.5, 0.5, -0.5, -0.5), _RADIUS, _RADIUS)
        painter.end()

    def _row_at(self, y: float) -> int:
        row = int(y) // self._row_height
        return row if 0 <= row < len(self._rows) else -1

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        self._hover(self._row_at(event.position().y()))

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(-1)

    def _hover(self, row: int) -> None:
        if row != self._hovered:
            self._hovered = row
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        row = self._row_at(event.position().y())
        if (
            event.button() == Qt.MouseButton.LeftButton
            and row >= 0
            and self.rect().contains(event.position().toPoint())
        ):
            self.chosen.emit(row)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if step is not None:
            self._at = min(max(self._at + step, 0), len(self._rows) - 1)
            self.update()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self._rows:
            self.chosen.emit(self._at)
        else:
            super().keyPressEvent(event)
