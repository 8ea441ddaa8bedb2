"""A word that is only looked up, in the vocabulary or among the added tokens."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainter

from terrarium.app.tokenizer.steps.drawing import BandToken, Drawing
from terrarium.app.tokenizer.steps.facts import token_facts
from terrarium.app.tokenizer.steps.style import GAP, MARGIN, PAD, DrawingStyle
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import LookupSteps, TokenizerSteps

_WIDEST = 600.0


class LookupDrawing(Drawing):
    """The word, with its token below."""

    def __init__(
        self, style: DrawingStyle, steps: TokenizerSteps, found: LookupSteps, frequencies: Frequencies | None = None
    ) -> None:
        super().__init__(style)
        self._steps, self._found, self._frequencies = steps, found, frequencies
        self._word = steps.display(found.word)
        width = min(style.width(self._word) + 2 * PAD, _WIDEST)
        self._rect = QRectF(MARGIN, MARGIN, width, style.pill_height)

    def size(self, step: int) -> QSizeF:
        return QSizeF(self._rect.right() + MARGIN, self._rect.bottom() + 40)

    def focus(self, step: int) -> QRectF:
        return QRectF(0, 0, 1, 1)

    def paint(self, painter: QPainter, seen: QRectF, step: int, pointed: int) -> None:
        known = self._found.known
        edge = "accent" if pointed >= 0 else "border_strong"
        self.style.pill(painter, self._rect, self._word, fill="surface", edge=edge, role="text")
        words = "in the vocabulary" if known else "not in the vocabulary"
        self.style.sentence(painter, QPointF(MARGIN, self._rect.bottom() + PAD), _WIDEST, words)

    def at(self, point: QPointF, step: int) -> int:
        return 0 if self._rect.contains(point) else -1

    def facts(self, what: int) -> str:
        return f"{self._word} · {token_facts(self._steps, self._found.id, self._frequencies)}"

    def band_caption(self, step: int) -> str:
        return "Token, with its id"

    def band(self, step: int, left: float, right: float) -> list[BandToken]:
        text = self._steps.show_token(self._found.id)
        width = max(min(self.style.width(text) + 2 * PAD, _WIDEST), 40.0)
        return [BandToken(0, MARGIN, MARGIN + width + GAP, text, f"{self._found.id:,}")]
