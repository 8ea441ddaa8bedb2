"""Run folders written by hand, as a training leaves them but for the weights: quick to make, with any curve."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.training.record import metrics_row


def metrics_line(kind: str, step: int, loss: float | None, **values: float | None) -> str:
    """One line of metrics.jsonl, of a run that reads 64 tokens in each step of half a second."""
    return json.dumps(metrics_row(kind, step=step, tokens=64 * step, elapsed_s=step / 2, loss=loss, **values)) + "\n"


def make_run(
    library: Library,
    config: ModelConfig,
    name: str,
    *,
    status: str = "finished",
    losses: Sequence[float] = (),
    validations: Sequence[float] | None = None,
    created: str = "2026-01-01T00:00:00",
    lineage: dict[str, Any] | None = None,
    **train: Any,
) -> Path:
    """A run called `name`, its id; `validations` come with the last steps, and are `losses` where not given."""
    spec = RunSpec(
        name=name, model=config, tokenizer=TokenizerSpec(kind="byte"), data=DataSpec(), train=TrainConfig(**train)
    )
    folder = library.runs / name
    record = {
        "format": 1,
        "id": name,
        "name": name,
        "created": created,
        "status": status,
        "spec": spec.to_dict(),
        "threads": 1,
        "best_step": None,
        "lineage": lineage or {},
    }
    atomic_write_json(folder / "run.json", record)
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    lines = [metrics_line("train", i, loss, lr=0.1, grad_norm=1.0) for i, loss in enumerate(losses, start=1)]
    val = losses if validations is None else validations
    lines += [metrics_line("val", len(losses) - len(val) + i, loss) for i, loss in enumerate(val, start=1)]
    (folder / "metrics.jsonl").write_text("".join(lines), "utf-8")
    return folder
