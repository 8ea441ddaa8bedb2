"""The interactive graphics items of the diagram except lines. The view sets their state."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from terrarium.app.builder.diagram.activations import CURVES
from terrarium.app.builder.diagram.geometry import Node, Rect, Step
from terrarium.app.builder.diagram.part import Part
from terrarium.app.builder.diagram.sketch import STEP
from terrarium.app.builder.hues import HUES
from terrarium.app.kit.colours import Theme
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.number_words import format_percent

_CENTRE, _LEFT = Qt.AlignmentFlag.AlignCenter, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
_HIT = 4.0  # margin around items in which the pointer hits them
_CELLS = 6
_WINDOW = 3  # cells of a sliding window
_MIN_PITCH = 2.4


def qrect(rect: Rect) -> QRectF:
    """Convert a rectangle to a QRectF."""
    return QRectF(rect.left, rect.top, rect.width, rect.height)


class Mark(QGraphicsItem):
    """An interactive item that stands for a part. `lit`: hovered; `focused`; `fresh`: just changed; `faulty`."""

    def __init__(self, part: Part, rect: QRectF, theme: ThemeProvider) -> None:
        super().__init__()
        self.part, self.rect, self._theme = part, rect, theme
        self.lit = self.focused = self.fresh = self.faulty = False

    def set_state(self, name: str, value: bool) -> None:
        """Set `lit`, `focused`, `fresh` or `faulty`."""
        if getattr(self, name) != value:
            setattr(self, name, value)
            self.update()

    def boundingRect(self) -> QRectF:
        return self.rect.adjusted(-_HIT, -_HIT, _HIT, _HIT)


class NodeItem(Mark):
    """A part's box."""

    def __init__(self, node: Node, part: Part, theme: ThemeProvider, fonts: Fonts) -> None:
        super().__init__(part, qrect(node.rect), theme)
        self.node, self._fonts = node, fonts
        self.setZValue(3 if node.look in ("sum", "times") else 2)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        look, rect = self.node.look, self.rect
        if look in ("sum", "times"):
            self._paint_sum(painter)
        elif look == "words":
            self._paint_words(painter)
        else:
            self._paint_frame(painter)
            if look == "attention":
                self._paint_attention(painter)
            elif look == "activation":
                self._paint_activation(painter)
            elif look in ("tag", "chip", "plain"):
                self._one_line(painter, rect, with_detail=look == "tag")
            else:
                self._two_lines(painter, rect)
        if self.focused:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(self._theme.theme.color("accent"), 2))
            painter.drawRoundedRect(rect.adjusted(-3, -3, 3, 3), 8, 8)

    def _border(self) -> QPen:
        colors = self._theme.theme
        if self.faulty:
            return QPen(colors.color("danger"), 1.8)
        if self.lit or self.fresh:
            return QPen(colors.color("accent"), 1.6)
        pen = QPen(colors.color("border_strong"), 1)
        if self.node.shared:
            pen.setStyle(Qt.PenStyle.DashLine)
        return pen

    def _paint_frame(self, painter: QPainter) -> None:
        colors, rect = self._theme.theme, self.rect
        painter.setPen(self._border())
        fill = "accent_soft" if self.fresh else "danger_soft" if self.faulty else "surface"
        painter.setBrush(colors.color("sunken" if self.node.look == "chip" and fill == "surface" else fill))
        radius = rect.height() / 2 if self.node.look == "chip" else 6
        painter.drawRoundedRect(rect, radius, radius)
        tone = _tone(self.part.kind, colors)
        if tone is not None and self.node.look != "chip":
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(tone)
            painter.drawRoundedRect(QRectF(rect.left() + 3, rect.top() + 5, 3, rect.height() - 10), 1.5, 1.5)

    def _text(self, painter: QPainter, rect: QRectF, text: str, font: str, align: Qt.AlignmentFlag, role: str) -> None:
        painter.setFont(self._fonts.font(font))
        painter.setPen(self._theme.theme.color(role))
        painter.drawText(rect, align, text)

    def _one_line(self, painter: QPainter, rect: QRectF, *, with_detail: bool) -> None:
        title, detail = self.part.title, self.part.detail if with_detail else ""
        rect = rect.adjusted(4 if self.part.kind in HUES else 0, 0, 0, 0)
        if not detail:
            self._text(painter, rect, title, "title", _CENTRE, "muted" if self.node.look == "chip" else "text")
            return
        width = self._fonts.measure(title, "title") + 8 + self._fonts.measure(detail, "detail")
        inside = QRectF(rect.center().x() - width / 2, rect.top(), width + 1, rect.height())
        self._text(painter, inside, title, "title", _LEFT, "text")
        self._text(painter, inside, detail, "detail", _RIGHT, "muted")

    def _two_lines(self, painter: QPainter, rect: QRectF) -> None:
        middle = rect.center().y()
        rect = rect.adjusted(4 if self.part.kind in HUES else 0, 0, 0, 0)
        self._text(
            painter, QRectF(rect.left(), middle - 16, rect.width(), 17), self.part.title, "title", _CENTRE, "text"
        )
        below = QRectF(rect.left(), middle, rect.width(), 15)
        self._text(painter, below, self.part.detail, "detail", _CENTRE, "muted")

    def _paint_attention(self, painter: QPainter) -> None:
        rect, colors = self.rect, self._theme.theme
        side = 34.0
        paint_mask(painter, self.part.mask, QRectF(rect.left() + 11, rect.center().y() - side / 2, side, side), colors)
        left = rect.left() + side + 20
        words = QRectF(left, rect.top() + 5, rect.right() - left, 17)
        self._text(painter, words, self.part.title, "title", _LEFT, "text")
        self._text(painter, QRectF(left, words.bottom(), words.width(), 14), self.part.detail, "detail", _LEFT, "muted")
        marks = QRectF(left, rect.bottom() - 14, rect.right() - left - 10, 9)
        paint_heads(painter, *self.part.heads, marks, colors)

    def _paint_activation(self, painter: QPainter) -> None:
        rect, width = self.rect, 30.0
        words = self._fonts.measure(self.part.title, "title")
        free = (rect.width() - width - words - 10) / 2
        curve = QRectF(rect.left() + max(free, 8), rect.top() + 8, width, rect.height() - 16)
        paint_curve(painter, self.part.curve, curve, self._theme.theme)
        self._text(
            painter,
            QRectF(curve.right() + 10, rect.top(), words + 4, rect.height()),
            self.part.title,
            "title",
            _LEFT,
            "text",
        )

    def _paint_sum(self, painter: QPainter) -> None:
        colors, centre = self._theme.theme, self.rect.center()
        painter.setPen(QPen(colors.color("accent"), 2.2 if self.lit else 1.6))
        painter.setBrush(colors.color("accent_soft" if self.lit or self.fresh else "surface"))
        painter.drawEllipse(self.rect)
        d = 4.5 if self.node.look == "sum" else 3.4
        if self.node.look == "sum":
            painter.drawLine(centre - QPointF(d, 0), centre + QPointF(d, 0))
            painter.drawLine(centre - QPointF(0, d), centre + QPointF(0, d))
        else:
            painter.drawLine(centre - QPointF(d, d), centre + QPointF(d, d))
            painter.drawLine(centre - QPointF(d, -d), centre + QPointF(d, -d))

    def _paint_words(self, painter: QPainter) -> None:
        if self.lit or self.fresh or self.faulty:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.theme.color("danger_soft" if self.faulty else "accent_soft"))
            painter.drawRoundedRect(self.rect, 5, 5)
        self._text(painter, self.rect, self.part.title, "title", _CENTRE, "muted")


