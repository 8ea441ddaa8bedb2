"""Places boxes and lines along a spine; `across` is the distance from it, to the right or, if mirrored, to the left."""

from __future__ import annotations

from terrarium.app.builder.diagram.geometry import Dot, Label, Measure, Node, Picture, Point, Rect, Sheet, Step, Wire
from terrarium.app.builder.diagram.part import Part

TALL, LOW, ATTENTION = 34.0, 24.0, 50.0  # heights of a two-line box, a one-line box, the attention box
PAD, RADIUS, STEP = 10.0, 9.0, 9.0  # padding beside text; radii of a sum and a ± button


class Sketch:
    """Adds elements to `picture` along a spine at x = `spine`. `overhang`: how far boxes on the spine may extend to the
    side without branches; None centres them."""

    def __init__(
        self,
        picture: Picture,
        parts: dict[str, Part],
        measure: Measure,
        spine: float,
        *,
        mirrored: bool = False,
        overhang: float | None = None,
    ) -> None:
        self.picture, self.parts, self.measure = picture, parts, measure
        self.spine, self._sign, self._overhang = spine, -1 if mirrored else 1, overhang

    def x(self, across: float) -> float:
        """Return the x coordinate at a distance from the spine."""
        return self.spine + self._sign * across

    def width_of(self, key: str, look: str = "box") -> float:
        """Return the width of the box of part `key`; 0 if the design has no such part."""
        if key not in self.parts:
            return 0.0
        part = self.parts[key]
        title, detail = self.measure(part.title, "title"), self.measure(part.detail, "detail")
        if look == "tag":
            return round(title + (8 + detail if part.detail else 0) + 2 * PAD)
        return round((title if look == "plain" else max(title, detail)) + 2 * PAD)

    def box(
        self, key: str, across: float, y: float, width: float, height: float, look: str = "box", *, shared: bool = False
    ) -> Rect:
        """Add a box that begins `across` from the spine, with its middle at `y`."""
        left = self.x(across) if self._sign > 0 else self.x(across + width)
        rect = Rect(left, y - height / 2, width, height)
        self.picture.nodes.append(Node(key=key, rect=rect, look=look, shared=shared))
        return rect

    def on_spine(self, key: str, bottom: float, look: str = "tag", width: float = 0.0) -> float:
        """Add a box on the spine with its lower edge at `bottom`. Return its upper edge."""
        width = width or self.width_of(key, look)
        return self.box(key, -self.outside(width), bottom - LOW / 2, width, LOW, look).top

    def outside(self, width: float) -> float:
        """Return how far a box of this width on the spine extends to the side without branches."""
        return width / 2 if self._overhang is None else min(width / 2, self._overhang)

    def sum(self, key: str, y: float, across: float = 0.0, look: str = "sum") -> None:
        """Add ⊕ on the spine, or ⊗ (look 'times') beside it."""
        x = self.x(across)
        rect = Rect(x - RADIUS, y - RADIUS, 2 * RADIUS, 2 * RADIUS)
        self.picture.nodes.append(Node(key=key, rect=rect, look=look))

    def wire(self, key: str, *points: tuple[float, float], look: str = "thin", arrow: bool = True) -> None:
        """Add a line through (across, y) points that carries the output of part `key`."""
        places = tuple(Point(self.x(across), y) for across, y in points)
        self.picture.wires.append(Wire(key=key, points=places, look=look, arrow=arrow))

    def climb(self, key: str, bottom: float, top: float, *, arrow: bool = False) -> None:
        """Add a segment of the spine, unless it is empty."""
        if bottom - top > 0.5:
            self.wire(key, (0, bottom), (0, top), look="spine", arrow=arrow)

    def tap(self, y: float) -> None:
        """Add the point where a branch leaves the spine."""
        self.picture.dots.append(Dot(at=Point(self.spine, y)))

    def dot(self, key: str, across: float, y: float, look: str, size: float) -> None:
        """Add the mark of an expert."""
        self.picture.dots.append(Dot(at=Point(self.x(across), y), look=look, key=key, size=size))

    def label(self, text: str, across: float, y: float, key: str = "", look: str = "caption") -> None:
        """Add text that starts `across` from the spine and runs away from it."""
        at, align = Point(self.x(across), y), "left" if self._sign > 0 else "right"
        self.picture.labels.append(Label(text=text, at=at, align=align, key=key, look=look))

    def label_over(self, text: str, across: float, bottom: float, key: str = "") -> None:
        """Add text centred at `across`, with its lower edge at `bottom`."""
        self.picture.labels.append(Label(text=text, at=Point(self.x(across), bottom - 7), align="centre", key=key))

    def sheet(self, low: float, high: float, top: float, bottom: float, copies: int, *, dashed: bool = False) -> Rect:
        """Add a panel between two distances from the spine."""
        left = min(self.x(low), self.x(high))
        rect = Rect(left, top, high - low, bottom - top)
        self.picture.sheets.append(Sheet(rect=rect, copies=copies, dashed=dashed))
        return rect

    @property
    def is_mirrored(self) -> bool:
        """Whether the branches are on the left."""
        return self._sign < 0

    def steps(self, slot: str, key: str, right: float, y: float, *, apart: float = 0.0) -> None:
        """Add − and + buttons, the + with its right edge at x = `right`. `apart`: space between them for a number."""
        for direction, x in ((1, right - STEP), (-1, right - 3 * STEP - 4 - apart)):
            self.picture.steps.append(Step(slot=slot, direction=direction, at=Point(x, y), key=key))
