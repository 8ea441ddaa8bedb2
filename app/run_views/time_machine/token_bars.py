"""The most probable tokens at one position as bars on a scale from 0 to 100 %."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, QVariantAnimation, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.painted_rows import RowTips
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_prob
from terrarium.models.tokenizers import Piece

N_ROWS = 10
_MOVE_MS = 180
_HIGHEST = 28  # pixels of a row
_BAR = 6


class TokenBars(RowTips):
    """Rows of token, bar and probability, the most probable first; a mark on the bar shows the previous value."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._rows: Sequence[tuple[Piece, float]] = ()
        self._before: dict[int, float] = {}
        self._has_before = False
        self._from: dict[int, float] = {}
        self._move = QVariantAnimation(self, startValue=0.0, endValue=1.0, duration=_MOVE_MS)
        self._move.valueChanged.connect(self.update)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Most probable tokens")
        theme.theme_changed.connect(self._restyle)

    @property
    def rows(self) -> Sequence[tuple[Piece, float]]:
        """The shown tokens and their probabilities."""
        return self._rows

    def show_top(
        self, rows: Sequence[tuple[Piece, float]], before: Sequence[tuple[int, float]] | None, *, moves: bool
    ) -> None:
        """Show tokens; `before`: those of the previous recorded step. `moves`: animate the bars."""
        self._from = {piece.id: p for piece, p in self._rows}
        self._rows, self._has_before = rows, before is not None
        self._before = dict(before or ())
        self.setAccessibleDescription(", ".join(f"{piece.display} {format_prob(p)}" for piece, p in rows))
        self._move.stop()
        if moves:
            self._move.start()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(240, N_ROWS * 22)

    def minimumSizeHint(self) -> QSize:
        return QSize(150, N_ROWS * self._metrics().height())

    def _metrics(self) -> QFontMetrics:
        return QFontMetrics(self._theme.mono_font(0.9))

    @property
    def _row_height(self) -> float:
        return min(self.height() / N_ROWS, _HIGHEST)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics, height = self._metrics(), self._row_height
        number = metrics.horizontalAdvance(format_prob(1e-9)) + SPACE  # the widest, so that bars keep their length
        widest = max((metrics.horizontalAdvance(piece.display) for piece, _ in self._rows), default=0) + 2 * SPACE
        pill = max(48, min(widest, int(0.42 * self.width())))
        for i, (piece, p) in enumerate(self._rows):
            line = QRectF(0, i * height, self.width(), height)
            self._draw_pill(painter, QRectF(0, line.top() + 1, pill, height - 2), piece)
            track = QRectF(pill + SPACE, line.center().y() - _BAR / 2, self.width() - pill - number - SPACE, _BAR)
            self._draw_bar(painter, track, self._shown(piece.id, p), self._before.get(piece.id))
            painter.setFont(self._theme.mono_font(0.9))
            painter.setPen(self._theme.theme.color("text"))
            right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(line, right, format_prob(p))

    def _shown(self, id: int, p: float) -> float:
        """Return the current length of a bar, from 0 to 1, which may be animated."""
        if self._move.state() != QVariantAnimation.State.Running:
            return p
        share, start = float(self._move.currentValue()), self._from.get(id, 0.0)
        return start + (p - start) * share

    def _draw_pill(self, painter: QPainter, box: QRectF, piece: Piece) -> None:
        colors = self._theme.theme
        if piece.special:
            painter.setPen(QPen(colors.color("border_strong"), 1))
            painter.setBrush(Qt.BrushStyle.NoBrush)
        else:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("pill_a"))
        painter.drawRoundedRect(box.adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.setPen(colors.color("text" if piece.special else "pill_text"))
        painter.setFont(self._theme.mono_font(0.9))
        width = int(box.width() - SPACE)
        words = self._metrics().elidedText(piece.display, Qt.TextElideMode.ElideMiddle, width)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, words)

    def _draw_bar(self, painter: QPainter, track: QRectF, p: float, before: float | None) -> None:
        colors = self._theme.theme
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
        bar = QRectF(track)
        bar.setWidth(max(track.width() * p, 1.5))
        painter.setBrush(colors.color("accent"))
        painter.drawRoundedRect(bar, min(_BAR / 2, bar.width() / 2), _BAR / 2)
        if before is not None:
            x = track.left() + track.width() * before
            painter.setPen(QPen(colors.color("muted"), 1.5))
            painter.drawLine(QPointF(x, track.top() - 3), QPointF(x, track.bottom() + 3))

    def tip(self, row: int) -> str:
        if not 0 <= row < len(self._rows):
            return ""
        piece, p = self._rows[row]
        words = f"Token {piece.id:,}, ranked {row + 1}: {format_prob(p)}"
        if not self._has_before:
            return words
        before = self._before.get(piece.id)
        was = f"{format_prob(before)} (mark)" if before is not None else "not in the top ten"
        return f"{words}\nAt the previous sample: {was}"

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()
