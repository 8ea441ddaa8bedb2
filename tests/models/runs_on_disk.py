"""Runs as a training leaves them, without the training."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch

from terrarium.models.architecture.transformer import build_model
from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import FORMAT
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig


def put_run(library: Library, name: str, config: ModelConfig, step: int = 40) -> Path:
    """A finished run of `config` with one checkpoint, which holds `weights_of(config)`; returns its folder."""
    spec = RunSpec(
        name=name,
        model=config,
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="stdlib"),
        train=TrainConfig(steps=step),
    )
    folder = library.runs / name
    record = {"format": FORMAT, "id": name, "name": name, "created": "2026-01-01", "status": "finished"}
    atomic_write_json(folder / "run.json", {**record, "spec": spec.to_dict()})
    (folder / "tokenizer.json").write_text("{}", encoding="utf-8")
    checkpoint = folder / "checkpoints" / f"step-{step:08d}"
    checkpoint.mkdir(parents=True)
    safetensors.torch.save_file(weights_of(config), checkpoint / "model.safetensors")
    return folder


def weights_of(config: ModelConfig) -> dict[str, torch.Tensor]:
    """The weights that `put_run` stores: the same each time."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return dict(build_model(config).state_dict())
