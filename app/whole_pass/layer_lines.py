"""The layers of a pass as lines along the residual stream: what each part reads and adds, and each layer predicts.

The pointer or the arrow keys read a line; a click or Enter opens the panel that shows more of it.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetrics, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.colours import readable_on
from terrarium.app.kit.setting_names.value_words import PARTS
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.plots.attention_pictures import format_share
from terrarium.app.plots.figure import Figure
from terrarium.app.plots.heat_map import colour_table
from terrarium.app.whole_pass.answer import PassAnswer
from terrarium.app.whole_pass.lines import Line, lines_of, telling_layer
from terrarium.app.whole_pass.strips import paint_strip
from terrarium.app.whole_pass.wording import format_share_added, head_share, reads_of, strongest_head, title_of
from terrarium.models.number_words import format_count, format_percent

if TYPE_CHECKING:
    from terrarium.models.inspect.whole_pass import PartPass

CATEGORIES = {"attention": 0, "cross_attention": 3, "feed_forward": 1}
"""The colour of each kind of part, as in the charts of the panel “Layers”."""

_RAIL = 14  # pixels at the left, where the residual stream runs
_BETWEEN = 6  # pixels between two layers
_WIDE = 480
"""The width in pixels, at the usual text size, from which vectors and more of the tokens a head reads are shown."""
_FEW = 5
"""Layers, with the embeddings."""
_LEFT, _RIGHT = (
    side | Qt.AlignmentFlag.AlignVCenter for side in (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight)
)


class LayerLines(Figure):
    """The lines of all unfolded layers.

    Args:
        n_heads: the heads shown per attention part in a shallow model; a deep one shows one fewer.

    Signals:
        opened(Line): the user wants the panel of a line.
        walked(int): the user moves the focus by this many tokens.
        line_changed(): `current` has changed.
    """

    opened = Signal(object)
    walked = Signal(int)
    line_changed = Signal()

    def __init__(self, theme: ThemeProvider, n_heads: int, parent: QWidget | None = None) -> None:
        super().__init__(theme, parent)
        self._answer: PassAnswer | None = None
        self._n_heads = n_heads
        self._chosen, self._is_unfolded = 1, False
        self.lines: Sequence[Line] = ()
        """What is shown."""
        self._tops: list[int] = []
        self._line_height = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("The layers. Up and down read them, Enter opens a panel, left and right move the token.")
        self.read.connect(self.line_changed)

    def show_answer(self, answer: PassAnswer) -> None:
        """Show another pass; while the text is the same, unfolded layers and the current line are retained."""
        is_same = self._answer is not None and self._answer.target.text is answer.target.text
        self._answer, self._chosen = answer, telling_layer(answer)
        self._is_unfolded = self._is_unfolded and is_same
        self._rebuild()

    @property
    def current(self) -> Line | None:
        """The selected line; else that of the strongest head, or of the first head in the layer shown for it."""
        if self.spot is not None and self.spot[1] < len(self.lines) and self.lines[self.spot[1]].layer is not None:
            return self.lines[self.spot[1]]
        if self._answer is None:
            return None
        strong = strongest_head(self._answer)
        own = [line for line in self.lines if line.number == self._chosen and line.head is not None]
        return next((line for line in own if strong is not None and line.part is strong.part), own[0] if own else None)

    def unfold(self, *, unfolded: bool) -> None:
        """Show all layers, or only the first, the last and the most informative one."""
        self._is_unfolded = unfolded
        self._rebuild()

    def _rebuild(self) -> None:
        assert self._answer is not None
        before = self.lines[self.spot[1]].key if self.spot is not None else None
        is_deep = len(self._answer.given.layers) > _FEW
        n_heads = max(self._n_heads - is_deep, 1)
        self.lines = lines_of(self._answer, self._chosen, n_heads, is_unfolded=self._is_unfolded)
        self._restyle()
        self.set_spot(None)
        kept = next((i for i, line in enumerate(self.lines) if line.key == before), None)
        self.set_spot(None if kept is None else (0, kept))
        self.line_changed.emit()

    def _restyle(self) -> None:
        """Lay the lines out again, one below the other."""
        self._line_height = QFontMetrics(self._theme.mono_font(0.88)).height() + 7
        self._tops, y = list[int](), 0
        for i, line in enumerate(self.lines):
            y += _BETWEEN if i and line.part is None else 0
            self._tops.append(y)
            y += self._line_height
        self.setFixedHeight(y + 2)
        super()._restyle()

    # -- Layout --------------------------------------------------------------------------------------------------------

    def sizeHint(self) -> QSize:
        return QSize(320, self.minimumHeight())

    def minimumSizeHint(self) -> QSize:
        return QSize(240, self.minimumHeight())

    def rect_of(self, index: int) -> QRectF:
        """The rectangle of a line."""
        return QRectF(0, self._tops[index], self.width(), self._line_height)

    def _shape(self) -> tuple[int, int]:
        return min(len(self.lines), 1), len(self.lines)

    def spot_at(self, point: QPointF) -> tuple[int, int] | None:
        index = bisect.bisect_right(self._tops, point.y()) - 1
        return (0, index) if index >= 0 and self.rect_of(index).contains(QPointF(0, point.y())) else None

    def _words(self, spot: tuple[int, int]) -> str:
        assert self._answer is not None
        return self.lines[spot[1]].describe(self._answer)

    @property
    def _is_wide(self) -> bool:
        return self.width() >= _WIDE * self._theme.text_scale

    # -- Input ---------------------------------------------------------------------------------------------------------

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        super().mouseMoveEvent(event)
        self.setToolTip(plain_tip(self._words(self.spot)) if self.spot is not None else "")
        self.setCursor(Qt.CursorShape.ArrowCursor if self.spot is None else Qt.CursorShape.PointingHandCursor)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        spot = self.spot_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and spot is not None:
            self._open(self.lines[spot[1]])

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self.walked.emit(1 if event.key() == Qt.Key.Key_Right else -1)
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.spot is not None:
            self._open(self.lines[self.spot[1]])
        else:
            super().keyPressEvent(event)

    def _open(self, line: Line) -> None:
        if line.layer is None:
            self.unfold(unfolded=bool(line.n_folded))
        else:
            self.opened.emit(line)

    # -- Painting ------------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._answer is None:
            return
        painter, colors = QPainter(self), self._theme.theme
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(colors.color("accent_line"), 3))
        painter.drawLine(QPointF(_RAIL / 2, 0), QPointF(_RAIL / 2, self.height()))
        for i, line in enumerate(self.lines):
            room = self.rect_of(i)
            if not room.intersects(QRectF(event.rect())):
                continue
            if self.spot == (0, i):
                painter.setPen(QPen(colors.color("accent" if self._shows_focus else "border_strong"), 1))
                painter.setBrush(colors.color("raised"))
                painter.drawRoundedRect(room.adjusted(_RAIL + 0.5, 0.5, -0.5, -0.5), 4, 4)
            inside = room.adjusted(_RAIL + SPACE / 2, 0, -SPACE / 2, 0)
            if line.layer is None:
                self._draw_link(painter, inside, line)
            elif line.part is None:
                self._draw_layer(painter, inside, line)
            elif line.head is None:
                self._draw_part(painter, room, inside, line)
            else:
                self._draw_head(painter, inside, line)

    def _draw_link(self, painter: QPainter, room: QRectF, line: Line) -> None:
        painter.setFont(self._theme.font(0.9))
        painter.setPen(self._theme.theme.color("accent"))
        words = f"⋯ {format_count(line.n_folded, 'more layer')}" if line.n_folded else "Fold the layers again"
        painter.drawText(room, _LEFT, words)

    def _draw_layer(self, painter: QPainter, room: QRectF, line: Line) -> None:
        """Draw a layer's name, its vector if there is space, and its prediction."""
        assert self._answer is not None
        assert line.layer is not None
        colors, bold, plain = self._theme.theme, self._theme.font(0.95, bold=True), self._theme.font(0.9)
        painter.setFont(bold)
        painter.setPen(colors.color("text"))
        painter.drawText(room, _LEFT, title_of(line.layer))
        id, share = line.layer.best[0]
        chip_end = self._draw_chip_from_right(painter, room, self._answer.names[id], share)
        painter.setFont(plain)
        painter.setPen(colors.color("muted"))
        would = "would say"
        painter.drawText(
            QRectF(room.left(), room.top(), chip_end - SPACE / 2 - room.left(), room.height()), _RIGHT, would
        )
        if self._is_wide:
            left = room.left() + QFontMetrics(bold).horizontalAdvance("Layer 000") + SPACE
            right = chip_end - QFontMetrics(plain).horizontalAdvance(would) - 2 * SPACE
            strip = QRectF(left, room.top() + 6, max(right - left, 1), room.height() - 12)
            paint_strip(painter, strip, line.layer.stream, colour_table(self._theme, "diverging"))

    def _draw_chip_from_right(self, painter: QPainter, room: QRectF, word: str, share: float) -> float:
        """Draw a token, shaded by its probability, with the number at its right; return the chip's left edge."""
        plain, mono = self._theme.font(0.9), self._theme.mono_font(0.88)
        wide = QFontMetrics(plain).horizontalAdvance(">99 %")
        painter.setFont(plain)
        painter.setPen(self._theme.theme.color("text"))
        painter.drawText(room, _RIGHT, format_share(share))
        ground = QColor.fromRgb(int(colour_table(self._theme, "probability")[int(255 * min(max(share, 0.0), 1.0))]))
        shown = QFontMetrics(mono).elidedText(word, Qt.TextElideMode.ElideRight, round(0.34 * room.width()))
        width = QFontMetrics(mono).horizontalAdvance(shown) + 10
        chip = QRectF(room.right() - wide - SPACE / 2 - width, room.top() + 2, width, room.height() - 4)
        painter.setPen(QPen(self._theme.theme.color("border_strong"), 1))
        painter.setBrush(ground)
        painter.drawRoundedRect(chip, 4, 4)
        painter.setFont(mono)
        painter.setPen(readable_on(ground))
        painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, shown)
        return chip.left()

    def _draw_part(self, painter: QPainter, row: QRectF, room: QRectF, line: Line) -> None:
        """Draw a part's name and experts, and how much it adds: a bar up to ×1, and the number."""
        assert line.part is not None
        colors, name = self._theme.theme, line.part.site.rpartition(".")[2]
        color, plain = QColor(colors.categories[CATEGORIES[name]]), self._theme.font(0.9)
        painter.setPen(QPen(colors.color("sunken"), 2))
        painter.setBrush(color)
        painter.drawEllipse(QPointF(_RAIL / 2, row.center().y()), 4.5, 4.5)
        words = PARTS[name] + (f": {_expert_words(line.part, with_shares=self._is_wide)}" if line.part.experts else "")
        end = self._draw_added(painter, room, line.part.share, color)
        self._draw_words(painter, QRectF(room.left(), room.top(), end - room.left(), room.height()), plain, words)

    def _draw_added(self, painter: QPainter, room: QRectF, share: float, color: QColor) -> float:
        """Draw the amount that is added, at the right; return its left edge."""
        plain = self._theme.font(0.9)
        painter.setFont(plain)
        painter.setPen(self._theme.theme.color("text"))
        painter.drawText(room, _RIGHT, format_share_added(share))
        number = QFontMetrics(plain).horizontalAdvance("×1,000")
        wide = (110 if self._is_wide else 70) * self._theme.text_scale
        bar = QRectF(room.right() - number - wide, room.center().y() - 4, wide, 8)
        painter.fillRect(bar, self._theme.theme.color("border"))
        bar.setWidth(max(bar.width() * min(share, 1.0), 1.0))
        painter.fillRect(bar, color)
        return room.right() - number - wide - SPACE

    def _draw_head(self, painter: QPainter, room: QRectF, line: Line) -> None:
        """Draw a head with as many of the tokens it reads most as fit; if there is space, also how much it adds."""
        answer, part, head = self._answer, line.part, line.head
        assert answer is not None
        assert part is not None
        assert head is not None
        colors, plain, mono = self._theme.theme, self._theme.font(0.85), self._theme.mono_font(0.88)
        end = room.right()
        if self._is_wide:
            color = QColor(colors.categories[CATEGORIES[part.site.rpartition(".")[2]]])
            color.setAlphaF(0.5)
            end = self._draw_added(painter, room, head_share(part, head), color)
        words = f"head {head + 1} reads"
        x = room.left() + SPACE
        self._draw_words(painter, QRectF(x, room.top(), end - x, room.height()), plain, words)
        x += QFontMetrics(plain).horizontalAdvance(f"head {len(part.heads)} reads") + SPACE * 0.75
        for n, (word, share) in enumerate(reads_of(answer, part, part.heads[head], 6)):
            number = format_share(share)
            behind = QFontMetrics(plain).horizontalAdvance(number) + 4
            room_left = max(int(end - x - behind - 10), 0)
            shown = QFontMetrics(mono).elidedText(word, Qt.TextElideMode.ElideRight, room_left)
            width = QFontMetrics(mono).horizontalAdvance(shown) + 8
            if x + width + behind > end + 2 or (n and (shown != word or share < 0.01)):
                break
            chip = QRectF(x, room.top() + 2, width, room.height() - 4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colors.color("border", 0.6))
            painter.drawRoundedRect(chip, 4, 4)
            painter.setBrush(colors.color("accent", 0.55 * min(share, 1.0) ** 0.5))
            painter.drawRoundedRect(chip, 4, 4)
            painter.setFont(mono)
            painter.setPen(colors.color("text"))
            painter.drawText(chip, Qt.AlignmentFlag.AlignCenter, shown)
            painter.setFont(plain)
            painter.setPen(colors.color("muted"))
            painter.drawText(QRectF(chip.right() + 3, room.top(), behind, room.height()), _LEFT, number)
            x = chip.right() + behind + SPACE * 0.75

    def _draw_words(self, painter: QPainter, room: QRectF, font: QFont, words: str) -> None:
        painter.setFont(font)
        painter.setPen(self._theme.theme.color("text"))
        painter.drawText(
            room, _LEFT, QFontMetrics(font).elidedText(words, Qt.TextElideMode.ElideRight, int(room.width()))
        )


def _expert_words(part: PartPass, *, with_shares: bool) -> str:
    used = ", ".join(f"{i + 1} ({format_percent(share)})" if with_shares else str(i + 1) for i, share in part.experts)
    return f"expert{'s' if len(part.experts) > 1 else ''} {used}"
