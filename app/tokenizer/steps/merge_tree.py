"""The merges of a BPE word as a tree: its symbols in a row, and the results of the merges below."""

from __future__ import annotations

import itertools

import numpy as np
from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QPainter, QPainterPath

from terrarium.app.tokenizer.steps.drawing import BandToken, BoundaryNote, Drawing
from terrarium.app.tokenizer.steps.facts import node_facts
from terrarium.app.tokenizer.steps.style import GAP, MARGIN, PAD, DrawingStyle, alternate
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps

_BEND = 6.0


class MergeTreeDrawing(Drawing):
    """A column per symbol. The tokens of the step are filled; nodes already merged are outlined."""

    has_boundary_notes = True

    def __init__(
        self, style: DrawingStyle, steps: TokenizerSteps, found: BpeSteps, frequencies: Frequencies | None = None
    ) -> None:
        super().__init__(style)
        self._steps, self._found, self._frequencies = steps, found, frequencies
        # The rank of a merge must fit between its two symbols.
        ranks = [f"{node.rank:,}" for node in found.nodes if node.rank is not None]
        min_width = max(map(style.small_width, ranks), default=0.0) + 4
        widths = [max(style.width(self._text(i)) + 2 * PAD, min_width, 22) + GAP for i in range(found.n_symbols)]
        edges = np.array(list(itertools.accumulate(widths, initial=MARGIN)))
        nodes = found.nodes
        self._left = edges[[node.start for node in nodes]] if nodes else np.zeros(0)
        self._right = edges[[node.end for node in nodes]] if nodes else np.zeros(0)
        levels: list[int] = []
        for node in nodes:
            levels.append(0 if node.left < 0 else 1 + max(levels[node.left], levels[node.right]))
        self._levels = np.array(levels, np.int64)
        self._min_row = self._row = style.pill_height + style.small_height + 15
        self._width = float(edges[-1]) + MARGIN
        self._deepest = list(itertools.accumulate(levels, max))
        self._state: tuple[int, list[int], dict[int, int]] = (-1, [], {})

    def fit(self, height: float) -> None:
        spare = height - 2 * MARGIN - self.style.pill_height
        deepest = self._deepest[-1] if self._deepest else 0
        self._row = min(max(spare / max(deepest, 1), self._min_row), 1.4 * self._min_row)

    def size(self, step: int) -> QSizeF:
        known = self._found.n_symbols + step
        deepest = self._deepest[known - 1] if known else 0
        return QSizeF(self._width, 2 * MARGIN + deepest * self._row + self.style.pill_height)

    def focus(self, step: int) -> QRectF:
        if step == 0 or not self._found.n_steps:
            return QRectF(0, 0, 1, self.style.pill_height + 2 * MARGIN)
        node = self._found.n_symbols + step - 1
        rect = self._rect(node)
        return rect.adjusted(-60, -self._row, 60, MARGIN)

    def paint(self, painter: QPainter, seen: QRectF, step: int, pointed: int) -> None:
        known = self._found.n_symbols + step
        near = (self._right[:known] > seen.left() - 40) & (self._left[:known] < seen.right() + 40)
        numbers = self._tokens(step)[1]
        current = known - 1 if step else -1
        visible = [int(i) for i in np.flatnonzero(near)]
        for i in visible:
            self._paint_branch(painter, i, i == current)
        fresh = self._found.nodes[current] if step else None
        for i in visible:
            rect = self._rect(i)
            marked = i in (current, pointed) or (fresh is not None and i in (fresh.left, fresh.right))
            if i in numbers:
                edge = "accent" if marked else ""
                self.style.pill(painter, rect, self._text(i), fill=alternate(numbers[i]), edge=edge)
            else:
                edge = "accent" if marked else "border_strong"
                self.style.pill(painter, rect, self._text(i), fill="surface", edge=edge, role="muted")

    def at(self, point: QPointF, step: int) -> int:
        known = self._found.n_symbols + step
        level = int((point.y() - MARGIN + self._row - self.style.pill_height) // self._row)
        here = (self._left[:known] <= point.x()) & (self._right[:known] > point.x()) & (self._levels[:known] == level)
        return next((int(i) for i in np.flatnonzero(here) if self._hit(int(i)).contains(point)), -1)

    def facts(self, what: int) -> str:
        return node_facts(self._steps, self._found, what, self._frequencies)

    def band_caption(self, step: int) -> str:
        if step < self._found.n_steps:
            return "Tokens so far, with their ids below; above, the ranks of their pairs: the lowest is merged next"
        return "Tokens, with their ids"

    def band(self, step: int, left: float, right: float) -> list[BandToken]:
        return [
            BandToken(n, float(self._left[i]), float(self._right[i]), self._text(i), f"{self._found.nodes[i].id:,}")
            for n, i in enumerate(self._tokens(step)[0])
            if self._right[i] > left and self._left[i] < right
        ]

    def boundary_notes(self, step: int, left: float, right: float) -> list[BoundaryNote]:
        bpe, nodes = self._steps.bpe, self._found.nodes
        if bpe is None or not self._found.n_steps:
            return []
        upcoming = self._found.merge(step + 1) if step < self._found.n_steps else None
        found = []
        for a, b in itertools.pairwise(self._tokens(step)[0]):
            x = float(self._left[b]) - GAP / 2
            rank = bpe.rank(nodes[a].id, nodes[b].id) if left - 40 < x < right + 40 else None
            if rank is not None:
                is_next = upcoming is not None and (upcoming.left, upcoming.right) == (a, b)
                found.append(BoundaryNote(x, f"{rank:,}", is_next))
        return found

    def _tokens(self, step: int) -> tuple[list[int], dict[int, int]]:
        """Return (the nodes that are tokens after a step, node -> its index)."""
        if self._state[0] != step:
            tokens = self._found.state(step)
            self._state = step, tokens, {node: number for number, node in enumerate(tokens)}
        return self._state[1:]

    def _text(self, node: int) -> str:
        return self._steps.show_node(self._found.nodes[node])

    def _rect(self, node: int) -> QRectF:
        """Return the rectangle of a node's pill: as wide as its text, centred in its columns."""
        left, right = float(self._left[node]), float(self._right[node]) - GAP
        top = MARGIN + int(self._levels[node]) * self._row
        if self._found.nodes[node].left >= 0:
            width = min(self.style.width(self._text(node)) + 2 * PAD, right - left)
            left, right = (left + right - width) / 2, (left + right + width) / 2
        return QRectF(left, top, right - left, self.style.pill_height)

    def _chip(self, rect: QRectF) -> QPointF:
        return QPointF(rect.center().x(), rect.top() - 6 - self.style.small_height / 2)

    def _hit(self, node: int) -> QRectF:
        rect, found = self._rect(node), self._found.nodes[node]
        if found.rank is None:
            return rect
        return rect.united(self.style.note_rect(self._chip(rect), f"{found.rank:,}"))

    def _paint_branch(self, painter: QPainter, node: int, is_current: bool) -> None:
        """Paint the lines from two nodes to their merge, and its rank at the junction."""
        found = self._found.nodes[node]
        if found.rank is None:
            return
        rect = self._rect(node)
        chip = self._chip(rect)
        path = QPainterPath()
        for side, bend in ((found.left, _BEND), (found.right, -_BEND)):
            start = self._rect(side)
            x = start.center().x()
            path.moveTo(x, start.bottom())
            path.lineTo(x, chip.y() - _BEND)
            path.quadTo(x, chip.y(), x + bend, chip.y())
            path.lineTo(chip)
        path.moveTo(chip)
        path.lineTo(chip.x(), rect.top())
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(self.style.pen("accent", 2) if is_current else self.style.pen("border_strong", 1.3))
        painter.drawPath(path)
        role, ground = ("on_accent", "accent") if is_current else ("muted", "sunken")
        self.style.note(painter, chip, f"{found.rank:,}", role, ground)
