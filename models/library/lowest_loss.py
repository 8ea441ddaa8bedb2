"""The lowest validation loss of a run, found without parsing its metrics. No torch import."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from models.files.atomic import read_json
from models.library.run_record import checkpoint_step

_START = b'{"kind": "val"'
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LowestLoss:
    """The lowest validation loss in the first `size` bytes of the metrics file `inode`; None: no validation yet."""

    loss: float | None = None
    size: int = 0
    inode: int = 0


def find_lowest_loss(folder: Path, known: LowestLoss = LowestLoss()) -> LowestLoss:
    """The lowest validation loss of the run in `folder`, reading only what was written after `known`.

    The last checkpoint knows the lowest loss before it; without one, the whole file is searched for validations.
    """
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            there = os.fstat(file.fileno())
            if known.inode != there.st_ino or known.size > there.st_size:
                known = _from_checkpoint(folder)
            if known.size > there.st_size:  # the log has lost rows that the checkpoint counted
                known = LowestLoss()
            file.seek(known.size)
            lowest, size = known.loss, known.size
            for end, line in validation_lines(file, known.size):
                size, loss = end, _loss(line)
                if loss is not None and (lowest is None or loss < lowest):
                    lowest = loss
            return LowestLoss(lowest, size, there.st_ino)
    except OSError:
        return LowestLoss()


def validation_lines(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """The validation lines from `offset` on, as (end offset, line); each block ends with (end offset, b"")."""
    rest = b""
    while data := file.read(_BLOCK):
        data = rest + data
        end = data.rfind(b"\n") + 1
        start = data.find(_START, 0, end)
        while start >= 0:
            line_end = data.index(b"\n", start)
            yield offset + line_end + 1, data[start:line_end]
            start = data.find(_START, line_end, end)
        offset += end
        rest = data[end:]
        yield offset, b""


def _loss(line: bytes) -> float | None:
    if not line:
        return None
    try:
        loss = json.loads(line).get("loss")
    except ValueError:
        return None
    return float(loss) if isinstance(loss, int | float) and math.isfinite(loss) else None


def _from_checkpoint(folder: Path) -> LowestLoss:
    """The lowest loss recorded in the last checkpoint, with the log size at that time."""
    paths = sorted((folder / "checkpoints").glob("step-*"), key=checkpoint_step)
    if not paths:
        return LowestLoss()
    try:
        state = read_json(paths[-1] / "state.json")
        loss, size = state["lowest_loss"], state["log_sizes"]["metrics"]
    except (ValueError, KeyError, TypeError):
        return LowestLoss()
    if not isinstance(loss, int | float) or not isinstance(size, int):
        return LowestLoss()
    return LowestLoss(float(loss), size)
