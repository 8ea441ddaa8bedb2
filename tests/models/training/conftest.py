"""Runs to compare others with."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from terrarium.models.events import TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import make_run, train


@pytest.fixture
def tiny_config(tiny_config: ModelConfig) -> ModelConfig:
    """With a single layer: most of what is proved here about a training does not depend on the model."""
    return dataclasses.replace(tiny_config, n_layer=1)


@pytest.fixture(scope="session")
def trained_at_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., RunFolder]:
    """The run of a design and settings, trained in one go, once for all tests; they must leave it as it is."""
    library = Library(tmp_path_factory.mktemp("references"))
    runs: dict[str, RunFolder] = {}

    def run_of(config: ModelConfig, **settings: Any) -> RunFolder:
        key = f"{config} {settings}"
        if key not in runs:
            runs[key] = make_run(library, config, **settings)
            train(runs[key], library)
        return runs[key]

    return run_of


@pytest.fixture(scope="session")
def stopped_at(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Library, ModelConfig, int], RunFolder]:
    """A run in a library, stopped after a step: a copy of one that is trained once for all tests."""
    originals: dict[str, RunFolder] = {}

    def copy_to(library: Library, config: ModelConfig, step: int) -> RunFolder:
        key = f"{config} {step}"
        if key not in originals:
            original = Library(tmp_path_factory.mktemp("stopped"))
            originals[key] = make_run(original, config)
            trainer = Trainer(originals[key], original, device="cpu")
            for event in trainer.events():
                if isinstance(event, TrainMetrics) and event.step == step:
                    trainer.request_stop()
        home = originals[key].folder.parent.parent
        shutil.copytree(home, library.home, dirs_exist_ok=True)
        return RunFolder.open(library.runs / originals[key].id)

    return copy_to
