"""The layouts of the diagram: blocks, from token ids at the bottom to the output at the top, or areas. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.geometry import Label, Measure, Node, Picture, Point, Rect, Wire
from terrarium.app.builder.diagram.layout_block import BlockLayout
from terrarium.app.builder.diagram.part import Part, StackSpec, stacks_of
from terrarium.app.builder.diagram.sketch import LOW, RADIUS, STEP, Sketch
from terrarium.models.settings.model_config import ModelConfig

_HEAD, _GAP, _ROW = 24.0, 10.0, 31.0  # heights of a sheet's heading, the gap between boxes, an added input
_OVERHANG = 18.0  # of boxes on the spine to the side without branches, with two stacks
_CHANNEL = 36.0  # between encoder and decoder, for the encoder output
_BELOW = ("embedding", "ngrams", "segment")
_ABOVE = ("pooler", "head.transform", "head")
_ONCE_BELOW = ("position", "embedding_norm", "score_bias", "attention.none")
_GROUPS = {
    "attention": ("Attention", "Att."),
    "cross_attention": ("Cross-attention", "Cross", "Cr."),
    "feed_forward": ("Feed-forward", "FF"),
}
"""Key prefix of a column's parts -> its headings, the longest first."""
_HEADING, _LEGEND, _SAMPLE = 16.0, 34.0, 400.0
_SHARED_BY_EXPERTS = ("feed_forward.up", "feed_forward.gate", "feed_forward.norm", "feed_forward.down")


def layout_blocks(config: ModelConfig, parts: dict[str, Part], batch: int, length: int, measure: Measure) -> Picture:
    """Lay out a design, with one block of each stack in full."""
    picture, stacks = Picture(), stacks_of(config, batch, length)
    if len(stacks) == 1:
        _single(picture, parts, stacks[0], measure)
    else:
        _pair(picture, parts, stacks, measure)
    rects = [node.rect for node in picture.nodes] + [
        sheet.rect.grown(8 if sheet.copies > 1 else 0) for sheet in picture.sheets
    ]
    rects += [_label_rect(label, measure) for label in picture.labels]
    rects += [Rect(point.x, point.y, 0, 0) for wire in picture.wires for point in wire.points]
    picture.frame = Rect.around(rects).grown(10)
    return picture


def _single(picture: Picture, parts: dict[str, Part], stack: StackSpec, measure: Measure) -> None:
    sketch = Sketch(picture, parts, measure, 0.0)
    top = _ids(sketch, stack, 0.0)
    top = _draw_embedding(sketch, top - _GAP, 2 * LOW + sketch.width_of("embedding", "tag") / 1.6)
    top = _Stack(sketch, stack, roomy=True).draw(top)
    _head(sketch, stack, top)


def _pair(picture: Picture, parts: dict[str, Part], stacks: tuple[StackSpec, ...], measure: Measure) -> None:
    sketch = Sketch(picture, parts, measure, 0.0, overhang=_OVERHANG)
    encoder = _Stack(sketch, stacks[0], roomy=False)
    spine = encoder.right + _CHANNEL + _Stack(sketch, stacks[1], roomy=False).right
    sketch = Sketch(picture, parts, measure, spine, mirrored=True, overhang=_OVERHANG)
    decoder = _Stack(sketch, stacks[1], roomy=False)
    top = min(_ids(stack.sketch, stack.spec, 0.0) for stack in (encoder, decoder))
    margin = encoder.margin
    rect = Rect(-margin, top - _GAP - LOW, spine + 2 * margin, LOW)
    picture.nodes.append(Node(key="embedding", rect=rect, look="tag"))
    for stack in (encoder, decoder):
        stack.sketch.climb(stack.spec.prefix + "ids", top, rect.bottom)
    read = encoder.draw(rect.top)
    _head(decoder.sketch, decoder.spec, decoder.draw(rect.top))
    _memory(picture, encoder, decoder, read)


def _memory(picture: Picture, encoder: _Stack, decoder: _Stack, top: float) -> None:
    """Route the encoder output over the top of the encoder and down between the stacks to cross-attention."""
    channel = encoder.right + _CHANNEL / 2
    target = max(wire.points[0].y for wire in picture.wires if wire.key == "memory")
    y = top - 16
    encoder.sketch.climb("encoder.stream", top, y)
    points = (Point(0, y), Point(channel, y), Point(channel, target))
    picture.wires.append(Wire(key="memory", points=points, look="memory", arrow=False))
    for i, wire in enumerate(picture.wires):
        if wire.key == "memory" and wire.arrow:
            picture.wires[i] = Wire(key="memory", points=(Point(channel, target), *wire.points[1:]), look="memory")
    text = f"encoder output {decoder.spec.memory}"
    picture.labels.append(Label(text=text, at=Point(14, y - 9), key="memory"))


