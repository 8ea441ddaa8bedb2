"""A run's loss as a few points, read from its metrics without reading all of them."""

from __future__ import annotations

import math
from pathlib import Path

from models.files.jsonl import parse_row

POINTS = 48
_BLOCK = 1024


def loss_points(folder: Path, points: int = POINTS) -> tuple[float, ...]:
    """At most `points` training losses, evenly spread over metrics.jsonl; () where there are none to read."""
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            losses = []
            for i in range(points):
                offset = i * size // points
                file.seek(offset)
                block = file.read(_BLOCK)
                if offset:
                    block = block.partition(b"\n")[2]
                losses.append(_first_loss(block))
    except OSError:
        return ()
    return tuple(loss for loss in losses if loss is not None and math.isfinite(loss))


def _first_loss(block: bytes) -> float | None:
    """The loss of the first whole training row in `block`."""
    for line in block.split(b"\n")[:-1]:
        row = parse_row(line)
        if row is not None and row.get("kind") == "train" and isinstance(row.get("loss"), int | float):
            return float(row["loss"])
    return None
