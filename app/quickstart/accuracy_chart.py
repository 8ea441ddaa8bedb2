"""Held-out accuracy by kind of question, with baselines."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt
from PySide6.QtGui import QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.kit.theme import SPACE, ThemeProvider
from models.events import Evaluated, KindAccuracy
from models.number_words import format_percent

BASELINES = (
    ("most_frequent", "most frequent answer"),
    ("last_mentioned", "last-mentioned candidate"),
    ("without_story", "model without the story"),
)
_BAR = 12


class AccuracyChart(QWidget):
    """One bar per kind; the marks on it are baselines, named on hover and in the legend below."""

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._kinds: tuple[KindAccuracy, ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        theme.theme_changed.connect(self.update)

    def show_result(self, result: Evaluated) -> None:
        """Draw an evaluation."""
        self._kinds = result.kinds
        lines = [
            f"{kind.kind}: {format_percent(kind.accuracy, 1)} of {kind.n} questions"
            + "".join(
                f"; {words} {format_percent(value)}"
                for field, words in BASELINES
                if (value := getattr(kind, field)) is not None
            )
            for kind in result.kinds
        ]
        self.setAccessibleName("Accuracy by kind: " + ". ".join(lines))
        self.setToolTip("\n".join(lines))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(420, self._row() * len(self._kinds) + self._row() * 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(320, self.sizeHint().height())

    def _row(self) -> int:
        return self.fontMetrics().height() + 2 * SPACE

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, colors = self._theme, self._theme.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font())
        metrics = painter.fontMetrics()
        row = self._row()
        name_width = max((metrics.horizontalAdvance(kind.kind.capitalize()) for kind in self._kinds), default=0)
        left = name_width + 2 * SPACE
        painter.setFont(theme.mono_font())
        number_width = painter.fontMetrics().horizontalAdvance("100.0 %") + SPACE
        width = self.width() - left - number_width
        for i, kind in enumerate(self._kinds):
            top = i * row
            painter.setFont(theme.font())
            painter.setPen(colors.color("text"))
            painter.drawText(
                QRectF(0, top, name_width + SPACE, row), Qt.AlignmentFlag.AlignVCenter, kind.kind.capitalize()
            )
            bar = QRectF(left, top + (row - _BAR) / 2, width, _BAR)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(bar, _BAR / 2, _BAR / 2)
            outline = QPainterPath()
            outline.addRoundedRect(bar, _BAR / 2, _BAR / 2)
            filled = QPainterPath()
            filled.addRect(QRectF(bar.topLeft(), QSizeF(width * kind.accuracy, _BAR)))
            painter.setBrush(colors.color("accent"))
            painter.drawPath(outline.intersected(filled))
            for j, (field, _) in enumerate(BASELINES):
                value = getattr(kind, field)
                if value is not None:
                    self._mark(painter, QPointF(bar.left() + width * value, bar.center().y()), j)
            painter.setFont(theme.mono_font())
            painter.setPen(colors.color("text"))
            numbers = QRectF(left + width, top, number_width, row)
            right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
            painter.drawText(numbers, right, format_percent(kind.accuracy, 1))
        self._paint_legend(painter, left, row * len(self._kinds) + SPACE)

    def _paint_legend(self, painter: QPainter, left: float, top: float) -> None:
        painter.setFont(self._theme.font(0.9))
        metrics = painter.fontMetrics()
        x, line = left, metrics.height() + 4
        painter.setPen(self._theme.theme.color("muted"))
        for j, (field, words) in enumerate(BASELINES):
            if not any(getattr(kind, field) is not None for kind in self._kinds):
                continue
            width_of_entry = metrics.horizontalAdvance(words) + 3 * SPACE
            if x > left and x + width_of_entry > self.width():
                x, top = left, top + line
            self._mark(painter, QPointF(x + 5, top + line / 2), j)
            painter.setPen(self._theme.theme.color("muted"))
            painter.drawText(QRectF(x + 14, top, width_of_entry, line), Qt.AlignmentFlag.AlignVCenter, words)
            x += width_of_entry + SPACE

    def _mark(self, painter: QPainter, centre: QPointF, baseline: int) -> None:
        """The mark of a baseline, distinguished by its shape."""
        colors = self._theme.theme
        painter.setPen(self._theme.pen("surface", width=1))
        painter.setBrush(colors.color("text"))
        if baseline == 0:
            painter.drawRect(QRectF(centre.x() - 2, centre.y() - 8, 4, 16))
        elif baseline == 1:
            painter.drawEllipse(centre, 4.5, 4.5)
        else:
            r = 5.5
            painter.drawPolygon([centre + QPointF(*p) for p in ((0, -r), (r, 0), (0, r), (-r, 0))])