class _Stack:
    """The layout of one stack along its spine: position embeddings, the block with its heading, the final norm."""

    def __init__(self, sketch: Sketch, spec: StackSpec, *, roomy: bool) -> None:
        self.sketch, self.spec, self._roomy = sketch, spec, roomy
        self.block = BlockLayout(sketch, spec, roomy=roomy)
        norm = sketch.width_of(spec.prefix + "attention_norm", "plain")
        self.margin = 22.0 if spec.config.norm_place == "pre" else sketch.outside(norm) + 8

    @property
    def right(self) -> float:
        """The distance from the spine to the sheet's edge on the side with branches."""
        return self.block.reach + (20 if self.spec.config.n_expert else 12)

    def draw(self, bottom: float) -> float:
        """Lay out upwards from the embedding's upper edge. Return the upper edge of the last box."""
        sketch, prefix = self.sketch, self.spec.prefix
        stream = prefix + "stream"
        y = bottom
        for key in ("ngrams", "segment", prefix + "position"):
            if key in sketch.parts:
                y -= _ROW
                at = y + 12
                width = sketch.width_of(key, "tag")
                sketch.box(key, 34, at, width, LOW, "tag")
                sketch.wire(key, (34, at), (RADIUS, at))
                sketch.sum(key, at)
        if prefix + "embedding_norm" in sketch.parts:
            y = sketch.on_spine(prefix + "embedding_norm", y - 6, "tag")
        y -= 24
        at = y + 12
        sketch.label(self.spec.stream, 12, at, stream)
        if not sketch.is_mirrored:
            self._width_steps(12 + sketch.measure(self.spec.stream, "caption") + 16, at)
        sheet_bottom = y
        top = self.block.draw(sheet_bottom - 9)
        sheet_top = top - 7 - _HEAD
        sheet = sketch.sheet(-self.margin, self.right, sheet_top, sheet_bottom, self.spec.config.n_layer)
        self._heading(sheet)
        end = sheet_top - (12 if self.spec.config.n_layer > 1 else 4)
        if prefix + "final_norm" in sketch.parts:
            end -= 4
            final = sketch.on_spine(prefix + "final_norm", end, "tag")
            sketch.climb(stream, bottom, end)
            return final
        sketch.climb(stream, bottom, end)
        return end

    def _width_steps(self, left: float, y: float) -> None:
        """Add the width of the model, with its ± buttons."""
        sketch, key, text = self.sketch, self.spec.prefix + "stream", f"{self.spec.config.d_model:,}"
        sketch.label("width", left, y, key)
        left += sketch.measure("width", "caption") + 6
        room = sketch.measure(text, "badge") + 8
        sketch.steps("d_model", key, left + 4 * STEP + room, y, apart=room - 4)
        at = Point(left + 2 * STEP + room / 2, y)
        sketch.picture.labels.append(Label(text=text, at=at, align="centre", key=key, look="badge"))

    def _heading(self, sheet: Rect) -> None:
        """Add the block's name, and the number of layers with its ± buttons."""
        sketch, key = self.sketch, self.spec.prefix + "block"
        part = sketch.parts[key]
        y = sheet.top + 15
        count = part.detail
        room = sketch.measure(count, "badge") + 8
        width = sketch.measure(part.title, "title")
        left = sheet.left + 12 if sketch.is_mirrored else sketch.spine + 12
        words = Rect(left - 4, y - 9, width + 8, 18)
        sketch.picture.nodes.append(Node(key=key, rect=words, look="words"))
        right = sketch.spine - 12 if sketch.is_mirrored else sheet.right - 8
        sketch.steps(self.spec.layers_slot, key, right, y, apart=room - 4)
        middle = right - 2 * STEP - room / 2
        sketch.picture.labels.append(Label(text=count, at=Point(middle, y), align="centre", key=key, look="badge"))


