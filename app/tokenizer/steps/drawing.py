"""The contract of a drawing of one word's steps: what a Board scrolls, paints and points at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, QSizeF
from PySide6.QtGui import QPainter

from app.tokenizer.steps.looks import GAP, MARGIN, Looks, alternate


class BandToken(NamedTuple):
    """A token of the band below a drawing: its number in order; the columns that it covers, in pixels; its text; what
    stands below it."""

    number: int
    left: float
    right: float
    text: str
    note: str


class Joint(NamedTuple):
    """What stands above the border of two tokens, at `x` pixels. `is_next`: they are what the next step is about."""

    x: float
    text: str
    is_next: bool


class Drawing(ABC):
    """Places are in pixels of the whole drawing, however much of it is in sight.

    Below it stands a band that is always in sight, scrolled sideways with it: the tokens after a step, in the
    drawing's columns.
    """

    has_joints = False
    """Whether anything ever stands between the band's tokens."""
    band_words = ""
    """What the band shows, in words."""

    def __init__(self, looks: Looks) -> None:
        self.looks = looks

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

    def joints(self, step: int, left: float, right: float) -> list[Joint]:
        """What stands in the band between tokens."""
        return []

    @property
    def band_height(self) -> float:
        """Pixels of the band."""
        looks = self.looks
        joints = looks.small_height + 2 if self.has_joints else 0.0
        return looks.words_height + joints + looks.small_height + looks.pill_height + 20

    def paint_band(self, painter: QPainter, step: int, left: float, right: float) -> None:
        """Paint the part of the band between two places; its upper edge is at 0."""
        looks, seen = self.looks, QRectF(left, 0, right - left, self.band_height)
        looks.sentence(painter, QPointF(left + MARGIN, 6), right - left - 2 * MARGIN, self.band_words)
        top = 6 + looks.words_height + 4
        for joint in self.joints(step, left, right):
            role, ground = ("on_accent", "accent") if joint.is_next else ("muted", "")
            looks.note(painter, QPointF(joint.x, top + looks.small_height / 2), joint.text, role, ground)
        top += looks.small_height + 2 if self.has_joints else 0.0
        for token in self.band(step, left, right):
            rect = QRectF(token.left, top, token.right - token.left - GAP, looks.pill_height)
            place = looks.pill(painter, rect, token.text, fill=alternate(token.number), seen=seen)
            below = QPointF(place.center().x(), rect.bottom() + 3 + looks.small_height / 2)
            looks.note(painter, below, token.note)
