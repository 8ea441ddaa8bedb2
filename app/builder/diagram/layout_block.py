"""The layout of a block: branches that leave the spine and return to it above. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.geometry import Rect
from terrarium.app.builder.diagram.part import StackSpec, format_shape
from terrarium.app.builder.diagram.sketch import ATTENTION, LOW, RADIUS, TALL, Sketch
from terrarium.models.settings.positions import scheme_of

_BUS = 9.0  # between boxes and the line below that feeds them
_RISE = 12.0  # between boxes and the box above that they feed
_BETWEEN = 6.0  # between boxes side by side
_BLOCK = 80.0  # the height of a custom block: a line into it, room for its positions, and a line out of it
_BESIDE_MASK = 68.0  # in the attention box: the mask icon and margins
_IN_A_ROW, _MAX_ROWS = 16, 4  # of the experts' marks


class BlockLayout:
    """Lays out one stack's block with `sketch`; all its branches share two columns.

    The inner column holds the parts next to the spine (norm, convolution, output matrix), the outer one the main parts.
    `roomy`: the lines between the columns are long enough for shapes above them.
    """

    def __init__(self, sketch: Sketch, stack: StackSpec, *, roomy: bool) -> None:
        self.sketch, self.stack, self.config = sketch, stack, stack.config
        self._is_pre = self.config.norm_place == "pre"
        self._roomy = roomy
        self._inner = 34.0 if roomy else 22.0  # where the inner column begins
        lanes = [self._lane(sublayer) for sublayer in ("attention", "cross_attention", "feed_forward")]
        back = [self._width(key) for key in ("attention.output", "feed_forward.down")]
        self._bias_look = "tag" if roomy else "plain"
        self._scheme = scheme_of(self.config)
        has_bias = self._has("score_bias")
        bias = self._width("score_bias", self._bias_look) if has_bias else 0.0
        self._inner_width = max(*(sum(width + _BETWEEN * 2 for _, width in lane) - 12 for lane in lanes), *back, bias)
        written = max(
            sketch.measure(text, "caption") for text in (stack.stream, self._heads_shape(), self._inner_shape())
        )
        self._gap = written + 22 if roomy else 20.0
        sublayers = ("attention", "cross_attention")
        self._qkv = max(self._width(f"{name}.{key}") for name in sublayers for key in ("query", "key", "value"))
        needed = [3 * self._qkv + 2 * _BETWEEN, 172.0 if roomy else 158.0]
        needed += [_BESIDE_MASK + sketch.measure(p.detail, "detail") for p in sketch.parts.values() if p.mask]
        needed += [self._width(name) for name in ("attention", "feed_forward")]  # custom blocks
        if self.config.is_gated:
            needed.append(2 * max(self._width("feed_forward.up"), self._width("feed_forward.gate")) + _BETWEEN)
        self._outer_width = max(needed)
        self._qkv = (self._outer_width - 2 * _BETWEEN) / 3
        self._outer = self._inner + self._inner_width + self._gap

    @property
    def reach(self) -> float:
        """The distance from the spine to the outer edge of the block."""
        return self._outer + self._outer_width

    def draw(self, bottom: float) -> float:
        """Lay out the branches upwards from `bottom`. Return the upper edge."""
        key = self.stack.prefix + "stream"
        start = bottom
        y = self._attention("attention", bottom)
        for sublayer in (("cross_attention",) if self.stack.source else ()) + ("feed_forward",):
            if self._is_pre:
                self.sketch.label(self.stack.stream, 12, y - 10, key)
            y -= 18 if self._is_pre else 7
            y = self._feed_forward(y) if sublayer == "feed_forward" else self._attention(sublayer, y)
        self.sketch.climb(key, start, y)
        return y

    # -- attention -----------------------------------------------------------------------------------------------------

    def _attention(self, sublayer: str, bottom: float) -> float:
        if self._has(sublayer):
            return self._custom(sublayer, bottom)
        sketch, is_cross = self.sketch, sublayer == "cross_attention"
        bus = bottom - LOW / 2
        boxes = self._heads_row(sublayer, bus, is_cross)
        turned = self._turned(sublayer, boxes)
        top = min([*turned[:2], boxes[0].top]) - _RISE
        middle = top - ATTENTION / 2
        bias = self._key("score_bias") if self._has("score_bias") and not is_cross else ""
        extra = 16.0 if bias else 0.0
        core = self._key(f"{sublayer}.core")
        box = sketch.box(core, self._outer - extra, middle, self._outer_width + extra, ATTENTION, "attention")
        for name, place, start in zip(("query", "key", "value"), boxes, turned, strict=True):
            across = abs(place.x - sketch.spine)
            sketch.wire(self._key(f"{sublayer}.{name}"), (across, start), (across, box.bottom))
        if bias:
            look, is_shared = self._bias_look, self._scheme.learned is not None
            tag = sketch.box(bias, self._inner, bus - 32, self._width("score_bias", look), LOW, look, shared=is_shared)
            end = self._outer - extra / 2
            sketch.wire(bias, (self._inner + tag.width, tag.y), (end, tag.y), (end, box.bottom))
        if not is_cross:
            sketch.steps(self.stack.heads_slot, core, box.right - 7, box.top + 14)
        self._return(sublayer, f"{sublayer}.output", core, self._outer - extra, middle, self._heads_shape())
        return self._after(sublayer, middle, box.top)

    def _heads_row(self, sublayer: str, bus: float, is_cross: bool) -> list[Rect]:
        """Lay out Q, K and V above the line that feeds them. Return their boxes."""
        sketch, middle = self.sketch, bus - _BUS - TALL / 2
        places = [self._outer + i * (self._qkv + _BETWEEN) for i in range(3)]
        names = [self._key(f"{sublayer}.{name}") for name in ("query", "key", "value")]
        boxes = [sketch.box(k, at, middle, self._qkv, TALL) for k, at in zip(names, places, strict=True)]
        entry = self._enter(sublayer, bus)
        centres = [at + self._qkv / 2 for at in places]
        fed = boxes[0].bottom
        own = centres[:1] if is_cross else centres
        for at in own:
            sketch.wire(entry[1], (entry[0], bus), (at, bus), (at, fed))
        if is_cross:
            for at in centres[1:]:
                sketch.wire("memory", (self.reach + 27, bus), (at, bus), (at, fed), look="memory")
        return boxes

    def _turned(self, sublayer: str, boxes: list[Rect]) -> list[float]:
        """Lay out QK-norm and RoPE across the Q and K columns. Return the y from which each column's line continues."""
        y, width = boxes[0].top, 2 * self._qkv + _BETWEEN
        for name in ("qk_norm", *([self.config.position] if self._scheme.applied_to == "queries" else [])):
            if not self._has(f"{sublayer}.{name}"):
                continue
            key = self._key(f"{sublayer}.{name}")
            box = self.sketch.box(key, self._outer, y - _RISE - LOW / 2 + 2, width, LOW, "tag")
            for place, feeder in zip(boxes, ("query", "key"), strict=False):
                across = abs(place.x - self.sketch.spine)
                self.sketch.wire(self._key(f"{sublayer}.{feeder}"), (across, y), (across, box.bottom))
            y = box.top
        return [y, y, boxes[0].top]

    # -- feed-forward --------------------------------------------------------------------------------------------------

    def _feed_forward(self, bottom: float) -> float:
        if self._has("feed_forward"):
            return self._custom("feed_forward", bottom)
        if self._has("feed_forward.router"):
            return self._experts(bottom)
        bus = bottom - (LOW if self.config.is_gated else TALL) / 2
        middle, top = self._network(bus, self._enter("feed_forward", bus), is_aside=True)
        return self._after("feed_forward", middle, top)

    def _network(self, bus: float, entry: tuple[float, str], *, is_aside: bool) -> tuple[float, float]:
        """Lay out up, gate, activation and down, fed by a line at y = `bus`. Return the y of the line back and the top.

        `is_aside`: the line comes from the spine horizontally, so the matrix of an ungated network is placed on it.
        """
        sketch, gated = self.sketch, self.config.is_gated
        up, gate, act = (self._key(f"feed_forward.{k}") for k in ("up", "gate", "activation"))
        width = (self._outer_width - _BETWEEN) / 2 if gated else self._outer_width
        places = [self._outer, self._outer + width + _BETWEEN] if gated else [self._outer]
        is_straight = is_aside and not gated
        row = bus if is_straight else bus - _BUS - TALL / 2
        middle = row - TALL / 2 - _RISE - TALL / 2
        for key, at in zip((up, gate), places, strict=False):
            box = sketch.box(key, at, row, width, TALL)
            centre = at + width / 2
            if is_straight:
                sketch.wire(entry[1], (entry[0], bus), (at, bus))
            else:
                sketch.wire(entry[1], (entry[0], bus), (centre, bus), (centre, box.bottom))
        box = sketch.box(act, places[-1], middle, width, TALL, "activation")
        top = box.top
        feeder = gate if gated else up
        sketch.wire(feeder, (places[-1] + width / 2, row - TALL / 2), (places[-1] + width / 2, box.bottom))
        last, end = act, places[-1]
        if gated:
            times, centre = self._key("feed_forward.times"), places[0] + width / 2
            sketch.sum(times, middle, centre, "times")
            sketch.wire(up, (centre, row - TALL / 2), (centre, middle + RADIUS))
            sketch.wire(act, (places[1], middle), (centre + RADIUS, middle))
            last, end = times, centre - RADIUS
        if self._has("feed_forward.norm"):
            norm, centre = self._key("feed_forward.norm"), places[-1] + width / 2
            middle = top - _RISE - LOW / 2
            tag = sketch.box(norm, places[-1], middle, width, LOW, "tag")
            sketch.wire(last, (centre, top), (centre, tag.bottom))
            last, end, top = norm, places[-1], middle - TALL / 2
        self._return("feed_forward", "feed_forward.down", last, end, middle, self._inner_shape())
        return middle, top

    def _experts(self, bottom: float) -> float:
        """Lay out the router, which fans out to all experts; those in use are marked, and one is drawn in full."""
        sketch, config = self.sketch, self.config
        row = bottom - TALL / 2
        router, experts = self._key("feed_forward.router"), self._key("feed_forward.experts")
        width = self._width("feed_forward.router")
        centre = self._outer + self._outer_width / 2
        entry = self._enter("feed_forward", row)
        sketch.wire(entry[1], (entry[0], row), (centre - width / 2, row))
        sketch.box(router, centre - width / 2, row, width, TALL)
        sheet_bottom = self._fan(router, experts, centre, row - TALL / 2)
        bus = sheet_bottom - 12
        middle, top = self._network(bus, (centre, self._key("stream")), is_aside=False)
        sketch.wire(self._key("stream"), (centre, sheet_bottom), (centre, bus), arrow=False)
        sketch.sheet(self._inner - 7, self.reach + 7, top - 9, sheet_bottom, config.n_expert, dashed=True)
        text = f"{config.n_expert_used} of {config.n_expert} experts"
        at = self._inner + 3
        sketch.label(text, at, sheet_bottom - 12, experts, "caption")
        if sketch.measure(text, "caption") < self._inner_width + self._gap - 52:
            sketch.steps("n_expert", experts, self._after_label(at, text), sheet_bottom - 12)
        return self._after("feed_forward", middle, top - 9 - 4)

    def _fan(self, router: str, experts: str, centre: float, bottom: float) -> float:
        """Lay out a mark per expert above the router. Return the lower edge of the expert panel above."""
        sketch, n, used = self.sketch, self.config.n_expert, self.config.n_expert_used
        across, rows = min(n, _IN_A_ROW), min(-(-n // _IN_A_ROW), _MAX_ROWS)
        shown = min(n, across * rows)
        pitch = min(26.0, (self._outer_width - 20) / across)
        size = min(10.0, pitch - 2)
        low = bottom - 24
        lit = {round((i + 0.5) * shown / used - 0.5) for i in range(min(used, shown))}
        for i in range(shown):
            place = centre + (i % across - (across - 1) / 2) * pitch
            y = low - i // across * (size + 2)
            look = "used" if i in lit else "idle"
            sketch.dot(experts, place, y, look, size)
            if i < across and (rows == 1 or i in (0, across - 1)):
                end = (place, y + size / 2)
                line = "fan" if look == "used" and rows == 1 else "faint"
                sketch.wire(router, (centre, bottom), end, look=line, arrow=False)
        top = low - (rows - 1) * (size + 2) - size / 2
        if n > shown:
            sketch.label("…", centre + across / 2 * pitch + 2, low, experts)
        for i in lit if rows == 1 else ():
            place = centre + (i - (across - 1) / 2) * pitch
            sketch.wire(experts, (place, top), (place, top - 9), look="fan", arrow=False)
        if rows > 1:
            sketch.wire(experts, (centre, top), (centre, top - 9), look="fan", arrow=False)
        return top - 9

    def _after_label(self, across: float, text: str) -> float:
        """Return the right edge of ± buttons that follow a label."""
        room = self.sketch.measure(text, "caption") + 8
        return max(self.sketch.x(across + room), self.sketch.x(across + room + 40))

    # -- custom blocks ------------------------------------------------------------------------------------------------

    def _custom(self, sublayer: str, bottom: float) -> float:
        """Lay out a custom block as one box, and beside it the positions that it is given."""
        sketch, key = self.sketch, self._key(sublayer)
        box = sketch.box(key, self._outer, bottom - _BLOCK / 2, self._outer_width, _BLOCK)
        into, out = bottom - LOW / 2, box.top + LOW / 2
        entry = self._enter(sublayer, into)
        sketch.wire(entry[1], (entry[0], into), (self._outer, into))
        position = f"{sublayer}.{self.config.position}" if self._scheme.applied_to == "queries" else "score_bias"
        if sublayer == "attention" and self._has(position):
            tag = sketch.box(self._key(position), self._inner, box.y, self._width(position, "plain"), LOW, "plain")
            sketch.wire(self._key(position), (self._inner + tag.width, tag.y), (self._outer, tag.y))
        sketch.wire(key, (self._outer, out), (RADIUS, out))
        sketch.sum(self._key(f"{sublayer}.sum"), out)
        return self._after(sublayer, out, box.top)

    # -- shared by all branches ----------------------------------------------------------------------------------------

    def _lane(self, sublayer: str) -> list[tuple[str, float]]:
        """Return the parts of the inner column and their widths: the norm if pre-norm, the convolution."""
        keys = [f"{sublayer}_norm"] if self._is_pre else []
        keys.append(f"{sublayer}_conv")
        return [(key, self._width(key, "plain")) for key in keys if self._has(key)]

    def _enter(self, sublayer: str, y: float) -> tuple[float, str]:
        """Branch off the spine at `y`. Return how far the line reaches, and the part whose output it carries."""
        sketch, at, last = self.sketch, 0.0, self._key("stream")
        sketch.tap(y)
        place = self._inner
        for key, width in self._lane(sublayer):
            sketch.wire(last, (at, y), (place, y))
            sketch.box(self._key(key), place, y, width, LOW, "plain")
            at, last = place + width, self._key(key)
            place = at + 2 * _BETWEEN
        if self._roomy:
            middle = (self._inner + self._inner_width + self._outer) / 2
            sketch.label_over(self.stack.stream, middle, y - 1, last)
        return at, last

    def _return(self, sublayer: str, back: str, last: str, end: float, y: float, shape: str) -> None:
        """Draw the line from the outer column, at `end`, through the part `back` to the spine."""
        sketch, width = self.sketch, self._width(back)
        sketch.box(self._key(back), self._inner, y, width, TALL)
        sketch.wire(last, (end, y), (self._inner + width, y))
        sketch.wire(self._key(back), (self._inner, y), (RADIUS, y))
        sketch.sum(self._key(f"{sublayer}.sum"), y)
        if self._roomy:
            sketch.label_over(shape, (self._inner + width + self._outer) / 2, y - 1, last)

    def _after(self, sublayer: str, middle: float, top: float) -> float:
        """Lay out the norm after the sum unless pre-norm. Return the branch's upper edge."""
        if self._is_pre:
            return top
        key, sketch = self._key(f"{sublayer}_norm"), self.sketch
        upper = sketch.on_spine(key, middle - TALL / 2 - 6, "plain")
        width = self._width(f"{sublayer}_norm", "plain")
        sketch.label(self.stack.stream, width - sketch.outside(width) + 8, upper + LOW / 2, key)
        return min(top, upper)

    def _key(self, name: str) -> str:
        return self.stack.prefix + name

    def _has(self, name: str) -> bool:
        return self._key(name) in self.sketch.parts

    def _width(self, name: str, look: str = "box") -> float:
        return self.sketch.width_of(self._key(name), look)

    def _heads_shape(self) -> str:
        return format_shape(self.stack.batch, self.config.n_head, self.stack.length, self.config.head_dim)

    def _inner_shape(self) -> str:
        return format_shape(self.stack.batch, self.stack.length, self.config.ff_width)
