"""The lattice of a Unigram word: each matching piece as an arc with its score, and the best path to each position."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QPainter, QPainterPath

from terrarium.app.tokenizer.steps.drawing import BandToken, Drawing
from terrarium.app.tokenizer.steps.facts import format_score, piece_facts, show_piece
from terrarium.app.tokenizer.steps.style import GAP, MARGIN, PAD, DrawingStyle
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps
from terrarium.models.tokenizers.steps.unigram import UnigramSteps

_MIN_HEIGHT, _MAX_RISE = 26.0, 36.0  # height of an arc over one character, and the maximum for each further one
_DOT, _NEAR = 4.0, 9.0


class LatticeDrawing(Drawing):
    """A column per character; between them the positions, with the score of the best path to each below."""

    def __init__(
        self, style: DrawingStyle, steps: TokenizerSteps, found: UnigramSteps, frequencies: Frequencies | None = None
    ) -> None:
        super().__init__(style)
        self._steps, self._found, self._frequencies = steps, found, frequencies
        texts = [style.width(show_piece(character)) + 2 * PAD for character in set(found.word)]
        lowest = min((found.score_with(i) for i in range(len(found.pieces))), default=0.0)
        self._column = max([style.small_width(f"Σ {format_score(lowest)}") + 4, *texts])
        self._best = frozenset(found.best)
        self._starts = np.array([piece.start for piece in found.pieces], np.int64)
        self._ends = np.array([piece.end for piece in found.pieces], np.int64)
        self._longest = int((self._ends - self._starts).max(initial=1))
        self._below = style.pill_height + style.small_height + 8
        self.fit(0)

    def fit(self, height: float) -> None:
        spare = height - 2 * MARGIN - self.style.small_height - self._below - _MIN_HEIGHT
        self._rise = min(max(spare / max(self._longest - 1, 1), self.style.small_height + 1), _MAX_RISE)
        self._base = MARGIN + self.style.small_height + self._height(self._longest)

    def size(self, step: int) -> QSizeF:
        width = 2 * MARGIN + 16 + len(self._found.word) * self._column
        return QSizeF(width, self._base + self._below + MARGIN)

    def focus(self, step: int) -> QRectF:
        position = min(step, len(self._found.word))
        left = self._x(position) - 3 * self._column
        return QRectF(left, self._base - _MIN_HEIGHT, 4.5 * self._column, _MIN_HEIGHT + self._below + MARGIN)

    def paint(self, painter: QPainter, seen: QRectF, step: int, pointed: int) -> None:
        near = (self._ends * self._column + MARGIN + 60 > seen.left()) & (
            self._starts * self._column + MARGIN - 20 < seen.right()
        )
        visible = [int(i) for i in np.flatnonzero(near)]
        visible.sort(key=lambda i: self._importance(i, step))
        for i in visible:
            self._paint_arc(painter, i, step, i == pointed)
        if pointed >= 0:
            self._paint_arc(painter, pointed, step, True)
        self._paint_positions(painter, seen, step)

    def at(self, point: QPointF, step: int) -> int:
        position = (point.x() - self._x(0)) / self._column
        near = [int(i) for i in np.flatnonzero((self._starts <= position) & (self._ends >= position))]
        for i in near:
            if self.style.note_rect(self._apex(i), self._label(i, step)).contains(point):
                return i
        distances = [(abs(self._y_at(i, point.x()) - point.y()), i) for i in near]
        distance, i = min(distances, default=(math.inf, -1))
        return i if distance <= _NEAR else -1

    def facts(self, what: int) -> str:
        return piece_facts(self._steps, self._found, what, self._frequencies)

    def band_caption(self, step: int) -> str:
        return f"Tokens of the best path{' so far' if step < self._found.n_steps else ''}, with their scores"

    def band(self, step: int, left: float, right: float) -> list[BandToken]:
        tokens = []
        for number, i in enumerate(self._found.best_path_to(min(step, len(self._found.word)))):
            piece = self._found.pieces[i]
            x, end = self._x(piece.start) + GAP / 2, self._x(piece.end) + GAP / 2
            if end > left and x < right:
                tokens.append(BandToken(number, x, end, show_piece(piece.text), format_score(piece.score)))
        return tokens

    def _importance(self, piece: int, step: int) -> int:
        """Return the emphasis of an arc: 0 not reached, 1 discarded, 2 best to its position, 3 candidate, 4 best so
        far.
        """
        found, end = self._found, int(self._ends[piece])
        if step == found.n_steps and step:
            return 4 if piece in self._best else 1
        if end > step:
            return 0
        wins = found.cells[end].piece == piece
        return (4 if wins else 3) if end == step else (2 if wins else 1)

    def _label(self, piece: int, step: int) -> str:
        tried = self._importance(piece, step) >= 3 and step < self._found.n_steps
        found = self._found
        return f"Σ {format_score(found.score_with(piece))}" if tried else format_score(found.pieces[piece].score)

    def _paint_arc(self, painter: QPainter, piece: int, step: int, is_pointed: bool) -> None:
        style, importance = self.style, self._importance(piece, step)
        role, width, text = (
            ("border", 1.0, "hint"),
            ("border", 1.0, "hint"),
            ("accent_line", 1.6, "muted"),
            ("muted", 1.3, "text"),
            ("accent", 2.6, "accent"),
        )[importance]
        if is_pointed:
            role, width, text = "info", 2.6, "info"
        known = self._found.pieces[piece].known
        painter.setPen(style.pen(role, width, Qt.PenStyle.SolidLine if known else Qt.PenStyle.DotLine))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        start, end = self._x(int(self._starts[piece])), self._x(int(self._ends[piece]))
        top = self._base - self._height(int(self._ends[piece] - self._starts[piece])) * 4 / 3
        path = QPainterPath(QPointF(start, self._base))
        path.cubicTo(start, top, end, top, end, self._base)
        painter.drawPath(path)
        style.note(painter, self._apex(piece), self._label(piece, step), text, "surface")

    def _paint_positions(self, painter: QPainter, seen: QRectF, step: int) -> None:
        style, found = self.style, self._found
        first = max(int((seen.left() - MARGIN) / self._column) - 1, 0)
        last = min(int((seen.right() - MARGIN) / self._column) + 1, len(found.word))
        painter.setPen(style.pen("border_strong"))
        painter.drawLine(QPointF(self._x(first), self._base), QPointF(self._x(last), self._base))
        for i in range(first, last + 1):
            x = self._x(i)
            painter.setPen(style.pen("accent" if i <= step else "border_strong", 1.6))
            painter.setBrush(style.colors.color("accent" if i == step else "surface"))
            painter.drawEllipse(QPointF(x, self._base), _DOT, _DOT)
            if i < len(found.word):
                text = QRectF(x, self._base + 4, self._column, style.pill_height)
                painter.setFont(style.font)
                painter.setPen(style.colors.color("text"))
                painter.drawText(text, Qt.AlignmentFlag.AlignCenter, show_piece(found.word[i]))
            if i <= step:
                below = QPointF(x, self._base + 6 + style.pill_height + style.small_height / 2)
                style.note(painter, below, format_score(found.cells[i].score), "accent" if i == step else "muted")

    def _x(self, position: int) -> float:
        return MARGIN + 8 + position * self._column

    def _height(self, length: int) -> float:
        return _MIN_HEIGHT + (length - 1) * self._rise

    def _apex(self, piece: int) -> QPointF:
        start, end = int(self._starts[piece]), int(self._ends[piece])
        return QPointF((self._x(start) + self._x(end)) / 2, self._base - self._height(end - start))

    def _y_at(self, piece: int, x: float) -> float:
        """Return the y of an arc at `x`; the cubic's x is a smoothstep of its parameter, which can be inverted."""
        start, length = int(self._starts[piece]), int(self._ends[piece] - self._starts[piece])
        share = min(max((x - self._x(start)) / (length * self._column), 0.0), 1.0)
        t = 0.5 - math.sin(math.asin(1 - 2 * share) / 3)
        return self._base - 4 * self._height(length) * t * (1 - t)
