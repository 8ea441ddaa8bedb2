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
        """Return the rectangle enlarged by a margin."""
        return Rect(self.left - by, self.top - by, self.width + 2 * by, self.height + 2 * by)

    def overlaps(self, other: Rect) -> bool:
        """Return whether the rectangles share more than an edge."""
        apart = self.right <= other.left or other.right <= self.left
        return not (apart or self.bottom <= other.top or other.bottom <= self.top)

    def holds(self, other: Rect) -> bool:
        """Return whether the other rectangle lies inside this one."""
        inside = self.left <= other.left and other.right <= self.right
        return inside and self.top <= other.top and other.bottom <= self.bottom

    @staticmethod
    def around(rects: list[Rect]) -> Rect:
        """Return the bounding box of rectangles."""
        left, top = min(r.left for r in rects), min(r.top for r in rects)
        return Rect(left, top, max(r.right for r in rects) - left, max(r.bottom for r in rects) - top)


@dataclass(frozen=True, kw_only=True)
class Node:
    """A part's box. `look`: 'box' (two lines), 'tag' (title and detail in one line), 'plain' (title only), 'chip'
    (input or output), 'words' (title without a frame), 'attention', 'activation', 'sum', 'times', 'area', or 'scale'
    (the sample square of the legend, without a part)."""

    key: str
    rect: Rect
    look: str = "box"
    shared: bool = False
    """Whether one instance is shared by all layers; then its border is dashed."""
    lit: float = 1.0
    """For an area: the fraction of its parameters that is active per token."""


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A line; the part `key` explains what it carries.

    `look`: 'thin', 'spine', 'memory', 'link' (dashed), 'fan' (to a used expert) or 'faint' (to another).
    """

    key: str
    points: tuple[Point, ...]
    look: str = "thin"
    arrow: bool = True


@dataclass(frozen=True, kw_only=True)
class Label:
    """Text beside a line. `align`: the part of the text at `at.x`, 'left', 'right' or 'centre'; at.y is its middle."""

    text: str
    at: Point
    align: str = "left"
    key: str = ""
    look: str = "caption"


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """The panel of a block, with the edges of up to two more panels behind it if there are several copies."""

    rect: Rect
    copies: int = 1
    dashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Dot:
    """The point where a branch leaves the spine (look 'tap'), or an expert: 'used' (filled) or 'idle'."""

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
    """All drawn elements, and the rectangle around them."""

    nodes: list[Node] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    labels: list[Label] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)
    dots: list[Dot] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    frame: Rect = field(default_factory=lambda: Rect(0, 0, 1, 1))

    def node(self, key: str) -> Node:
        """Return the box of part `key`."""
        return next(node for node in self.nodes if node.key == key)
