"""The interface of drawings of a word's steps, as used by a Board, and the simplest of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainter

from terrarium.app.tokenizer.steps.facts import token_facts
from terrarium.app.tokenizer.steps.style import GAP, MARGIN, PAD, DrawingStyle, alternate
from terrarium.models.tokenizers.steps.frequencies import Frequencies
from terrarium.models.tokenizers.steps.steps import LookupSteps, TokenizerSteps

_WIDEST = 600.0


class BandToken(NamedTuple):
    """A token of the band below a drawing: its index, its left and right edge in pixels, its text, and a note below."""

    number: int
    left: float
    right: float
    text: str
    note: str


class BoundaryNote(NamedTuple):
    """A note above the boundary of two tokens, at `x` pixels. `is_next`: the next step merges these tokens."""

    x: float
    text: str
    is_next: bool


class Drawing(ABC):
    """A drawing of one word's steps. Coordinates are pixels of the whole drawing, independent of the visible part.

    Below it is a band that is always visible and scrolls horizontally with it: the tokens after the step, in the
    columns of the drawing.
    """

    has_boundary_notes = False
    """Whether the band has notes between tokens."""

    def __init__(self, style: DrawingStyle) -> None:
        self.style = style

    @abstractmethod
    def size(self, step: int) -> QSizeF:
        """Return the size at a step, without the band."""

    def fit(self, height: float) -> None:  # noqa: B027  # most drawings have a fixed height
        """Adapt to the available height."""

    @abstractmethod
    def focus(self, step: int) -> QRectF:
        """Return the area that should be visible at a step."""

    @abstractmethod
    def paint(self, painter: QPainter, seen: QRectF, step: int, pointed: int) -> None:
        """Paint the part of a step within `seen`; `pointed`: the item under the pointer, as returned by `at`."""

    @abstractmethod
    def at(self, point: QPointF, step: int) -> int:
        """Return the item at a point, −1 for none."""

    @abstractmethod
    def facts(self, what: int) -> str:
        """Describe an item from `at`."""

    @abstractmethod
    def band(self, step: int, left: float, right: float) -> list[BandToken]:
        """Return the tokens of the band after a step that overlap `left` to `right`."""

    @abstractmethod
    def band_caption(self, step: int) -> str:
        """Describe what the band shows after a step."""

    def boundary_notes(self, step: int, left: float, right: float) -> list[BoundaryNote]:
        """Return the notes between tokens of the band."""
        return []

    @property
    def band_height(self) -> float:
        """The height of the band in pixels."""
        style = self.style
        boundary_notes = style.small_height + 2 if self.has_boundary_notes else 0.0
        return style.text_height + boundary_notes + style.small_height + style.pill_height + 20

    def paint_band(self, painter: QPainter, step: int, left: float, right: float) -> None:
        """Paint the part of the band between `left` and `right`; its top is at 0."""
        style, seen = self.style, QRectF(left, 0, right - left, self.band_height)
        style.sentence(painter, QPointF(left + MARGIN, 6), right - left - 2 * MARGIN, self.band_caption(step))
        top = 6 + style.text_height + 4
        for note in self.boundary_notes(step, left, right):
            role, ground = ("on_accent", "accent") if note.is_next else ("muted", "")
            style.note(painter, QPointF(note.x, top + style.small_height / 2), note.text, role, ground)
        top += style.small_height + 2 if self.has_boundary_notes else 0.0
        for token in self.band(step, left, right):
            rect = QRectF(token.left, top, token.right - token.left - GAP, style.pill_height)
            shown = style.pill(painter, rect, token.text, fill=alternate(token.number), seen=seen)
            below = QPointF(shown.center().x(), rect.bottom() + 3 + style.small_height / 2)
            style.note(painter, below, token.note)


class LookupDrawing(Drawing):
    """A word that is only looked up, in the vocabulary or among the added tokens, with its token below."""

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
