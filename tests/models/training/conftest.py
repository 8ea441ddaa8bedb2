"""Runs to compare others with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from models.library.library import Library
from models.runs.run_folder import RunFolder
from models.settings.model_config import ModelConfig
from tests.models.training.support import make_run, train


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