def _ids(sketch: Sketch, stack: StackSpec, bottom: float) -> float:
    key = stack.prefix + "ids"
    top = sketch.on_spine(key, bottom, "chip", sketch.width_of(key, "plain") + 8)
    width = sketch.width_of(key, "plain") + 8
    sketch.label(sketch.parts[key].shape, width - sketch.outside(width) + 8, bottom - LOW / 2, key)
    return top


def _draw_embedding(sketch: Sketch, bottom: float, width: float) -> float:
    top = sketch.on_spine("embedding", bottom, "tag", max(width, sketch.width_of("embedding", "tag")))
    sketch.climb("ids", bottom + _GAP, bottom)
    return top


def _head(sketch: Sketch, stack: StackSpec, bottom: float) -> None:
    """Lay out the head at the top, to the side of the spine, since views are wider than tall."""
    parts, carried = sketch.parts, stack.prefix + "stream"
    is_pooled = "pooler" in parts and stack.config.head == "sequence"
    if "pooler" in parts and not is_pooled:
        at = bottom - _GAP - LOW / 2
        sketch.tap(at)
        sketch.box("pooler", 60, at, sketch.width_of("pooler", "tag"), LOW, "tag")
        sketch.wire(carried, (0, at), (60, at))
        sketch.climb(carried, bottom, at - LOW / 2)
        bottom = at - LOW / 2
    row = bottom - 8 - LOW / 2
    across, end = 0.0, 38.0
    for key in [*(["pooler"] if is_pooled else []), "head.transform", "head", "result"]:
        if key not in parts:
            continue
        if across == 0.0:
            sketch.wire(carried, (0, bottom), (0, row), (end, row), look="spine")
        else:
            end = across + 20
            sketch.wire(carried, (across, row), (end, row))
        look = "chip" if key == "result" else "tag"
        width = sketch.width_of(key, "plain") + 8 if key == "result" else sketch.width_of(key, "tag")
        sketch.box(key, end, row, width, LOW, look)
        across, carried = end + width, key
    sketch.label_over(parts["result"].shape, across - width / 2, row - LOW / 2 - 2, "result")
    if "tied" in parts:
        _link(sketch)


def _link(sketch: Sketch) -> None:
    """Add the dashed line of tied embeddings, from the embedding around the stack to the head."""
    picture = sketch.picture
    embedding, head = picture.node("embedding").rect, picture.node("head").rect
    edges = [sheet.rect for sheet in picture.sheets] + [node.rect for node in picture.nodes]
    x, start = min(rect.left for rect in edges) - 12, embedding.left
    if sketch.is_mirrored:
        x, start = max(rect.right for rect in edges) + 16, embedding.right
    over = head.top - 16
    corners = (Point(x, embedding.y), Point(x, over), Point(head.x, over), Point(head.x, head.top))
    picture.wires.append(Wire(key="tied", points=(Point(start, embedding.y), *corners), look="link"))


def _label_rect(label: Label, measure: Measure) -> Rect:
    width = measure(label.text, label.look)
    left = {"left": label.at.x, "right": label.at.x - width, "centre": label.at.x - width / 2}[label.align]
    return Rect(left, label.at.y - 8, width, 16)


def layout_area(config: ModelConfig, parts: dict[str, Part], width: float, height: float, measure: Measure) -> Picture:
    """Lay out a picture of `width` by `height`, upwards as in the blocks view: the embedding, the stacks, the head.

    A stack has a column per kind of sublayer, with all its layers together.
    """
    counted = {key: part for key, part in parts.items() if part.n_parameters}
    total = sum(part.total_parameters for part in counted.values())
    picture, headings = Picture(), 2 * _HEADING
    scale = total / (width * (height - headings - _LEGEND))  # parameters per pixel
    pen = _Pen(picture, counted, scale)
    y = height - _LEGEND
    for key in _BELOW:
        y = pen.slab(key, Rect(0, y, width, 0))
    stacks = stacks_of(config, 1, 1)
    keys = {s.prefix: [k for k in counted if k.startswith(s.prefix) and k not in (*_BELOW, *_ABOVE)] for s in stacks}
    sizes = {prefix: sum(counted[key].total_parameters for key in names) for prefix, names in keys.items()}
    tall = sum(sizes.values()) / scale / width
    x = 0.0
    for stack in stacks:
        band = Rect(x, y - tall - headings, sizes[stack.prefix] / scale / tall, tall + headings)
        _stack(pen, stack, keys[stack.prefix], band, measure)
        x = band.right
    y -= tall + headings
    for key in _ABOVE:
        y = pen.slab(key, Rect(0, y, width, 0))
    _legend(picture, config, scale, Rect(0, height - _LEGEND + 10, width, 0), measure)
    picture.frame = Rect(0, 0, width, height).grown(6)
    return picture