class AreaItem(NodeItem):
    """A part drawn to scale, with its name if it fits."""

    def __init__(self, node: Node, part: Part, theme: ThemeProvider, fonts: Fonts, share: float) -> None:
        super().__init__(node, part, theme, fonts)
        self._share = format_percent(share, 0 if share >= 0.0995 else 1)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        colors, rect = self._theme.theme, self.rect
        tone = _tone(self.part.kind, colors) or colors.color("border_strong")
        tone.setAlphaF(min(1.0, (0.5 if self.lit or self.focused else 0.24) + (0.25 if self.fresh else 0)))
        painter.setBrush(tone)
        thin = min(rect.width(), rect.height()) < 3
        edge = QPen(QColor(colors.surface), 1) if not (self.lit or self.focused) else QPen(colors.color("accent"), 2)
        painter.setPen(Qt.PenStyle.NoPen if thin and not (self.lit or self.focused) else edge)
        painter.drawRect(rect)
        if self.node.lit < 1:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.drawRect(QRectF(rect.left(), rect.top(), self.node.lit * rect.width(), rect.height()))
        self._paint_name(painter, rect)

    def _paint_name(self, painter: QPainter, rect: QRectF) -> None:
        title, share = self.part.title, self._share
        wide = max(self._fonts.measure(title, "title"), self._fonts.measure(share, "detail")) + 8
        if rect.width() >= wide and rect.height() >= 34:
            middle = rect.center().y()
            self._text(painter, QRectF(rect.left(), middle - 16, rect.width(), 16), title, "title", _CENTRE, "text")
            self._text(painter, QRectF(rect.left(), middle, rect.width(), 15), share, "detail", _CENTRE, "muted")
        elif rect.width() >= wide + self._fonts.measure(share, "detail") and rect.height() >= 16:
            words = self._fonts.measure(title, "title") + 8 + self._fonts.measure(share, "detail")
            inside = QRectF(rect.center().x() - words / 2, rect.top(), words + 1, rect.height())
            self._text(painter, inside, title, "title", _LEFT, "text")
            self._text(painter, inside, share, "detail", _RIGHT, "muted")


