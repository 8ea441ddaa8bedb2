"""The steps of sampling as stacked bars: the tokens that remain after each step, and the position of the draw."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QBrush, QFontMetrics, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from terrarium.app.glass.xray import Xray, XrayBar
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_prob
from terrarium.models.settings.sampling_config import format_step

_BAR, _GAP, _MARKER, _CLEAR = 18, 9, 6, 5  # pixels
_TITLES = {
    "model": "Model",
    "penalties": "After penalties and biases",
    "drawn": "Drawn from",
}
"""Titles of the steps that do not belong to a setting."""


@dataclass(frozen=True)
class _Segment:
    """A segment of a bar: its range within [0, 1], its token (None: all other tokens), and whether it can be drawn."""

    start: float
    end: float
    id: int | None
    is_left: bool


class StageBars(QWidget):
    """A bar per step, below its title and numbers: the top tokens from left to right, then all others as one segment.

    The token of the text has the accent colour. Tokens that a truncation removes are hatched.

    Args:
        has_entropy: whether to show the entropy of the remaining distribution of each step, in nats.

    Signals:
        chosen(int): the token with this id was clicked.
    """

    chosen = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None, *, has_entropy: bool = True) -> None:
        super().__init__(parent)
        self._theme, self._has_entropy = theme, has_entropy
        self.xray: Xray | None = None
        self._name: Callable[[int], str] = str
        self._can_choose = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName("From the model's distribution to the draw")
        theme.theme_changed.connect(self._restyle)

    def show_xray(self, xray: Xray, name: Callable[[int], str], *, can_choose: bool) -> None:
        """Show another X-ray. name: returns a token's displayed text. can_choose: whether tokens can be clicked."""
        is_resized = self.xray is None or self._n_bars(self.xray) != self._n_bars(xray)
        self.xray, self._name, self._can_choose = xray, name, can_choose
        self.setAccessibleDescription("; ".join(f"{self._title(bar)}: {self._numbers(bar)}" for bar in xray.bars))
        if is_resized:
            self.updateGeometry()
        self.update()

    def _n_bars(self, xray: Xray) -> tuple[int, bool]:
        return len(xray.bars), xray.draw is not None

    def sizeHint(self) -> QSize:
        return QSize(320, self._height)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, self._height)

    @property
    def _line(self) -> int:
        return QFontMetrics(self._theme.font(0.9)).height()

    @property
    def _step(self) -> int:
        return self._line + 2 + _BAR + _GAP

    @property
    def _height(self) -> int:
        if self.xray is None:
            return 0
        return len(self.xray.bars) * self._step + (self._line + _MARKER - _GAP + 2 if self._has_draw else 0)

    @property
    def _has_draw(self) -> bool:
        return self.xray is not None and self.xray.draw is not None and self.xray.config.temperature > 0

    @property
    def _draw_x(self) -> float:
        assert self.xray is not None
        assert self.xray.draw is not None
        return self.xray.draw * self.width()

    def _title(self, bar: XrayBar) -> str:
        assert self.xray is not None
        config = self.xray.config
        if bar.name == "temperature" and config.temperature == 0.0:
            return "Temperature 0: the most likely"
        return _TITLES.get(bar.name) or format_step(config, bar.name)

    def _numbers(self, bar: XrayBar) -> str:
        few = "<0.01\N{NO-BREAK SPACE}%"
        removed = f"cuts {format_prob(bar.removed) if bar.removed >= 1e-4 else few}" if bar.removed > 0 else ""
        if not self._has_entropy:
            return removed
        entropy = "<0.01" if 0 < bar.entropy < 0.005 else f"{bar.entropy:.2f}"
        return f"{removed}   entropy {entropy} nats" if removed else f"entropy {entropy} nats"

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self.xray is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for i, bar in enumerate(self.xray.bars):
            self._paint_words(painter, i, bar)
            box = self.bar_rect(i)
            painter.fillRect(box, self._theme.theme.color("sunken"))
            draw = self._draw_x if self._has_draw and i == len(self.xray.bars) - 1 else None
            for number, segment in enumerate(self._segments(bar)):
                self._paint_segment(painter, box, segment, number, draw)
        if self._has_draw:
            self._paint_draw(painter)
        painter.end()

    def bar_rect(self, i: int) -> QRectF:
        """Return the rectangle of bar `i` in the widget."""
        return QRectF(0, i * self._step + self._line + 2, self.width(), _BAR)

    def _segments(self, bar: XrayBar) -> list[_Segment]:
        assert self.xray is not None
        segments, at = list[_Segment](), 0.0
        for id, width, is_cut in zip(self.xray.order, bar.widths, bar.is_cut, strict=True):
            segments.append(_Segment(at, at + width, id, not is_cut))
            at += width
        segments.append(_Segment(at, at + bar.rest_left, None, True))
        segments.append(_Segment(at + bar.rest_left, at + bar.rest, None, False))
        return segments

    def _paint_words(self, painter: QPainter, i: int, bar: XrayBar) -> None:
        colors, line = self._theme.theme, QRectF(0, i * self._step, self.width(), self._line)
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color("muted"))
        right = self._numbers(bar)
        painter.drawText(line, Qt.AlignmentFlag.AlignRight, right)
        metrics = painter.fontMetrics()
        room = int(line.width()) - metrics.horizontalAdvance(right) - SPACE
        painter.setPen(colors.color("text"))
        painter.drawText(
            line, Qt.AlignmentFlag.AlignLeft, metrics.elidedText(self._title(bar), Qt.TextElideMode.ElideRight, room)
        )

    def _paint_segment(
        self, painter: QPainter, box: QRectF, segment: _Segment, number: int, draw: float | None
    ) -> None:
        colors = self._theme.theme
        left, right = box.left() + segment.start * box.width(), box.left() + segment.end * box.width()
        if right - left < 0.3:
            return
        gap = 1.0 if right - left > 3 else 0.0
        shape = QRectF(left, box.top(), right - left - gap, box.height())
        if not segment.is_left:
            painter.fillRect(shape, QBrush(colors.color("muted", 0.7), Qt.BrushStyle.BDiagPattern))
            return
        if segment.id is None:
            painter.fillRect(shape, colors.color("border_strong"))
            return
        assert self.xray is not None
        is_chosen = segment.id == self.xray.chosen
        ground = "accent" if is_chosen else ("pill_a", "pill_b")[number % 2]
        painter.fillRect(shape, colors.color(ground))
        font = self._theme.mono_font(0.85)
        metrics, words = QFontMetrics(font), self._name(segment.id)
        if metrics.horizontalAdvance(words) + 6 <= shape.width():
            painter.setFont(font)
            painter.setPen(colors.color("on_accent" if is_chosen else "pill_text"))
            rect = self.words_rect(shape, metrics.horizontalAdvance(words), draw)
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, words)

    def words_rect(self, shape: QRectF, width: int, draw: float | None) -> QRectF:
        """Return the text rectangle of a segment: centred, or beside the draw's line (x = `draw`) if they overlap."""
        rect = QRectF(shape.center().x() - width / 2, shape.top(), width, shape.height())
        if draw is not None and rect.left() - _CLEAR < draw < rect.right() + _CLEAR:
            sides = (draw + _CLEAR, draw - _CLEAR - width)
            rect.moveLeft(next((x for x in sides if shape.left() <= x <= shape.right() - width), rect.left()))
        return rect

    def _paint_draw(self, painter: QPainter) -> None:
        assert self.xray is not None
        assert self.xray.draw is not None
        colors, box = self._theme.theme, self.bar_rect(len(self.xray.bars) - 1)
        x = self._draw_x
        painter.setPen(QPen(colors.color("text"), 2))
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom() + _MARKER / 2))  # between two labels
        font = self._theme.mono_font(0.85)
        words, metrics = f"draw {self.xray.draw:.4f}", QFontMetrics(font)
        width = metrics.horizontalAdvance(words) + 2
        start = min(max(x - width / 2, 0.0), self.width() - width)
        painter.setFont(font)
        painter.drawText(
            QRectF(start, box.bottom() + _MARKER, width, metrics.height()), Qt.AlignmentFlag.AlignLeft, words
        )

    # -- Input ---------------------------------------------------------------------------------------------------------

    def segment_at(self, point: QPointF) -> _Segment | None:
        """Return the segment of a bar at a point of the widget, or None."""
        if self.xray is None:
            return None
        i = int(point.y() // self._step)
        if not 0 <= i < len(self.xray.bars) or not self.bar_rect(i).contains(point):
            return None
        at = point.x() / max(self.width(), 1)
        return next(
            (segment for segment in self._segments(self.xray.bars[i]) if segment.start <= at < segment.end), None
        )

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        found = self.segment_at(event.position())
        can = found is not None and found.id is not None and self._can_choose
        self.setCursor(Qt.CursorShape.PointingHandCursor if can else Qt.CursorShape.ArrowCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        found = self.segment_at(event.position())
        is_left = event.button() == Qt.MouseButton.LeftButton
        if is_left and found is not None and found.id is not None and self._can_choose:
            self.chosen.emit(found.id)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            found = self.segment_at(QPointF(event.pos()))
            QToolTip.showText(event.globalPos(), f"<p>{html.escape(self._tip(found))}</p>" if found else "", self)
            return True
        return super().event(event)

    def _tip(self, segment: _Segment) -> str:
        width = format_prob(segment.end - segment.start)
        who = "all other tokens" if segment.id is None else self._name(segment.id)
        if not segment.is_left:
            return f"{who}: cut off, {width} of the total after temperature"
        hint = ". Click to continue with it" if segment.id is not None and self._can_choose else ""
        return f"{who}: {width}{hint}"

    @Slot()
    def _restyle(self) -> None:
        self.updateGeometry()
        self.update()
