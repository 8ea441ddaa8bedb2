"""A job carries out a recipe: it trains the recipe's runs one after the other, and can be stopped at any event.

Each run gets the mark of the recipe (models.recipes.mark), so that another process can carry out the rest later:
`models.recipes.recipes.resume` makes the recipe again from its arguments, with a job that finds the runs already begun.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.data.batches import Batches
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Finished
from terrarium.models.interop.loading import load_model_events
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import checkpoint_step, inspect_run
from terrarium.models.recipes.mark import RunMark, find_run_mark, write_run_mark
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.trainer import Trainer


class StoppedError(Exception):
    """The user has stopped the job: raised when a stopped training has ended, or at the current event between two."""


@dataclass(frozen=True, kw_only=True)
class TrainedModel:
    """A trained model with its run and its step."""

    run: RunFolder
    model: AnyModel
    tokenizer: Tokenizer
    step: int


class Recipe(Protocol):
    """What a job carries out. Its arguments are plain data, so it can wait in the queue, and be made again later.

    kind: a key of models.recipes.recipes.RECIPES, "" for one that leaves no mark.
    """

    @property
    def kind(self) -> str: ...

    def arguments(self) -> dict[str, Any]:
        """Return all that is needed to make this recipe again, as JSON."""

    def work(self, job: RunJob) -> Generator[Event, None, Any]:
        """Do everything from data to result, which is returned. Trainings go through `job.train`.

        A stop raises StoppedError at the current event, so that a recipe can save how far it has come.
        """


class RunJob:
    """Carries out a recipe once.

    trainer: the live Trainer; after its training the last one, until the next begins or the recipe sets it to None.
    run: the run that is being trained, or was last. stop: the arguments of `request_stop`, None before. was_stopped:
    whether the stop has come into effect. After the events: `result` is what the recipe has returned, None if it was
    stopped, and `seconds` the time that it took.
    """

    def __init__(
        self, library: Library, recipe: Recipe, *, device: str = "auto", resumed: RunFolder | None = None
    ) -> None:
        """resumed: a run of an earlier job with the same recipe, which is continued."""
        self.library, self.recipe, self.device, self.resumed = library, recipe, device, resumed
        self._mark = find_run_mark(resumed.folder) if resumed is not None else None
        self._id = self._mark.job if self._mark is not None and self._mark.job else uuid.uuid4().hex[:12]
        self._is_training = self.was_stopped = False
        self.trainer: Trainer | None = None
        self.run: RunFolder | None = None
        self.stop: tuple[bool, str] | None = None
        self.result: Any = None
        self.seconds = 0.0

    # Control, between two events

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event if nothing is being trained. `keep`, `status`: as for
        Trainer.request_stop.
        """
        self.stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def live(self, run_id: str = "") -> Trainer | None:
        """Return the live Trainer if it is that of this run; None otherwise. run_id: "" for any run."""
        return self.trainer if self.trainer is not None and run_id in ("", self.trainer.run.id) else None

    def events(self) -> Generator[Event, None, None]:
        """Carry out the recipe. Closing the generator early saves and pauses the run that is being trained.

        Raises:
            ValueError: if the data, a model or a setting does not suit the recipe, or a training fails.
        """
        threads, began = torch.get_num_threads(), time.perf_counter()
        work = self.recipe.work(self)
        try:
            self.result = yield from self._until_stopped(work)
        except StoppedError:
            if self.run is not None and self.run.status == "finished" and self.stop is not None:  # the recipe has not
                yield Finished(run_id=self.run.id, status=self.stop[1], step=self.run.spec.train.steps)
        finally:
            work.close()
            self.trainer = None
            self.seconds = time.perf_counter() - began
            torch.set_num_threads(threads)

    def _until_stopped(self, work: Generator[Event, None, Any]) -> Generator[Event, None, Any]:
        """Yield the events of `work` and return its result; a stop between two trainings is raised inside it."""
        while True:
            stops = self.stop is not None and not self._is_training and not self.was_stopped
            self.was_stopped = self.was_stopped or stops
            try:
                event = work.throw(StoppedError()) if stops else next(work)
            except StopIteration as end:
                return end.value
            yield event

    # For recipes

    def find(self, part: str = "") -> RunFolder | None:
        """Return the run that an earlier job has begun for this part of the recipe; None if there is none."""
        mark = self._mark
        if self.resumed is None or mark is None or mark.part == part:
            return self.resumed
        for info in self.library.list_runs() if mark.job else ():
            other = find_run_mark(info.folder)
            if info.problem is None and other is not None and (other.job, other.part) == (mark.job, part):
                return RunFolder.open(info.folder)
        return None

    def trained(
        self, run: RunFolder, part: str = "", *, threads: int | None = None, batches: Batches | None = None
    ) -> Generator[Event, None, TrainedModel]:
        """As `train`, but a run whose training has ended is only loaded."""
        if run.status != "finished" and not inspect_run(run.folder).is_unmeasured:
            return (yield from self.train(run, part, threads=threads, batches=batches))
        self.run, last = run, run.latest_checkpoint()
        if last is None:
            raise ValueError(f"The run {run.name!r} has no checkpoint any more, so its model cannot be evaluated.")
        step = checkpoint_step(last)
        yield Finished(run_id=run.id, status=run.status, step=step)
        model, tokenizer = yield from load_model_events(last, choose_device(self.device).device)
        assert tokenizer is not None
        return TrainedModel(run=run, model=model, tokenizer=tokenizer, step=step)

    def train(
        self, run: RunFolder, part: str = "", *, threads: int | None = None, batches: Batches | None = None
    ) -> Generator[Event, None, TrainedModel]:
        """Train a run to its end, from its last checkpoint if it has one, and return its model.

        Args:
            part: which of the recipe's runs it is, for `find`.
            threads, batches: as `allow_threads` and `made_batches` of Trainer.

        Raises:
            StoppedError: if the user stops the training; ValueError if it fails.
        """
        self.run = run
        self.mark(run, part)
        self.trainer = trainer = Trainer(
            run, self.library, device=self.device, allow_threads=threads, made_batches=batches
        )
        if self.stop is not None:  # Ctrl-C may come at any point
            trainer.request_stop(*self.stop)
        self._is_training = True
        try:
            with contextlib.closing(trainer.events()) as events:
                yield from events
        finally:
            self._is_training = False
        if self.stop is not None:
            self.was_stopped = True
            raise StoppedError
        return TrainedModel(run=run, model=trainer.model, tokenizer=trainer.tokenizer, step=trainer.step)

    def mark(self, run: RunFolder, part: str = "") -> None:
        """Mark a run as one of this recipe's. The mark of a resumed run, and of a recipe with a result, is retained."""
        known, kind = find_run_mark(run.folder), self.recipe.kind
        is_resumed = self.resumed is not None and run.id == self.resumed.id and known is not None and known.kind == kind
        if not kind or is_resumed or (known is not None and known.result is not None):
            return
        mark = RunMark(kind=kind, arguments=self.recipe.arguments(), job=self._id, part=part)
        if mark != known:
            with contextlib.suppress(FileNotFoundError):  # the run was deleted just now, which its Trainer reports
                write_run_mark(run.folder, mark)


class SingleRun:
    """The training of one run, which leaves no mark."""

    kind = ""

    def __init__(self, prepare: Callable[[Library], Generator[Event, None, RunFolder]] | None = None) -> None:
        """prepare: makes the run; None for a job that resumes one."""
        self._prepare = prepare

    def arguments(self) -> dict[str, Any]:
        return {}

    def work(self, job: RunJob) -> Generator[Event, None, None]:
        run = job.find()
        if run is None:
            assert self._prepare is not None
            run = yield from self._prepare(job.library)
        yield from job.train(run)
