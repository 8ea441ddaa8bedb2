"""A library with a small chat model that was really grown, and everything that learns made small."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run import choices
from terrarium.app.recipes.recipes_page import RecipesPage
from terrarium.app.session.remembered import SIMPLE
from terrarium.app.session.session import Session
from terrarium.app.shell.guide import stage
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.training import training_tab
from terrarium.models.evaluation import held_out_questions
from terrarium.models.library.library import Library
from terrarium.models.recipes import pronoun_specs, quickstart
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.tasks import running
from terrarium.models.recipes.tasks.tasks_table import with_steps
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.sampling_config import SamplingConfig
from terrarium.models.settings.tune_spec import usual_train
from terrarium.models.tiny_world import corpus
from terrarium.models.training import prepare
from terrarium.models.training.proposal import propose
from tests.app.heard import Until
from tests.models.recipes.conftest import train_here
from tests.models.recipes.demonstrations.support import make_little, make_little_refusals
from tests.models.recipes.small_recipes import few_rows, small

SMALL_RECIPES = ("mood", "translation", "code")
STEPS = 4
"""Of a run that a chapter prepares."""


@contextmanager
def little_world() -> Iterator[pytest.MonkeyPatch]:
    """Quick starts learn from a little of the world, with one layer, for a few steps."""
    with pytest.MonkeyPatch.context() as patch:
        model = dataclasses.replace(quickstart.TINY_WORLD_MODEL, n_layer=1, d_model=32)
        patch.setattr(quickstart, "TINY_WORLD_MODEL", model)
        patch.setattr(corpus, "N_TRAIN", 600)
        patch.setattr(corpus, "N_VAL", 30)
        patch.setattr(quickstart, "evaluate", partial(held_out_questions.evaluate, n_per_kind=4))
        patch.setattr(held_out_questions, "N_SEEN", 40)
        patch.setattr(held_out_questions, "N_SAMPLE", 4)
        patch.setattr(held_out_questions, "MAX_REPLY_TOKENS", 4)
        yield patch


@pytest.fixture(scope="session")
def trained_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The home of that library, to be read only. Made once, by the first of several workers that needs it."""
    folder = tmp_path_factory.getbasetemp()
    if worker_id != "master":
        folder = folder.parent  # of all workers
    home = folder / "grown"
    with FileLock(folder / "grown.lock"):
        if not home.exists():
            half_made = Library(tmp_path_factory.mktemp("grown"))
            with little_world():
                for _ in RunJob(half_made, quickstart.QuickStart(0.02), device="cpu").events():
                    pass
            half_made.home.rename(home)
    return home


@pytest.fixture
def library(trained_home: Path, tmp_path: Path) -> Library:
    """A copy of that library."""
    shutil.copytree(trained_home, tmp_path / "library")
    return Library(tmp_path / "library")


@pytest.fixture
def small_trainings() -> Iterator[None]:
    """Recipes, demonstrations, pronoun models and prepared runs are small, and learn for a few steps."""
    with little_world() as patch, few_rows():
        make_little(patch)
        make_little_refusals(patch)
        patch.setattr(prepare, "train_in_child", train_here)
        recipes = {name: small(name) for name in SMALL_RECIPES}
        patch.setattr(running, "ALL_RECIPES", recipes)
        patch.setattr(training_tab, "RecipesPage", partial(RecipesPage, recipes=recipes))
        short = with_steps(pronoun_specs.TRAINING, 2)
        short = dataclasses.replace(short, batch_size=8, eval_batches=1, eval_interval=2, sample_interval=0)
        patch.setattr(pronoun_specs, "TRAINING", short)
        often = {"steps": STEPS, "batch_size": 2, "eval_batches": 1, "eval_interval": 1, "sample_interval": 1}
        patch.setattr(stage, "TrainConfig", lambda **settings: TrainConfig(**{**settings, **often}))
        for module in (choices, propose):  # what the form of a new run says of a fine-tuning
            patch.setattr(module, "usual_train", lambda *given: usual_train(*given) | {"steps": STEPS})
        yield


@pytest.fixture
def window(
    library: Library, small_trainings: None, session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until
) -> Iterator[MainWindow]:
    """The shown window over the grown library, and the guide in it; as it is at the first launch."""
    session.detail.choose(SIMPLE)
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    session.runs.list()
    until(lambda: session.tokenizers.current is not None)
    chat: Any = window.pages.page("chat")
    chat.sampling.use(SamplingConfig(max_tokens=8))
    chat.serve.port.setValue(0)  # any that is free
    yield window
    window.close()
