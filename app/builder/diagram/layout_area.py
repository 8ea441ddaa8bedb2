"""The "area" view: parts as areas in proportion to their parameters. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.geometry import Label, Measure, Node, Picture, Point, Rect
from terrarium.app.builder.diagram.part import Part, StackSpec, stacks_of
from terrarium.models.settings.model_config import ModelConfig

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
