"""A requested save or learning rate is what a resume continues with."""

import json

import pytest

from terrarium.models.events import Event, MicroStep, RunStarted, SampleMade, Saved, TrainMetrics, ValMetrics
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.schedule import lr_factor
from terrarium.models.training.trainer import Trainer
from tests.models.training.support import assert_same_end, make_run, train

SETTINGS = {"eval_interval": 3, "sample_interval": 3, "keep_checkpoints": 9}


def train_with_change(run: RunFolder, library: Library, kind: type[Event], *, stops: bool) -> None:
    """Train with another learning rate from an event of step 6 on, at which the training may end, too."""
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, kind) and trainer.step == 6:
            trainer.set_lr(0.25)
            if stops:
                trainer.request_stop()


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> tuple[Library, dict[type[Event], RunFolder]]:
    """A library for the runs that were not stopped, once a test has trained them."""
    return Library(tmp_path_factory.mktemp("reference")), {}


@pytest.mark.parametrize("kind", [MicroStep, TrainMetrics, ValMetrics, SampleMade, Saved])
def test_a_learning_rate_set_with_a_stop_at_a_checkpoint_is_saved(
    library: Library,
    tiny_config: ModelConfig,
    kind: type[Event],
    references: tuple[Library, dict[type[Event], RunFolder]],
) -> None:
    elsewhere, trained = references
    when = Saved if kind is Saved else TrainMetrics  # only what is set at a Saved comes a step later
    if when not in trained:
        trained[when] = make_run(elsewhere, tiny_config, **SETTINGS)
        train_with_change(trained[when], elsewhere, when, stops=False)
    run = make_run(library, tiny_config, **SETTINGS)
    train_with_change(run, library, kind, stops=True)
    train(run, library)
    assert_same_end(run, trained[when])
    state = json.loads((run.checkpoint_path(10) / "state.json").read_text())
    assert state["lr_scale"] == 0.25


@pytest.mark.parametrize("how", ["stop", "close", "too late"])
def test_a_learning_rate_updates_an_existing_checkpoint(library: Library, tiny_config: ModelConfig, how: str) -> None:
    run = make_run(library, tiny_config, **SETTINGS)
    trainer = Trainer(run, library, device="cpu")
    for event in trainer.events():
        if isinstance(event, TrainMetrics) and event.step == 6:
            trainer.request_stop()
        if isinstance(event, Saved) and event.step == 6 and how == "too late":
            trainer.set_lr(0.25)  # the stop is on its way
    saved = run.checkpoint_path(6)
    before = json.loads((saved / "state.json").read_text())
    if how != "too late":
        assert before["lr_scale"] == 1
        trainer = Trainer(RunFolder.open(run.folder), library, device="cpu")
        events = trainer.events()
        for event in events:
            if isinstance(event, RunStarted):
                trainer.set_lr(0.25)
                if how == "close":
                    events.close()
                    break
                trainer.request_stop()
    assert json.loads((saved / "state.json").read_text()) == {**before, "lr_scale": 0.25}
    assert {path.name for path in saved.iterdir()} == {"model.safetensors", "optimizer.safetensors", "state.json"}
    train(run, library)
    lrs = {row["step"]: row["lr"] for row in run.read_metrics() if row["kind"] == "train"}
    settings = run.spec.train
    assert lrs[7] == pytest.approx(settings.lr * lr_factor(6, settings) * 0.25)
    assert [row["event"] for row in run.read_events()].count("learning rate") == 1
