"""Pictures of the documentation: the layers (out of the import contracts), the way of a prompt and of a loss, and the
life of a training.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from terrarium.app.session import life
from tools.docs.pages import ROOT

Place = tuple[int, int, int, int]

_ROW, _GAP, _WIDTH, _LETTER = 34, 8, 920, 7.2
"""Height of a row, space between boxes, width of a picture, and of a letter, in pixels."""
_STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#1d2b22}.note{fill:#5b6b60;font-size:12px}"
    "rect{fill:#e8f1ea;stroke:#7fa88c}path{fill:none;stroke:#7fa88c}marker path{fill:#7fa88c}</style>"
    '<defs><marker id="arrow" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
    '<path d="M0 0L6 3L0 6z"/></marker></defs>'
)
PROMPT = (
    ("Chat tab", "the text is sent", "window"),
    ("Session", "asks the worker for a reply", "window"),
    ("Worker", "takes the job on its own thread", "worker"),
    ("Chat template", "conversation → token ids", "worker"),
    ("Prefix cache", "what was read before is reused", "worker"),
    ("Transformer", "ids → logits, with the KV cache", "worker"),
    ("Sampling steps", "logits → one token", "worker"),
    ("Events", "TokenMade, at most 30 signals a second", "worker"),
    ("Chat tab", "the reply grows; the glass box can ask about it", "window"),
)
LOSS = (
    ("New run", "a form makes a RunSpec", "window"),
    ("Session", "queues it, and starts the worker's job", "window"),
    ("Set-up", "corpus, tokenizer, model and optimizers", "worker"),
    ("Batch", "a pure function of the step", "worker"),
    ("Transformer", "token ids → logits → cross-entropy", "worker"),
    ("Optimizer", "gradients → weights", "worker"),
    ("Run folder", "metrics.jsonl, checkpoints", "worker"),
    ("Events", "TrainMetrics, ValMetrics, SampleMade", "worker"),
    ("Run page", "charts, samples, diagnosis", "window"),
)

WORKING, OVER = "working", "over"
PLACES: Mapping[str, Place] = {
    WORKING: (10, 10, 900, 92),
    life.PREPARING: (60, 56, 150, 28),
    life.RUNNING: (385, 56, 150, 28),
    life.EVALUATING: (710, 56, 150, 28),
    life.BLOCKED: (10, 190, 180, 28),
    life.PAUSING: (370, 190, 150, 28),
    life.PAUSED: (600, 190, 150, 28),
    life.STOPPING: (790, 190, 120, 28),
    OVER: (10, 306, 900, 40),
}
"""Where each status is drawn: x, y, width and height. Two are frames, around several statuses."""
MOVES = (
    (life.PREPARING, life.RUNNING, "started", 0),
    (life.RUNNING, life.EVALUATING, "finished, then phase", 0),
    (WORKING, life.BLOCKED, "blocked", 40),
    (life.BLOCKED, WORKING, "progress", 125),
    (WORKING, OVER, "ended or failed", 240),
    (WORKING, life.PAUSING, "pause", 445),
    (life.PAUSING, life.PAUSED, "held", 0),
    (life.PAUSED, WORKING, "resume", 675),
    (WORKING, life.STOPPING, "stop", 850),
    (life.STOPPING, OVER, "ended", 850),
)
"""The moves that are drawn: from, to, the events, and x of an arrow that leads up or down."""


def pictures() -> dict[str, str]:
    """Return the SVG of each picture by its path in the repository."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    layers = {each["containers"][0]: each["layers"] for each in contracts if each["type"] == "layers"}
    return {
        **{f"docs/develop/layers-{name.rpartition('.')[2]}.svg": draw_layers(rows) for name, rows in layers.items()},
        "docs/develop/prompt.svg": draw_way(PROMPT),
        "docs/develop/loss.svg": draw_way(LOSS),
        "docs/develop/life.svg": draw_life(),
    }


def draw_layers(layers: Sequence[str]) -> str:
    """Draw layers, the top one first: a row each, with a box for each package; a package imports from rows below it."""
    boxes: list[str] = []
    y = _GAP
    for layer in layers:
        x = _GAP
        for name in layer.split(" | "):
            width = round(len(name) * _LETTER) + 22
            if x + width > _WIDTH:
                x, y = _GAP, y + _ROW - 2
            boxes += _box(x, y, width, name)
            x += width + _GAP
        y += _ROW + 6
    return _svg(boxes, y)


def draw_way(stations: Sequence[tuple[str, str, str]]) -> str:
    """Draw stations (name, what happens, thread) below one another, with those of the worker's thread to the right."""
    at = {"window": _GAP, "worker": 330}
    parts = [f'<text class="note" x="{x}" y="18">{name}’s thread</text>' for name, x in at.items()]
    for i, (name, note, thread) in enumerate(stations):
        x, y = at[thread], 28 + i * (_ROW + 12)
        if i:
            before = at[stations[i - 1][2]] + 75
            parts += [f'<path d="M{before} {y - 18}V{y - 9}H{x + 75}V{y - 2}" marker-end="url(#arrow)"/>']
        parts += _box(x, y, 150, name)
        parts += [f'<text class="note" x="{x + 162}" y="{y + 19}">{escape(note)}</text>']
    return _svg(parts, 28 + len(stations) * (_ROW + 12))


def draw_life() -> str:
    """Draw the statuses of a training, and the moves between them."""
    ends = ", ".join(dict.fromkeys(life.ENDS))
    parts: list[str] = []
    for name, (x, y, width, height) in PLACES.items():
        if name in (WORKING, OVER):
            words = "nothing holds it" if name == WORKING else f"the job has ended: {ends}"
            parts.append(f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" style="fill:none"/>')
            parts.append(f'<text class="note" x="{x + width / 2:g}" y="{y + 24}" text-anchor="middle">{words}</text>')
        else:
            parts += _box(x, y, width, name)
    for start, end, words, at in MOVES:
        (x, y, width, height), (to_x, to_y, _, to_height) = PLACES[start], PLACES[end]
        if at:
            begin, reach = (y + height, to_y - 2) if y < to_y else (y, to_y + to_height + 2)
            parts.append(f'<path d="M{at} {begin}V{reach}" marker-end="url(#arrow)"/>')
            parts.append(f'<text class="note" x="{at + 8}" y="{(begin if begin > 200 else 102) + 48}">{words}</text>')
        else:
            middle = (x + width + to_x) / 2
            parts.append(f'<path d="M{x + width} {y + 14}H{to_x - 2}" marker-end="url(#arrow)"/>')
            parts.append(f'<text class="note" x="{middle:g}" y="{y + 8}" text-anchor="middle">{words}</text>')
    return _svg(parts, 356)


def _box(x: int, y: int, width: int, name: str) -> Iterator[str]:
    yield f'<rect x="{x}" y="{y}" width="{width}" height="28" rx="6"/>'
    yield f'<text x="{x + width / 2:g}" y="{y + 19}" text-anchor="middle">{escape(name)}</text>'


def _svg(parts: Sequence[str], height: int) -> str:
    size = f'viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
    back = f'<rect width="{_WIDTH}" height="{height}" style="fill:#fbfcfa;stroke:none"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{_STYLE}{back}{"".join(parts)}</svg>\n'


if __name__ == "__main__":
    for name, picture in pictures().items():
        (ROOT / name).write_text(picture, encoding="utf-8")
