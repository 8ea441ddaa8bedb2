"""The contract of a drawing of one word's steps: what a Board scrolls, paints and points at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainter

from app.tokenizer.steps.style import GAP, MARGIN, DrawingStyle, alternate


class BandToken(NamedTuple):
    """A token of the band below a drawing: its number in order; the columns that it covers, in pixels; its text; what
    stands below it."""

    number: int
    left: float
    right: float
    text: str
    note: str


class BoundaryNote(NamedTuple):
    """What stands above the border of two tokens, at `x` pixels. `is_next`: they are what the next step is about."""

    x: float
    text: str
    is_next: bool


class Drawing(ABC):
    """Places are in pixels of the whole drawing, however much of it is in sight.

    Below it stands a band that is always in sight, scrolled sideways with it: the tokens after a step, in the
    drawing's columns.
    """

    has_boundary_notes = False
    """Whether anything ever stands between the band's tokens."""
    band_caption = ""
    """What the band shows, in words."""

    def __init__(self, style: DrawingStyle) -> None:
        self.style = style

    @abstractmethod
    def size(self, step: int) -> QSizeF:
        """The drawing as far as it has grown at a step, without the band."""

    def fit(self, height: float) -> None:  # noqa: B027  # most drawings are as high as they are
        """Make the best of this height."""

    @abstractmethod
    def focus(self, step: int) -> QRectF:
        """What should be in sight at a step."""

    @abstractmethod
    def paint(self, painter: QPainter, seen: QRectF, step: int, pointed: int) -> None:
        """Paint what of a step lies within `seen`; `pointed`: what the pointer is at, as `at` told."""

    @abstractmethod
    def at(self, point: QPointF, step: int) -> int:
        """What there is at a point, −1 for nothing."""

    @abstractmethod
    def facts(self, what: int) -> str:
        """What is known of what `at` found."""

    @abstractmethod
    def band(self, step: int, left: float, right: float) -> list[BandToken]:
        """The band's tokens after a step that reach into `left` … `right`."""

    def boundary_notes(self, step: int, left: float, right: float) -> list[BoundaryNote]:
        """What stands in the band between tokens."""
        return []

    @property
    def band_height(self) -> float:
        """Pixels of the band."""
        style = self.style
        boundary_notes = style.small_height + 2 if self.has_boundary_notes else 0.0
        return style.text_height + boundary_notes + style.small_height + style.pill_height + 20

    def paint_band(self, painter: QPainter, step: int, left: float, right: float) -> None:
        """Paint the part of the band between two places; its upper edge is at 0."""
        style, seen = self.style, QRectF(left, 0, right - left, self.band_height)
        style.sentence(painter, QPointF(left + MARGIN, 6), right - left - 2 * MARGIN, self.band_caption)
        top = 6 + style.text_height + 4
        for note in self.boundary_notes(step, left, right):
            role, ground = ("on_accent", "accent") if note.is_next else ("muted", "")
            style.note(painter, QPointF(note.x, top + style.small_height / 2), note.text, role, ground)
        top += style.small_height + 2 if self.has_boundary_notes else 0.0
        for token in self.band(step, left, right):
            rect = QRectF(token.left, top, token.right - token.left - GAP, style.pill_height)
            place = style.pill(painter, rect, token.text, fill=alternate(token.number), seen=seen)
            below = QPointF(place.center().x(), rect.bottom() + 3 + style.small_height / 2)
            style.note(painter, below, token.note)
