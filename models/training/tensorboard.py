"""A run's curves as TensorBoard's event files, for those who look at their runs there. No torch import."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path
from typing import Any

from tensorboardX import SummaryWriter

from models.library import safe_name
from models.training.jsonl import Row
from models.training.run_folder import RunFolder

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
    """Write everything that was measured of `run` into a new folder named after it in `folder`; returns that folder.

    Scalars by step, at the time at which they were measured by the run's own clock; update-to-weight ratios by layer;
    samples and settings as text.

    Raises:
        ValueError: where a log is damaged, or there is a folder of that name already.
    """
    target = folder / safe_name(run.id)
    if target.exists():
        raise ValueError(f"{target} exists already: delete it, or choose another folder.")
    rows, layers, samples = run.read_metrics(), run.read_layers(), run.read_samples()
    begun = datetime.fromisoformat(run.created).timestamp()
    clock = {row["step"]: begun + row["elapsed_s"] for row in rows if row.get("elapsed_s") is not None}
    with SummaryWriter(str(target)) as writer:
        for row in rows:
            tags = _TRAIN if row["kind"] == "train" else _VAL
            _add(writer, {tag: row.get(key) for key, tag in tags.items()}, row, begun)
        for row in layers:
            _add(writer, {f"update_ratio/{name}": value for name, value in row["update_ratio"].items()}, row, begun)
        for row in samples:
            text = f"**{row['prompt']}**\n\n{row['text']}"
            writer.add_text("samples", text, row["step"], walltime=clock.get(row["step"], begun))
        writer.add_text("settings", _settings(run.spec.to_dict()), 0, walltime=begun)
    return target


def _add(writer: SummaryWriter, values: dict[str, Any], row: Row, begun: float) -> None:
    for tag, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            writer.add_scalar(tag, value, row["step"], walltime=begun + (row.get("elapsed_s") or 0.0))


def _settings(spec: dict[str, Any]) -> str:
    """A Markdown table of each part of a spec."""
    lines = []
    for part, values in spec.items():
        if isinstance(values, dict):
            lines += [f"**{part}**", "", "| setting | value |", "|---|---|"]
            lines += [f"| {name} | {value} |" for name, value in values.items()] + [""]
    return "\n".join(lines)