class _Pen:
    """Adds areas to `picture`, with `scale` parameters per pixel."""

    def __init__(self, picture: Picture, counted: dict[str, Part], scale: float) -> None:
        self.picture, self.counted, self.scale = picture, counted, scale

    def pixels(self, keys: list[str]) -> float:
        """Return the area of these parts in pixels."""
        return sum(self.counted[key].total_parameters for key in keys) / self.scale

    def slab(self, key: str, at: Rect, lit: float = 1.0) -> float:
        """Add a part as wide as `at`, if it has parameters, with its lower edge at at.top. Return its upper edge."""
        if key not in self.counted:
            return at.top
        tall = self.pixels([key]) / at.width
        rect = Rect(at.left, at.top - tall, at.width, tall)
        self.picture.nodes.append(Node(key=key, rect=rect, look="area", lit=lit))
        return rect.top


def _stack(pen: _Pen, stack: StackSpec, keys: list[str], band: Rect, measure: Measure) -> None:
    """Lay out a stack: the parts that occur once below and above, and between them a column per sublayer."""
    y, config, prefix = band.bottom, stack.config, stack.prefix
    for name in _ONCE_BELOW:
        y = pen.slab(prefix + name, Rect(band.left, y, band.width, 0))
    once = [prefix + name for name in (*_ONCE_BELOW, "final_norm")]
    inside = [key for key in keys if key not in once]
    tall = pen.pixels(inside) / band.width
    x, top = band.left, y - tall
    for name, titles in _GROUPS.items():
        group = [
            key
            for key in inside
            if key == prefix + name or key.removeprefix(prefix).startswith((f"{name}.", f"{name}_norm", f"{name}_conv"))
        ]
        if not group:
            continue
        wide = pen.pixels(group) / tall
        at = y
        for key in group:
            is_shared = config.n_expert and key.removeprefix(prefix) in _SHARED_BY_EXPERTS
            at = pen.slab(key, Rect(x, at, wide, 0), config.n_expert_used / config.n_expert if is_shared else 1.0)
        _words(pen.picture, titles, Rect(x, top - _HEADING, wide, _HEADING), measure)
        x += wide
    layers = "layer" if config.n_layer == 1 else "layers"
    words = f"{stack.name.capitalize() + ', ' if stack.name else ''}{config.n_layer} {layers}"
    _words(
        pen.picture, (words, f"× {config.n_layer}"), Rect(band.left, top - 2 * _HEADING, band.width, _HEADING), measure
    )
    pen.slab(prefix + "final_norm", Rect(band.left, top - 2 * _HEADING, band.width, 0))


def _words(picture: Picture, choices: tuple[str, ...], room: Rect, measure: Measure) -> None:
    """Add the first text that fits in `room`, centred; none if none fits."""
    text = next((text for text in choices if measure(text, "caption") <= room.width - 4), "")
    if text:
        picture.labels.append(Label(text=text, at=Point(room.x, room.y), align="centre"))


def _legend(picture: Picture, config: ModelConfig, scale: float, at: Rect, measure: Measure) -> None:
    sample = _nice(scale * _SAMPLE)
    edge = (sample / scale) ** 0.5
    picture.nodes.append(Node(key="", rect=Rect(at.left, at.top, edge, edge), look="scale"))
    words = f"= {sample:,} {'parameter' if sample == 1 else 'parameters'}"
    picture.labels.append(Label(text=words, at=Point(at.left + edge + 8, at.top + edge / 2)))
    if config.n_expert:
        used = f"{config.n_expert_used} of {config.n_expert} experts"
        room = Rect(at.left + edge + 8 + measure(words, "caption"), at.top, 0, 0)
        room = Rect(room.left, at.top, at.width - room.left, edge)
        _words(picture, (f"darker: the {used} used per token", f"darker: {used}", used), room, measure)


def _nice(n: float) -> int:
    """Return the largest number of the form 1, 2 or 5 × 10^k that is at most n, and at least 1."""
    power = 1
    while power * 10 <= n:
        power *= 10
    return max(power * step for step in (1, 2, 5) if power * step <= max(n, 1))
