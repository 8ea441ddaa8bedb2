"""The stages of a demonstration, each a separate run, which is found again or trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping
from typing import Any

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import Event, Phase
from terrarium.models.interop.parents import parent_config
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.recipes.job import RunJob
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.settings.tune_spec import TuneSpec, usual_train
from terrarium.models.training.prepare import prepare_run


class Stages:
    """Trains the stages of a demonstration with its job. A run that exists already is not trained again.

    current: the title of what is being trained, "" between two. done: the titles of the stages before it. n_found: the
    number of stages that existed already, complete or in part. last: the run that was trained last.
    """

    def __init__(self, job: RunJob) -> None:
        self.job = job
        self.current = ""
        self.done: tuple[str, ...] = ()
        self.n_found = 0
        self.last: RunFolder | None = None

    @property
    def library(self) -> Library:
        """The library of all runs."""
        return self.job.library

    @property
    def device(self) -> str:
        """The device that models are trained and measured on."""
        return self.job.device

    def train(self, spec: RunSpec, corpus: Corpus | None = None) -> Generator[Event, None, RunFolder]:
        """Return the finished run of a spec: an existing one with the data `corpus`, resumed if necessary, or a new
        one.

        corpus: None if the spec's dataset name identifies it. Yields the events of the training.

        Raises:
            ValueError: if the training fails.
        """
        self.current = spec.name
        yield Phase(name=spec.name)
        run = _known_run(self.library, spec, corpus)
        self.n_found += run is not None
        if run is None:
            free = dataclasses.replace(spec, name=self.library.free_run_name(spec.name))
            run = yield from prepare_run(self.library, free)
        run = yield from self.finish(run)
        self.current, self.done = "", (*self.done, spec.name)
        return run

    def finish(self, run: RunFolder) -> Generator[Event, None, RunFolder]:
        """Train a run to its end, unless it has finished, and return it."""
        self.last = run
        if run.status == "finished":
            return run
        yield from self.job.train(run)
        self.job.trainer = None  # its model is measured as it was saved, and need not stay in memory
        self.last = RunFolder.open(run.folder)
        return self.last


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
