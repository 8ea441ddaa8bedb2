"""Finds a run's lowest validation loss, and its task's best metric, without parsing all of its metrics.

No torch import.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from terrarium.models.files.atomic import read_json
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.metrics.metrics_table import METRICS, best_first

_START = b'{"kind": "val"'
_BLOCK = 1 << 20


@dataclass(frozen=True)
class LowestLoss:
    """The lowest validation loss in the first `size` bytes of the metrics file `inode`; None before any validation.

    metric: the name and the best value of the task's metric; None for a run without a task.
    """

    loss: float | None = None
    size: int = 0
    inode: int = 0
    metric: tuple[str, float] | None = None


def find_lowest_loss(folder: Path, known: LowestLoss = LowestLoss()) -> LowestLoss:
    """Find the lowest validation loss of the run in `folder`, reading only the log written after `known`.

    The last checkpoint records the lowest loss before it; without one, the whole file is searched for validations.
    """
    try:
        with (folder / "metrics.jsonl").open("rb") as file:
            there = os.fstat(file.fileno())
            if known.inode != there.st_ino or known.size > there.st_size:
                known = _from_checkpoint(folder)
            if known.size > there.st_size:  # the log is shorter than it was at the checkpoint
                known = LowestLoss()
            file.seek(known.size)
            lowest, size, metric = known.loss, known.size, known.metric
            for end, line in validation_lines(file, known.size):
                size, row = end, _row(line)
                loss = _number(row.get("loss"))
                if loss is not None and (lowest is None or loss < lowest):
                    lowest = loss
                metric = _better(metric, row)
            return LowestLoss(lowest, size, there.st_ino, metric)
    except OSError:
        return LowestLoss()


def validation_lines(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield the validation lines from `offset` on as (end offset, line), and (end offset, b"") after each block."""
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


def _row(line: bytes) -> dict[str, Any]:
    try:
        row = json.loads(line) if line else {}
    except ValueError:
        return {}
    return row if isinstance(row, dict) else {}


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _better(best: tuple[str, float] | None, row: dict[str, Any]) -> tuple[str, float] | None:
    """Return the better one of the best metric so far and that of a row."""
    name, value = row.get("metric"), _number(row.get("metric_value"))
    if value is None or not isinstance(name, str) or name not in METRICS:
        return best
    return (name, value) if best is None or best_first(name, value) < best_first(name, best[1]) else best


def _from_checkpoint(folder: Path) -> LowestLoss:
    """Return the lowest loss recorded in the last checkpoint, with the log size at that time.

    Returns an empty LowestLoss for a run with a task, because its checkpoint does not name the metric.
    """
    paths = sorted((folder / "checkpoints").glob("step-*"), key=checkpoint_step)
    if not paths:
        return LowestLoss()
    try:
        state = read_json(paths[-1] / "state.json")
        loss, size = state["lowest_loss"], state["log_sizes"]["metrics"]
    except (ValueError, KeyError, TypeError):
        return LowestLoss()
    if not isinstance(loss, int | float) or not isinstance(size, int) or state.get("highest_score") is not None:
        return LowestLoss()
    return LowestLoss(float(loss), size)