class StepItem(Mark):
    """A round − or + button."""

    def __init__(self, step: Step, part: Part, theme: ThemeProvider, *, enabled: bool) -> None:
        rect = QRectF(step.at.x - STEP, step.at.y - STEP, 2 * STEP, 2 * STEP)
        super().__init__(part, rect, theme)
        self.step, self.enabled = step, enabled
        self.setZValue(4)

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        colors, centre, r = self._theme.theme, self.rect.center(), STEP - 1.5
        hot = self.lit and self.enabled
        painter.setPen(QPen(colors.color("accent" if hot else "border"), 1))
        painter.setBrush(colors.color("accent_soft" if hot else "surface"))
        painter.drawEllipse(centre, r, r)
        painter.setPen(QPen(colors.color("accent" if hot else "muted" if self.enabled else "border_strong"), 1.5))
        painter.drawLine(centre - QPointF(3.2, 0), centre + QPointF(3.2, 0))
        if self.step.direction > 0:
            painter.drawLine(centre - QPointF(0, 3.2), centre + QPointF(0, 3.2))


def _tone(kind: str, colors: Theme) -> QColor | None:
    """Return the colour of a kind of part, None if it has none."""
    hue = HUES.get(kind)
    return None if hue is None else QColor(colors.categories[hue]) if isinstance(hue, int) else colors.color(hue)


def sees(mask: str, query: int, key: int) -> bool:
    """Return whether a query of the mask icon attends to a key; `mask` as in Part.mask."""
    if "causal" in mask and key > query:
        return False
    return "window" not in mask or abs(query - key) < _WINDOW


def paint_mask(painter: QPainter, mask: str, rect: QRectF, colors: Theme) -> None:
    """Paint the mask icon: queries downwards, keys to the right, visible cells filled."""
    side = min(rect.width(), rect.height()) / _CELLS
    painter.setPen(Qt.PenStyle.NoPen)
    for row in range(_CELLS):
        for column in range(_CELLS):
            seen = sees(mask, row, column)
            painter.setBrush(colors.color(("value" if mask == "cross" else "accent") if seen else "border"))
            cell = QRectF(rect.left() + column * side, rect.top() + row * side, side - 1, side - 1)
            painter.drawRect(cell)


def paint_heads(painter: QPainter, n_head: int, n_groups: int, rect: QRectF, colors: Theme) -> None:
    """Paint a mark per query head, and below a bar per key/value head, as wide as the query heads that share it.

    If they do not all fit, only as many groups as fit are painted, at least one.
    """
    shown, pitch = n_head, rect.width() / n_head
    if pitch < _MIN_PITCH:
        per_group = n_head // n_groups
        shown = max(per_group, int(rect.width() / _MIN_PITCH) // per_group * per_group)
        pitch = rect.width() / shown
    pitch = min(pitch, 16.0)
    per_group = n_head // n_groups
    gap = 1.0 if pitch < 6 else 2.0
    half = rect.height() / 2
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colors.color("query"))
    for head in range(shown):
        painter.drawRect(QRectF(rect.left() + head * pitch, rect.top(), pitch - gap, half - 1))
    painter.setBrush(colors.color("key"))
    for group in range(shown // per_group):
        bar = QRectF(
            rect.left() + group * per_group * pitch, rect.top() + half + 0.5, per_group * pitch - gap, half - 1
        )
        painter.drawRect(bar)


def paint_curve(painter: QPainter, activation: str, rect: QRectF, colors: Theme) -> None:
    """Plot the activation from -3 to 3."""
    curve = CURVES[activation].value
    points = [(i / 4 - 3, curve(i / 4 - 3)) for i in range(25)]
    highest, lowest = max(y for _, y in points), min(y for _, y in points)
    path = QPainterPath()
    for i, (x, y) in enumerate(points):
        across = rect.left() + (x + 3) / 6 * rect.width()
        point = QPointF(across, rect.bottom() - (y - lowest) / (highest - lowest) * rect.height())
        path.moveTo(point) if i == 0 else path.lineTo(point)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(colors.color("border_strong"), 1))
    zero = rect.bottom() + lowest / (highest - lowest) * rect.height()
    painter.drawLine(QPointF(rect.left(), zero), QPointF(rect.right(), zero))
    painter.setPen(QPen(colors.color("accent"), 1.6))
    painter.drawPath(path)


class Fonts:
    """A font per kind of text; `measure` caches widths across redraws."""

    def __init__(self, theme: ThemeProvider) -> None:
        base = 1 / theme.text_scale
        self._fonts = {
            "title": theme.font(base),
            "detail": theme.mono_font(0.86 * base),
            "caption": theme.mono_font(0.86 * base),
            "badge": theme.font(1.2 * base, bold=True),
        }
        self._metrics = {name: QFontMetricsF(font) for name, font in self._fonts.items()}
        self._known: dict[tuple[str, str], float] = {}

    def font(self, name: str) -> QFont:
        """Return the font for "title", "detail", "caption" or "badge"."""
        return self._fonts[name]

    def measure(self, text: str, name: str) -> float:
        """Return the width of `text` in the font `name`, in pixels of the unscaled picture."""
        if (text, name) not in self._known:
            self._known[text, name] = self._metrics[name].horizontalAdvance(text)
        return self._known[text, name]
