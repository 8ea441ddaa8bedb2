"""A chart of held-out accuracy by kind of question, with baselines and the curve so far."""

from __future__ import annotations

import math
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, QSizeF, Qt, Signal
from PySide6.QtGui import (
    QFontMetrics,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPolygonF,
    QResizeEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.chart_export import Columns
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.chart_base import ChartBase
from terrarium.models.events import AccuracyMeasured, KindAccuracy
from terrarium.models.number_words import format_percent
from terrarium.models.tiny_world.questions import HEADLINE_KINDS, KINDS, kind_title

BASELINES = (
    ("most_frequent", "always the commonest answer"),
    ("last_mentioned", "always the last thing mentioned"),
    ("without_story", "model without the story"),
)
_BAR = 12
_CURVE_SHARE = 0.28
"""The fraction of the width of bar and curve that the curve takes."""


class AccuracyChart(ChartBase):
    """A row for each kind in KINDS: a bar with its number, and the curve over the steps so far.

    The marks on a bar are baselines, named on hover and in the legend below. All rows are shown from the
    start, so that nothing moves when numbers arrive.

    Signals:
        kind_chosen(kind): the user wants to see answers to this kind of question.
    """

    kind_chosen = Signal(str)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._kinds: dict[str, KindAccuracy] = {}
        self._curves: dict[str, list[tuple[float, float]]] = {}
        self._chosen = ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.MinimumExpanding)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setMouseTracking(True)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self._describe()
        theme.theme_changed.connect(self.updateGeometry)
        theme.theme_changed.connect(self.update)

    def show_kinds(
        self,
        kinds: Sequence[KindAccuracy],
        before: Sequence[AccuracyMeasured] = (),
        total_steps: int = 0,
        *,
        is_log: bool = False,
    ) -> None:
        """Draw accuracies, and the curve of earlier measurements in a training of `total_steps`.

        is_log: whether the axis of steps is logarithmic.
        """
        self._kinds = {kind.kind: kind for kind in kinds}
        self._curves = {}
        for measured in before:
            for kind in measured.kinds:
                last = max(total_steps, measured.step, 1)
                x = math.log1p(measured.step) / math.log1p(last) if is_log else measured.step / last
                self._curves.setdefault(kind.kind, []).append((x, kind.accuracy))
        self._describe()
        self.update()

    def choose(self, kind: str) -> None:
        """Highlight the kind whose answers are shown; "" for none."""
        if kind != self._chosen:
            self._chosen = kind
            self._describe()
            self.update()

    @property
    def export_name(self) -> str:
        return "accuracy by kind"

    def columns(self) -> Columns:
        """Return the accuracy and the baselines of each kind, and its number of questions."""
        kinds = list(self._kinds.values())
        baselines = {words: [getattr(kind, field) for kind in kinds] for field, words in BASELINES}
        return {
            "kind": [kind_title(kind.kind) for kind in kinds],
            "accuracy": [kind.accuracy for kind in kinds],
            "questions": [kind.n for kind in kinds],
            **baselines,
        }

    def summary(self) -> str:
        return ". ".join(self._lines()) or "Not measured yet."

    def _lines(self) -> list[str]:
        return [
            f"{kind_title(kind.kind).rstrip('?')}: {format_percent(kind.accuracy, 1)} of {kind.n} questions"
            + "".join(
                f"; {words} {format_percent(value)}"
                for field, words in BASELINES
                if (value := getattr(kind, field)) is not None
            )
            for kind in self._kinds.values()
        ]

    def _describe(self) -> None:
        lines = self._lines()
        self.setAccessibleDescription(self.summary())
        chosen = f" Answers to “{kind_title(self._chosen)}” are shown; up and down choose another kind."
        shown = chosen if self._chosen else ""
        self.setAccessibleName(f"Accuracy by kind: {'. '.join(lines) or 'not measured yet'}.{shown}")
        self.setToolTip(
            plain_tip("\n".join([*lines, "Click a kind to see its answers."] if lines else ["Not measured yet"]))
        )

    # -- Choosing a kind --------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        row = int(event.position().y() // self._row())
        if event.button() == Qt.MouseButton.LeftButton and 0 <= row < len(KINDS):
            self.kind_chosen.emit(KINDS[row])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        by = {Qt.Key.Key_Up: -1, Qt.Key.Key_Down: 1}.get(Qt.Key(event.key()))
        if by is None or self._chosen not in KINDS:
            super().keyPressEvent(event)
            return
        self.kind_chosen.emit(KINDS[min(max(KINDS.index(self._chosen) + by, 0), len(KINDS) - 1)])

    # -- Painting ---------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        legend = self._legend(max(self.width(), self.minimumWidth()))
        lines = 1 + max(line for line, _ in legend)  # for all baselines: `without_story` is measured last
        return QSize(420, self._min_row() * len(KINDS) + SPACE + lines * self._line())

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.updateGeometry()

    def minimumSizeHint(self) -> QSize:
        return QSize(320, self.sizeHint().height())

    def _min_row(self) -> int:
        return self.fontMetrics().height() + SPACE + SPACE // 2

    def _row(self) -> int:
        """Return the height of a row: in a tall chart up to twice the minimum, for the curves."""
        least = self._min_row()
        return min(2 * least, least + max(self.height() - self.sizeHint().height(), 0) // len(KINDS))

    def _line(self) -> int:
        return QFontMetrics(self._theme.font(0.9)).height() + 4

    @property
    def _left(self) -> int:
        """The x coordinate at which the bars begin."""
        metrics = QFontMetrics(self._theme.font())
        return max(metrics.horizontalAdvance(kind_title(kind)) for kind in KINDS) + 3 * SPACE

    def _legend(self, width: int) -> list[tuple[int, int]]:
        """Return (line, x) of each baseline's entry in the legend of a chart of this width."""
        metrics, found = QFontMetrics(self._theme.font(0.9)), list[tuple[int, int]]()
        x, line = self._left, 0
        for _, words in BASELINES:
            entry = metrics.horizontalAdvance(words) + 3 * SPACE
            if x > self._left and x + entry > width:
                x, line = self._left, line + 1
            found.append((line, x))
            x += entry + SPACE
        return found

    def paintEvent(self, event: QPaintEvent) -> None:
        theme, colors = self._theme, self._theme.theme
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(theme.font())
        row = self._row()
        left = self._left
        painter.setFont(theme.mono_font())
        number_width = painter.fontMetrics().horizontalAdvance("100.0 %") + SPACE
        width = self.width() - left - number_width - SPACE
        curve_width = round(width * _CURVE_SHARE)
        bar_width = width - curve_width - 2 * SPACE
        for i, name in enumerate(KINDS):
            top, kind, is_main = i * row, self._kinds.get(name), name in HEADLINE_KINDS
            if name == self._chosen:
                painter.setPen(theme.pen("accent", width=1.5) if self.hasFocus() else Qt.PenStyle.NoPen)
                painter.setBrush(colors.color("accent_soft"))
                painter.drawRoundedRect(QRectF(1, top + 1, self.width() - 2, row - 2), 6, 6)
            painter.setFont(theme.font())
            painter.setPen(colors.color("text" if is_main else "muted"))
            words = QRectF(SPACE, top, left - SPACE, row)
            painter.drawText(words, Qt.AlignmentFlag.AlignVCenter, kind_title(name))
            bar = QRectF(left, top + (row - _BAR) / 2, bar_width, _BAR)
            self._paint_bar(painter, bar, kind)
            curve = QRectF(bar.right() + 2 * SPACE, top + 4, curve_width, row - 10)
            self._paint_curve(painter, curve, self._curves.get(name, []))
            painter.setFont(theme.mono_font())
            painter.setPen(colors.color("text" if kind is not None and is_main else "muted"))
            number = QRectF(curve.right(), top, number_width, row)
            right = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight
            painter.drawText(number, right, "–" if kind is None else format_percent(kind.accuracy, 1))
        self._paint_legend(painter, row * len(KINDS) + SPACE)

    def _paint_bar(self, painter: QPainter, bar: QRectF, kind: KindAccuracy | None) -> None:
        colors = self._theme.theme
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.color("sunken"))
        painter.drawRoundedRect(bar, _BAR / 2, _BAR / 2)
        if kind is None:
            return
        outline, filled = QPainterPath(), QPainterPath()
        outline.addRoundedRect(bar, _BAR / 2, _BAR / 2)
        filled.addRect(QRectF(bar.topLeft(), QSizeF(bar.width() * kind.accuracy, _BAR)))
        painter.setBrush(colors.color("accent"))
        painter.drawPath(outline.intersected(filled))
        for j, (field, _) in enumerate(BASELINES):
            value = getattr(kind, field)
            if value is not None:
                self._mark(painter, QPointF(bar.left() + bar.width() * value, bar.center().y()), j)

    def _paint_curve(self, painter: QPainter, box: QRectF, curve: Sequence[tuple[float, float]]) -> None:
        """Draw the accuracy over the steps: the width of the box is the whole training, its height 100 %."""
        painter.setPen(self._theme.pen("border", width=1))
        painter.drawLine(box.bottomLeft(), box.bottomRight())
        if not curve:
            return
        points = [QPointF(box.left() + box.width() * x, box.bottom() - box.height() * y) for x, y in curve]
        painter.setPen(self._theme.pen("accent", width=1.5))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.theme.color("accent"))
        painter.drawEllipse(points[-1], 2.5, 2.5)

    def _paint_legend(self, painter: QPainter, top: float) -> None:
        painter.setFont(self._theme.font(0.9))
        height = self._line()
        for j, ((field, words), (line, x)) in enumerate(zip(BASELINES, self._legend(self.width()), strict=True)):
            if not any(getattr(kind, field) is not None for kind in self._kinds.values()):
                continue
            box = QRectF(x, top + line * height, self.width() - x, height)
            self._mark(painter, QPointF(x + 5, box.center().y()), j)
            painter.setPen(self._theme.theme.color("muted"))
            painter.drawText(box.adjusted(14, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, words)

    def _mark(self, painter: QPainter, centre: QPointF, baseline: int) -> None:
        """Draw the mark of a baseline, which is distinguished by its shape."""
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
