"""The stages of a demonstration, each a separate run: found again or trained, and stoppable."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Generator, Mapping
from typing import Any

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import Event, Phase
from terrarium.models.interop.parents import parent_config
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.recipes.demonstrations.demonstrated import DemonstrationMark, mark_stage
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec, usual_train
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.trainer import Trainer


class StageStoppedError(ValueError):
    """A stage was stopped before its end."""


class StageControl:
    """Controls a running demonstration: it stops the training of the current stage, and each stage's run gets the
    mark.

    trainer: of the stage that is being trained, None between two. stage: the title of what is being trained, ""
    between two. done: the titles of the stages before it. n_found: the number of stages that existed already,
    complete or in part. last: the run that was trained last. stop: as for Trainer.request_stop, None until a stop is
    requested.
    """

    def __init__(self, mark: DemonstrationMark | None = None) -> None:
        self.mark = mark
        self.trainer: Trainer | None = None
        self.stop: tuple[bool, str] | None = None
        self.stage = ""
        self.done: tuple[str, ...] = ()
        self.n_found = 0
        self.last: RunFolder | None = None

    def request_stop(self, keep: bool, status: str) -> None:
        """Stop the training of a stage after the current step."""
        self.stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def trained(self, trainer: Trainer) -> Generator[Event, None, None]:
        """Yield the events of a training, with `trainer` set until it ends."""
        self.trainer = trainer
        if self.stop is not None:  # a stop may be requested at any point
            trainer.request_stop(*self.stop)
        try:
            with contextlib.closing(trainer.events()) as events:
                yield from events
        finally:
            self.trainer = None


def stage_spec(
    library: Library,
    title: str,
    parent: str,
    data: DataSpec,
    train: Mapping[str, Any],
    align: AlignSpec | None = None,
) -> RunSpec:
    """Return the spec of a stage from the weights of `parent`, with default settings except those in `train`."""
    quiet = {"sample_interval": 0, "layer_interval": 0, "warmup_steps": 0}
    return RunSpec(
        name=title,
        model=parent_config(library, parent),
        tokenizer=TokenizerSpec(),
        data=data,
        train=TrainConfig(**usual_train("all") | quiet | dict(train)),
        tune=TuneSpec(parent=checkpoint_of(library, parent), measure_forgetting=False),
        align=align,
    )


def checkpoint_of(library: Library, model: str) -> str:
    """Return a model as run settings name it: a run with the step of its last checkpoint; other paths are unchanged."""
    path = library.find_run(model)
    if path.parent != library.runs or not (path / "run.json").is_file():
        return model
    last = RunFolder.open(path).latest_checkpoint()
    return model if last is None else f"{path.name}@{checkpoint_step(last)}"


def train_stage(
    library: Library, spec: RunSpec, device: str, corpus: Corpus | None = None, control: StageControl | None = None
) -> Generator[Event, None, RunFolder]:
    """Return the finished run of a spec: an existing one with the data `corpus`, resumed if necessary, or a new one.

    corpus: None if the spec's dataset name identifies it. Yields the events of the training.

    Raises:
        ValueError: if the training fails; StageStoppedError if it was stopped.
    """
    control = StageControl() if control is None else control
    control.stage = spec.name
    yield Phase(name=spec.name)
    run = _known_run(library, spec, corpus)
    control.n_found += run is not None
    if run is None:
        free = dataclasses.replace(spec, name=library.free_run_name(spec.name))
        run = yield from prepare_run(library, free)
    control.last = run
    if control.mark is not None:
        mark_stage(run.folder, control.mark)
    if run.status != "finished":
        yield from control.trained(Trainer(run, library, device))
        control.last = run = RunFolder.open(run.folder)
    if run.status != "finished":
        raise StageStoppedError(
            f"The run {run.name!r} was stopped before its end: start the demonstration again to go on."
        )
    control.stage, control.done = "", (*control.done, spec.name)
    return run


def _known_run(library: Library, spec: RunSpec, corpus: Corpus | None) -> RunFolder | None:
    """Return the newest run with the same settings and data."""
    for info in library.list_runs():
        if info.problem is not None or not info.is_tuned:
            continue
        run = RunFolder.open(info.folder)
        same = (run.spec.data, run.spec.train, run.spec.tune, run.spec.align)
        if same != (spec.data, spec.train, spec.tune, spec.align) or run.status == "failed":
            continue
        if corpus is None or run.made_from("corpus").startswith(corpus.sha):
            return run
    return None
