"""WordPiece's greedy scan as rows, one per try: from long to short until a piece is found, then the rest."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QPointF, QRectF, QSizeF, Qt
from PySide6.QtGui import QPainter

from terrarium.app.tokenizer.steps.drawing import BandToken, Drawing
from terrarium.app.tokenizer.steps.facts import token_facts
from terrarium.app.tokenizer.steps.style import GAP, MARGIN, PAD, DrawingStyle, alternate
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps

_HIT_NOTE, _MISS_NOTE = "id {:,}", "not in the vocabulary"


class ScanDrawing(Drawing):
    """A column per character, a row per try. Rows appear step by step."""

    def __init__(
        self, style: DrawingStyle, steps: TokenizerSteps, found: WordPieceSteps, frequencies: Frequencies | None = None
    ) -> None:
        super().__init__(style)
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self._prefix = style.width(found.prefix)
        widest = max(map(style.width, set(found.word)), default=0.0)
        self._column = max(widest + 8, 16.0)
        self._row = style.pill_height + 4
        self._head = style.pill_height + 8
        # The first row of each scan, and the total number of rows.
        tries = (len(found.word) - (scan.start if scan.id is None else scan.end - 1) for scan in found.scans)
        self._begins = list(itertools.accumulate(tries, initial=0))
        beside = style.small_width(_MISS_NOTE) + 2 * PAD
        self._width = self._x(len(found.word)) + beside + MARGIN

    def size(self, step: int) -> QSizeF:
        return QSizeF(self._width, 2 * MARGIN + self._head + step * self._row)

    def focus(self, step: int) -> QRectF:
        if step == 0 or not self._found.n_steps:
            return QRectF(0, 0, 1, self._head)
        tried = self._found.tried(step)
        y = self._y(step)
        return QRectF(self._x(tried.start) - 60, y - self._row, 120, 3 * self._row)

    def paint(self, painter: QPainter, seen: QRectF, step: int, pointed: int) -> None:
        style, word = self.style, self._found.word
        first = max(int((seen.left() - MARGIN) / self._column) - 1, 0)
        last = min(int((seen.right() - MARGIN) / self._column) + 1, len(word))
        if seen.top() < MARGIN + self._head:
            self._write(painter, MARGIN, first, last, "text")
        start = max(int((seen.top() - MARGIN - self._head) / self._row), 0) + 1
        end = min(int((seen.bottom() - MARGIN - self._head) / self._row) + 1, step)
        for row in range(start, end + 1):
            tried = self._found.tried(row)
            rect, hit = self._rect(tried.start, tried.end, row), tried.id is not None
            edge = "accent" if row in (step, pointed) else "" if hit else "border_strong"
            fill = alternate(self._number(row)) if hit else "surface"
            style.pill(painter, rect, "", fill=fill, edge=edge)
            role = "pill_text" if hit else "muted"
            self._write(painter, rect.top(), max(first, tried.start), min(last, tried.end), role)
            if tried.start:
                self._write_prefix(painter, rect, role)
            note = _HIT_NOTE.format(tried.id) if hit else _MISS_NOTE
            beside = QPointF(rect.right() + PAD + style.small_width(note) / 2, rect.center().y())
            style.note(painter, beside, note, "accent" if hit else "muted")

    def at(self, point: QPointF, step: int) -> int:
        row = int((point.y() - MARGIN - self._head) // self._row) + 1
        if not 1 <= row <= step:
            return -1
        tried = self._found.tried(row)
        return row if self._rect(tried.start, tried.end, row).contains(point) else -1

    def facts(self, what: int) -> str:
        tried = self._found.tried(what)
        if tried.id is None:
            return f"{tried.piece} · not in the vocabulary"
        return f"{tried.piece} · {token_facts(self._steps, tried.id, self._frequencies)}"

    def band_caption(self, step: int) -> str:
        return f"Tokens{' found so far' if step < self._found.n_steps else ''}, with their ids"

    def band(self, step: int, left: float, right: float) -> list[BandToken]:
        found = self._found
        if found.is_unknown and step == found.n_steps:
            (id,) = found.ids
            end = max(self._x(len(found.word)), MARGIN + self.style.width(self._steps.show_token(id)) + 2 * PAD)
            return [BandToken(0, MARGIN, end + GAP, self._steps.show_token(id), f"{id:,}")]
        # Prefixes do not fit into the columns, so tokens are placed one after the other by their text width.
        tokens, x = [], MARGIN
        for number, (scan, ends) in enumerate(zip(found.scans, self._begins[1:], strict=True)):
            if scan.id is None or ends > step:
                break
            text = self._steps.show_token(scan.id)
            wide = max(self.style.width(text) + 2 * PAD, self.style.small_width(f"{scan.id:,}") + 6) + GAP
            if x + wide > left and x < right:
                tokens.append(BandToken(number, x, x + wide, text, f"{scan.id:,}"))
            x += wide
        return tokens

    def _x(self, position: int) -> float:
        # Reserve space for the prefix before the second column, since all later pieces begin with it.
        return MARGIN + position * self._column + (max(self._prefix + 2 - self._column, 0.0) if position else 0.0)

    def _y(self, row: int) -> float:
        return MARGIN + self._head + (row - 1) * self._row

    def _rect(self, start: int, end: int, row: int) -> QRectF:
        before = self._prefix + 2 if start else 0.0
        left = self._x(start) - before
        return QRectF(left, self._y(row), self._x(end) - left, self.style.pill_height)

    def _number(self, row: int) -> int:
        """Return the index of the token found in a row."""
        return self._begins.index(row) - 1

    def _write(self, painter: QPainter, top: float, first: int, last: int, role: str) -> None:
        painter.setFont(self.style.font)
        painter.setPen(self.style.colors.color(role))
        for i in range(first, last):
            rect = QRectF(self._x(i), top, self._x(i + 1) - self._x(i), self.style.pill_height)
            if i == 0:
                rect.setWidth(self._column)
            shown = self.style.drawable(self._steps.display(self._found.word[i]))
            painter.drawText(rect, Qt.AlignmentFlag.AlignCenter, shown)

    def _write_prefix(self, painter: QPainter, rect: QRectF, role: str) -> None:
        before = QRectF(rect.left() + 3, rect.top(), self._prefix + 2, rect.height())
        painter.setFont(self.style.font)
        painter.setPen(self.style.colors.color(role))
        painter.drawText(before, Qt.AlignmentFlag.AlignCenter, self._found.prefix)
