"""Exports a run's curves as TensorBoard event files. No torch import."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event
from tensorboardX.summary import scalar, text

from terrarium.models.files.atomic import atomic_folder
from terrarium.models.files.jsonl import Row
from terrarium.models.library.library import safe_name
from terrarium.models.runs.run_folder import RunFolder

_TRAIN = {
    "loss": "loss/train",
    "bits_per_byte": "bits_per_byte/train",
    "lr": "learning_rate",
    "grad_norm": "gradient_norm",
    "tokens_per_s": "speed/tokens_per_s",
    "peak_share": "speed/share_of_peak",
    "memory_bytes": "memory/bytes",
    "tokens": "tokens",
}
_VAL = {"loss": "loss/validation", "bits_per_byte": "bits_per_byte/validation"}


def write_tensorboard(run: RunFolder, folder: Path) -> Path:
    """Write all measurements of `run` to a new folder in `folder`, named after the run, and return that folder.

    Scalars by step, timed by the run's own clock; update-to-weight ratios by layer; samples and settings as text.

    Raises:
        ValueError: if a log is damaged, or the folder already exists.
        OSError: if it cannot be written. In both cases no files remain.
    """
    target = folder / safe_name(run.id)
    if target.exists():
        raise ValueError(f"{target} already exists: delete it, or choose another folder.")
    layers, samples = run.read_layers(), run.read_samples()
    created = _time_of(run)
    clock, sampled = {}, {row["step"] for row in samples}
    with _events(target) as events:
        for row in run.each_metric():  # there may be a million
            if row["step"] in sampled and row.get("elapsed_s") is not None:
                clock[row["step"]] = created + row["elapsed_s"]
            tags = _TRAIN if row["kind"] == "train" else _VAL
            _add(events, {tag: row.get(key) for key, tag in tags.items()}, row, created)
        for row in layers:
            _add(events, {f"update_ratio/{name}": value for name, value in row["update_ratio"].items()}, row, created)
        for row in samples:
            summary = text("samples", f"**{row['prompt']}**\n\n{row['text']}")
            _write(events, summary, row["step"], clock.get(row["step"], created))
        _write(events, text("settings", _settings(run.spec.to_dict())), 0, created)
    return target


@contextlib.contextmanager
def _events(target: Path) -> Iterator[EventsWriter]:
    """Open an event file in the new folder `target`, which appears only when complete.

    SummaryWriter is not used, because its thread hangs if the disk is full.
    """
    with atomic_folder(target) as half_made:
        events = EventsWriter(str(half_made / "events"))
        try:
            yield events
        finally:
            events.close()


def _time_of(run: RunFolder) -> float:
    """Return when the run was created, in seconds since the epoch; ValueError if run.json has no valid time."""
    try:
        return datetime.fromisoformat(run.created).timestamp()
    except ValueError:
        raise ValueError(f"{run.folder / 'run.json'} is damaged: it was created {run.created!r}.") from None


def _add(events: EventsWriter, values: dict[str, Any], row: Row, created: float) -> None:
    for tag, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            _write(events, scalar(tag, value), row["step"], created + (row.get("elapsed_s") or 0.0))


def _write(events: EventsWriter, summary: Any, step: int, time: float) -> None:
    events.write_event(Event(summary=summary, step=step, wall_time=time))


def _settings(spec: dict[str, Any]) -> str:
    """Format each part of a spec as a Markdown table."""
    lines = []
    for part, values in spec.items():
        if isinstance(values, dict):
            lines += [f"**{part}**", "", "| setting | value |", "|---|---|"]
            lines += [f"| {name} | {value} |" for name, value in values.items()] + [""]
    return "\n".join(lines)
