"""The layout of the diagram as plain data, in pixels of an unscaled picture; y grows downwards. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

Measure = Callable[[str, str], float]
"""(text, "title" | "detail" | "caption" | "badge") -> its width in pixels."""


class Point(NamedTuple):
    """A point in the picture."""

    x: float
    y: float


class Rect(NamedTuple):
    """A rectangle in the picture."""

    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def x(self) -> float:
        """The middle."""
        return self.left + self.width / 2

    @property
    def y(self) -> float:
        """The middle."""
        return self.top + self.height / 2

    def grown(self, by: float) -> Rect:
        """The rectangle enlarged by a margin."""
        return Rect(self.left - by, self.top - by, self.width + 2 * by, self.height + 2 * by)

    def overlaps(self, other: Rect) -> bool:
        """Whether the rectangles share more than an edge."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)

    def holds(self, other: Rect) -> bool:
        """Whether the other rectangle lies inside."""
        inside = self.left <= other.left and other.right <= self.right
        return inside and self.top <= other.top and other.bottom <= self.bottom

    @staticmethod
    def around(rects: list[Rect]) -> Rect:
        """The bounding box."""
        left, top = min(r.left for r in rects), min(r.top for r in rects)
        return Rect(left, top, max(r.right for r in rects) - left, max(r.bottom for r in rects) - top)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A part's box. `look`: 'box' (two lines), 'tag' (one line), 'chip' (goes in or comes out), 'attention',
    'activation', 'sum', 'times' or 'area'."""

    key: str
    rect: Rect
    look: str = "box"
    shared: bool = False
    """Drawn dashed: one instance is shared by all layers."""
    lit: float = 1.0
    """Of an area: the fraction that is active per token."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A line that carries what the part `key` explains.

    `look`: 'thin', 'spine', 'memory', 'link' (dashed), 'fan' (to a used expert) or 'faint' (to another).
    """

    key: str
    points: tuple[Point, ...]
    look: str = "thin"
    arrow: bool = True


@dataclass(frozen=True, kw_only=True)
class Label:
    """Text beside a line; `align` is the side of the text at `at`: 'left', 'right' or 'centre'. y is the middle."""

    text: str
    at: Point
    align: str = "left"
    key: str = ""
    look: str = "caption"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The panel of one block, with the edges of further ones behind it where there are more."""

    rect: Rect
    copies: int = 1
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Dot:
    """The point where a branch leaves the spine, or one of many experts, filled if it is used."""

    at: Point
    look: str = "tap"
    key: str = ""
    size: float = 8.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """A round button that steps a setting down or up."""

    slot: str
    direction: int
    at: Point
    key: str


@dataclass
class Picture:
    """Everything that is drawn, and the rectangle around it."""

    nodes: list[Node] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    frame: Rect = field(default_factory=lambda: Rect(0, 0, 1, 1))

    def node(self, key: str) -> Node:
        """The box of part `key`."""
        return next(node for node in self.nodes if node.key == key)
