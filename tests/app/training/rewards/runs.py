"""A small model, and a run that learns from rewards what it cannot learn: enough to look at."""

from __future__ import annotations

import dataclasses
from typing import Any

from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.settings.align_spec import AlignSpec
from models.settings.model_config import ModelConfig
from models.settings.run_spec import DataSpec, RunSpec
from models.settings.tune_spec import TuneSpec
from models.training.trainer import prepare_run
from tests.models.training.support import make_run, make_spec, result_of, train

CONFIG = ModelConfig(n_layer=1, n_head=2, d_model=16, context_length=128)


def make_parent(library: Library) -> RunFolder:
    """A trained model of bytes, without validations and samples."""
    run = make_run(library, CONFIG, steps=4, eval_interval=0, sample_interval=0, checkpoint_interval=4)
    train(run, library)
    return run


def rewarded_spec(parent: RunFolder, library: Library, **settings: Any) -> RunSpec:
    """Six steps of GRPO with two prompts and three replies."""
    common = {
        "optimizer": "adamw",
        "lr": 0.02,
        "schedule": "constant",
        "warmup_steps": 0,
        "steps": 6,
        "eval_interval": 3,
        "sample_interval": 0,
        "checkpoint_interval": 3,
        "layer_interval": 0,
        "keep_checkpoints": 9,
    }
    return dataclasses.replace(
        make_spec(library.home, CONFIG, **common | settings),
        name="rewarded",
        data=DataSpec(source="dataset", dataset="Tiny World 0, wish mentions", task="prompts"),
        tune=TuneSpec(parent=str(parent.folder), measure_forgetting=False),
        align=AlignSpec(n_prompts=2, n_replies=3, max_tokens=12),
    )


def make_rewarded(library: Library, parent: RunFolder, **settings: Any) -> RunFolder:
    """A run of `rewarded_spec`, not yet trained."""
    return result_of(prepare_run(library, rewarded_spec(parent, library, **settings)))
