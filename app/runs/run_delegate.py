"""The delegate that paints a run of the list: name, status, sparkline of the loss, facts and tags."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Slot
from PySide6.QtGui import QFontMetrics, QPainter, QPainterPath, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.run_model import Index, RunModel
from terrarium.models.library.library import RunInfo

TONES = {
    "running": "accent",
    "preparing": "accent",
    "evaluating": "accent",
    "pausing": "warning",
    "paused": "warning",
    "stopping": "warning",
    "interrupted": "warning",
    "blocked": "danger",
    "failed": "danger",
    "damaged": "danger",
}
"""Theme colour by status; others are muted."""

_PADDING = SPACE - 2  # pixels above the first line and below the last
_CHIP_PAD, _CHIP_GAP = 6, 4


class RunDelegate(QStyledItemDelegate):
    """Paints a run on two or three lines, and its tags on a line below."""

    def __init__(self, theme: ThemeProvider, model: RunModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme
        self._model = model
        self._heights = 0, 0
        theme.theme_changed.connect(self._on_theme)
        self._on_theme()

    @Slot()
    def _on_theme(self) -> None:
        """Cache the heights of the name's line and of other lines, in pixels, since a thousand rows need them."""
        of_name, of_line = self._theme.font(bold=True), self._theme.font(0.9)
        self._heights = QFontMetrics(of_name).height() + 2, QFontMetrics(of_line).height() + 2

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        run = self._model.runs[index.row()]
        name, line = self._heights
        lines = 1 + self._model.has_facts(run) + bool(run.tags)
        return QSize(160, name + lines * line + (4 if run.tags else 0) + 2 * _PADDING + 4)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        run = self._model.runs[index.row()]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rect = QRect(option.rect).adjusted(2, 2, -2, -2)
        self._paint_ground(painter, rect, option.state)
        inner = rect.adjusted(SPACE + 2, _PADDING, -SPACE - 2, -_PADDING)
        name, line = self._heights
        points = self._model.points(run)
        spark = min(64, inner.width() // 3) if len(points) > 1 else 0
        width = inner.width() - (spark + SPACE if spark else 0)
        self._paint_name(painter, QRect(inner.left(), inner.top(), inner.width(), name), run)
        self._paint_status(painter, QRect(inner.left(), inner.top() + name, width, line), run)
        if spark:
            top = inner.top() + name + 4  # clear of the name's descenders
            box = QRectF(inner.right() - spark, top, spark, line - 5)
            _paint_sparkline(painter, box, points, self._theme)
        below = QRect(inner.left(), inner.top() + name + line, inner.width(), line)
        facts = self._model.facts(run)
        if facts:
            self._paint_facts(painter, below, facts)
            below.translate(0, line)
        self._paint_tags(painter, below.translated(0, 4), run.tags)
        painter.restore()

    def _paint_ground(self, painter: QPainter, rect: QRect, state: QStyle.StateFlag) -> None:
        colors = self._theme.theme
        painter.setPen(Qt.PenStyle.NoPen)
        if state & QStyle.StateFlag.State_Selected:
            painter.setBrush(colors.color("accent_soft"))
            painter.drawRoundedRect(rect, 7, 7)
        elif state & QStyle.StateFlag.State_MouseOver:
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(rect, 7, 7)
        if state & QStyle.StateFlag.State_HasFocus:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(self._theme.pen("accent", width=1.5))
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 7, 7)

    def _paint_name(self, painter: QPainter, box: QRect, run: RunInfo) -> None:
        painter.setFont(self._theme.font(bold=True))
        painter.setPen(self._theme.theme.color("text"))
        # The ends of names tell the runs of a sweep, and forks, from one another.
        words = painter.fontMetrics().elidedText(run.name, Qt.TextElideMode.ElideMiddle, box.width())
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, words)

    def _paint_status(self, painter: QPainter, box: QRect, run: RunInfo) -> None:
        status, colors = self._model.status(run), self._theme.theme
        tone = TONES.get(status, "muted")
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color(tone))
        painter.drawEllipse(QPointF(box.left() + 4, box.center().y() + 0.5), 3.5, 3.5)
        painter.setFont(self._theme.font(0.9))
        painter.setPen(colors.color(tone))
        text = box.adjusted(14, 0, 0, 0)
        painter.drawText(text, Qt.AlignmentFlag.AlignVCenter, status)
        metrics = painter.fontMetrics()
        painter.setPen(colors.color("muted"))
        rest = text.adjusted(metrics.horizontalAdvance(status + "  "), 0, 0, 0)
        steps = self._model.format_progress(run)
        if metrics.horizontalAdvance(steps) <= rest.width():
            painter.drawText(rest, Qt.AlignmentFlag.AlignVCenter, steps)

    def _paint_facts(self, painter: QPainter, box: QRect, facts: tuple[str, ...]) -> None:
        """Paint as many facts as fit whole: a truncated number would be wrong."""
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("muted"))
        metrics, shown = painter.fontMetrics(), facts
        while len(shown) > 1 and metrics.horizontalAdvance(" · ".join(shown)) > box.width():
            shown = shown[:-1]
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, " · ".join(shown))

    def _paint_tags(self, painter: QPainter, box: QRect, tags: tuple[str, ...]) -> None:
        colors = self._theme.theme
        painter.setFont(self._theme.font(0.85))
        metrics, left = painter.fontMetrics(), box.left()
        for n, tag in enumerate(tags):
            words, more = tag, f"+{len(tags) - n}"
            available = box.right() - left - (0 if n == len(tags) - 1 else metrics.horizontalAdvance(more) + _CHIP_GAP)
            width = metrics.horizontalAdvance(words) + 2 * _CHIP_PAD + 1  # scaled text has fractional widths
            if width > available and n:
                painter.setPen(colors.color("muted"))
                painter.drawText(QRect(left, box.top(), 60, box.height()), Qt.AlignmentFlag.AlignVCenter, more)
                return
            width = min(width, available)
            chip = QRect(left, box.top(), width, box.height() - 1)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("info", 0.16 if colors.dark else 0.1))
            painter.drawRoundedRect(chip, 5, 5)
            painter.setPen(colors.color("info"))
            words = metrics.elidedText(words, Qt.TextElideMode.ElideRight, width - 2 * _CHIP_PAD)
            painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, words)
            left += width + _CHIP_GAP


def _paint_sparkline(painter: QPainter, rect: QRectF, points: tuple[float, ...], theme: ThemeProvider) -> None:
    low, high = min(points), max(points)
    span = (high - low) or 1.0
    step, scale = rect.width() / (len(points) - 1), rect.height() / span
    points_on = [QPointF(rect.left() + step * i, rect.bottom() - scale * (p - low)) for i, p in enumerate(points)]
    area = QPainterPath()
    area.addPolygon(QPolygonF([rect.bottomLeft(), *points_on, rect.bottomRight()]))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(theme.theme.color("accent", 0.12))
    painter.drawPath(area)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(theme.pen("accent", width=1.3))
    painter.drawPolyline(QPolygonF(points_on))
