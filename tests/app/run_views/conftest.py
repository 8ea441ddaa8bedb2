"""A library with a run that has learned from rewards, trained once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.models.library.library import Library
from terrarium.models.tiny_world import wishes
from tests.models.training.stages.support import CONFIG, run_of
from tests.models.training.support import make_run, train


@pytest.fixture(scope="session")
def rewarded_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a library with the runs “small”, a model of bytes, and “aligned”, which has started from it."""
    library = Library(tmp_path_factory.mktemp("rewarded"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wishes, "SIZES", {"train": 12, "val": 4, "test": 4})
        parent = make_run(library, CONFIG, steps=4, eval_interval=0, sample_interval=0, checkpoint_interval=4)
        train(parent, library)
        drawn = {"n_prompts": 2, "n_replies": 3, "end_penalty": 1.0}
        train(run_of(library, parent, drawn, eval_interval=3, keep_checkpoints=9), library)
    return library.home
