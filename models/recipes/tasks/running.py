"""A task from data to score as one generator: dataset, tokenizer, training, predictions, baselines, goals."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import torch

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, find_dataset, open_corpus
from terrarium.models.events import Event, Finished, Phase, Progress
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.metrics.report import Report
from terrarium.models.recipes.tasks.published import ALL_RECIPES, PublishedRecipe
from terrarium.models.recipes.tasks.results import (
    ALL,
    GroupScores,
    RecipeMark,
    TaskResult,
    mark_run,
    read_mark,
    write_result,
)
from terrarium.models.recipes.tasks.tasks_table import TaskRecipe, with_steps
from terrarium.models.runs.checkpoint_state import BASE
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.evaluating import dataset_rows, evaluate_predictions, read_task_rows, score_groups
from terrarium.models.tasks.predicting import Prediction, predict
from terrarium.models.tasks.scoring import TaskRows, write_scores
from terrarium.models.tasks.writing import Writing
from terrarium.models.tiny_world.splits import split_of
from terrarium.models.tokenizers import encode_text
from terrarium.models.training.estimates.findings import RunCost
from terrarium.models.training.estimates.forecast import forecast
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.trainer import Trainer

THREADS = 1
"""Matrices this small are multiplied as fast by one thread as by two, and the other core is left to other programs."""
_THREADS_OF_LARGE = 2
"""Published models are larger, and so are batches of texts to generate: some 4,000 tokens."""
_MIN_STEPS, _MAX_TIMES = 20, 4
"""If minutes are given: the minimum steps, and the maximum multiple of the recipe's steps."""
_OTHER_SHARE = 0.25
"""The share of given minutes that is reserved for everything except training."""
_SPARE = 16
"""Tokens that a text may be longer than the longest of training: one that never ends is wrong anyway."""
FROM_SCRATCH, BEFORE = "From scratch", "Before fine-tuning"
"""The additional baselines of a fine-tuned model, depending on whether its recipe can start from scratch."""

_ANSWERS = frozenset({"label", "labels", "score", "tags", "answers", "target"})
"""The columns with the answers that a model must find."""


class TaskRun:
    """Runs a recipe once. After the events, `result` has the scores, None if it was stopped.

    During training, `trainer` is the live Trainer and `run` its folder. The scores are also written there, as by
    `terrarium evaluate`, with those of the groups and baselines among the details; so is the result, which
    models.recipes.tasks.results reads.
    """

    def __init__(
        self,
        library: Library,
        recipe: TaskRecipe,
        *,
        device: str = "auto",
        seed: int = 0,
        minutes: float | None = None,
        parent: str = "",
        data: str = "",
    ) -> None:
        """Prepare the task without running it.

        Args:
            minutes: as many steps as fit into them; None for the recipe's own number.
            parent: a model to fine-tune instead of starting from scratch.
            data: the user's own rows, in the task's form, instead of Tiny World's: a file of JSON lines, or a dataset
                of the library. For a published recipe this is its package's file, or, if it needs a parent, that
                parent.

        Raises:
            ValueError: if the minutes are not above 0.
        """
        if minutes is not None and minutes <= 0:
            raise ValueError(f"A task cannot be learned in {minutes} minutes: use a number above 0.")
        self.recipe, self.seed = recipe, seed
        self._library, self._device, self._minutes = library, device, minutes
        self._parent, self._data = parent, data
        if isinstance(recipe, PublishedRecipe) and recipe.needs_parent and not parent:
            self._parent, self._data = data, ""
        self._has_own_rows = _are_own_rows(recipe, self._data)
        self._stop: tuple[bool, str] | None = None
        self._is_training = self._is_resumed = False
        self._threads = THREADS
        self.trainer: Trainer | None = None
        self.run: RunFolder | None = None
        self.result: TaskResult | None = None

    @classmethod
    def resumed(cls, library: Library, run: RunFolder, *, device: str = "auto") -> TaskRun | None:
        """Return the rest of a recipe whose run was stopped or paused, from its last checkpoint; None without a
        recipe.

        Other models that it had trained for comparison are no longer known.
        """
        mark = read_mark(run.folder)
        if mark is None or mark.name not in ALL_RECIPES:
            return None
        task = cls(library, ALL_RECIPES[mark.name], device=device, seed=mark.seed)
        task.run, task._is_resumed, task._has_own_rows = run, True, mark.has_own_rows
        return task

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event before or after training; nothing is scored then."""
        self._stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """Run everything from data to score.

        Raises:
            ValueError: if the data or the parent does not suit the task, or training fails.
        """
        self._threads = threads = torch.get_num_threads()
        torch.set_num_threads(THREADS)
        try:
            with contextlib.closing(self._events(time.perf_counter())) as events:
                for event in events:
                    yield event
                    if self._stop is not None and not self._is_training:
                        break
        finally:
            torch.set_num_threads(threads)

    def _events(self, began: float) -> Generator[Event, None, None]:
        if self._is_resumed:
            assert self.run is not None
            before_s = inspect_run(self.run.folder).elapsed_s or 0.0
            yield from self._train_and_score(self.run, {}, began - before_s)
            return
        spec = yield from self._first_spec()
        if self._minutes is not None:
            spec = yield from self._fitted(spec, began)
        beside: dict[str, Sequence[Prediction]] = {}
        if isinstance(self.recipe, PublishedRecipe) and spec.tune is not None and not self.recipe.needs_parent:
            plain = self.recipe.spec(
                self._library.free_run_name(f"{spec.name}, from scratch"), self.seed, data=spec.data
            )
            run = yield from prepare_run(self._library, plain)
            if not (yield from self._train(run)):
                return
            beside[FROM_SCRATCH] = yield from self._predict()
        run = yield from prepare_run(self._library, spec)
        mark_run(run.folder, RecipeMark(name=self.recipe.name, seed=self.seed, has_own_rows=self._has_own_rows))
        yield from self._train_and_score(run, beside, began)

    def _train_and_score(
        self, run: RunFolder, beside: Mapping[str, Sequence[Prediction]], began: float
    ) -> Generator[Event, None, None]:
        """Train and score a run. beside: the predictions of other models, by title."""
        if not (yield from self._train(run)):
            return
        beside = dict(beside)
        if isinstance(self.recipe, PublishedRecipe) and self.recipe.needs_parent:
            yield Phase(name="Asking the model as it was before")
            beside[BEFORE] = yield from self._predict_before()
        groups = yield from self._score(beside)
        result = self._result(run, groups, time.perf_counter() - began)
        write_result(result)
        self.result = result

    def _train(self, run: RunFolder) -> Generator[Event, None, bool]:
        """Train a run. Returns whether it finished."""
        self.run = run
        allowed = min(_THREADS_OF_LARGE, self._threads) if _is_large(self.recipe, run.spec) else THREADS
        torch.set_num_threads(allowed)
        self.trainer = Trainer(self.run, self._library, device=self._device, allow_threads=allowed)
        if self._stop is not None:  # Ctrl-C may come at any point
            self.trainer.request_stop(*self._stop)
        finished = False
        self._is_training = True
        with contextlib.closing(self.trainer.events()) as events:
            for event in events:
                finished = isinstance(event, Finished) and event.status == "finished"
                yield event
        self._is_training = False
        return finished

    def _predict(self) -> Generator[Event, None, Sequence[Prediction]]:
        """Predict with the model that was trained last."""
        assert self.run is not None
        assert self.trainer is not None
        data, labels = self._test_rows(), self.run.spec.data.labels
        yield Phase(name="Predicting")
        return (
            yield from predict(
                self.trainer.model, self.trainer.tokenizer, data.task, data.rows, labels, writing=self._writing()
            )
        )

    def _predict_before(self) -> Generator[Event, None, Sequence[Prediction]]:
        """Predict with the parent, whose weights are saved in the run."""
        assert self.run is not None
        assert self.trainer is not None
        data = self._test_rows()
        parent, _ = load_model(self.run.folder / BASE)
        return (yield from predict(parent, self.trainer.tokenizer, data.task, data.rows, (), writing=self._writing()))

    def _corpus(self) -> Corpus:
        assert self.run is not None
        return open_corpus(self._library, self.run.made_from("corpus"))

    def _test_rows(self) -> TaskRows:
        return dataset_rows(self._corpus())

    def _writing(self) -> Writing:
        assert self.run is not None
        assert self.trainer is not None
        context_length = self.run.spec.model.context_length
        targets = [row["target"] for row in self._corpus().read_examples("train") if "target" in row]
        longest = max((len(encode_text(self.trainer.tokenizer, target)) for target in targets), default=0)
        return Writing(max_tokens=min(context_length, longest + _SPARE), template=self.trainer.context.template)

    def _first_spec(self) -> Generator[Event, None, RunSpec]:
        """Return the spec with the recipe's number of steps."""
        recipe = self.recipe
        if isinstance(recipe, PublishedRecipe):
            recipe.check_parent(self._parent)
        if isinstance(recipe, PublishedRecipe) and not self._has_own_rows:
            corpus = yield from recipe.dataset(self._library, self._data, self.seed)
        elif self._data:
            corpus = own_dataset(self._library, self._data, recipe.task)
        else:
            name = self._library.free_run_name(f"{recipe.title}, Tiny World {self.seed}")
            return recipe.spec(name, self.seed, parent=self._parent)
        data = DataSpec(source="dataset", dataset=corpus.sha, task=corpus.task)
        about = f"seed {self.seed}" if corpus.label.startswith(recipe.title) else corpus.label
        name = self._library.free_run_name(f"{recipe.title}, {about}")
        return recipe.spec(name, self.seed, data=data, parent=self._parent)

    def _fitted(self, spec: RunSpec, began: float) -> Generator[Event, None, RunSpec]:
        """Return the spec with as many steps as fit into the minutes."""
        assert self._minutes is not None
        cost: RunCost | None = None
        for event in forecast(self._library, spec, self._device):
            if isinstance(event, RunCost):
                cost = event
            elif isinstance(event, Phase | Progress):
                yield event
        if cost is None or not cost.ms_per_step:
            return spec
        left = 60 * self._minutes * (1 - _OTHER_SHARE) - (time.perf_counter() - began) - cost.validation_s
        steps = max(_MIN_STEPS, min(_MAX_TIMES * spec.train.steps, int(1000 * left / cost.ms_per_step)))
        return dataclasses.replace(spec, train=with_steps(spec.train, steps))

    def _score(self, beside: Mapping[str, Sequence[Prediction]]) -> Generator[Event, None, Mapping[str, GroupScores]]:
        """Score the model and the baselines by group; writes the model's scores to the run's folder.

        beside: the predictions of other models, by their title among the baselines.
        """
        assert self.run is not None
        run, corpus, data = self.run, self._corpus(), self._test_rows()
        labels = run.spec.data.labels
        found = yield from evaluate_predictions(data, (yield from self._predict()), labels)
        reports = {ALL: found.report} | (yield from score_groups(data, found.predictions, labels))
        yield Phase(name="Scoring simple rules on the same rows")
        others = dict(beside)
        for make in self.recipe.baselines:
            baseline = make()
            baseline.fit(corpus.read_examples("train"))
            others[baseline.title] = [Prediction(value=value) for value in baseline.predict(data.rows)]
        baselines: dict[str, Mapping[str, Report]] = {}
        for title, predictions in others.items():
            whole = yield from evaluate_predictions(data, predictions, labels, resamples=0)
            of_group = yield from score_groups(data, predictions, labels, resamples=0)
            baselines[title] = {ALL: whole.report} | of_group
        groups = {
            group: GroupScores(report=report, baselines={title: own[group] for title, own in baselines.items()})
            for group, report in reports.items()
        }
        details = {
            **found.report.details,
            "groups": {group: scores.report.to_dict() for group, scores in groups.items() if group != ALL},
            "baselines": {title: own[ALL].to_dict() for title, own in baselines.items()},
        }
        write_scores(run.folder, dataclasses.replace(found, report=dataclasses.replace(found.report, details=details)))
        return groups

    def _result(self, run: RunFolder, groups: Mapping[str, GroupScores], seconds: float) -> TaskResult:
        headline = self.recipe.headline
        report = groups[ALL].report
        is_scored = headline.metric in report.scores
        return TaskResult(
            name=self.recipe.name,
            seed=self.seed,
            run=run.folder,
            seconds=seconds,
            metric=headline.metric if is_scored else report.headline,
            group=headline.group if headline.group in groups else ALL,
            groups=groups,
            bars=() if self._has_own_rows else self.recipe.bars,
        )


def _are_own_rows(recipe: TaskRecipe, data: str) -> bool:
    """Whether `data` is the user's own rows: for a recipe that reads a package, JSON lines or a dataset."""
    if not isinstance(recipe, PublishedRecipe):
        return bool(data)
    path = Path(data).expanduser()
    return bool(data) and (path.suffix == ".jsonl" or not (path.exists() or "." in path.name))


def _is_large(recipe: TaskRecipe, spec: RunSpec) -> bool:
    is_tuned = isinstance(recipe, PublishedRecipe) and recipe.tuning is not None and spec.tune is not None
    return is_tuned or spec.learned_task == "text-to-text"


def own_dataset(library: Library, data: str, task: str) -> Corpus:
    """Return the rows of a JSON-lines file as a dataset of `task`, or the dataset of the library that `data` names.

    A tenth each goes to validation and test, by a hash of the row without its answer; duplicates count once.

    Raises:
        ValueError: if there is no such file or dataset, a row does not suit the task, or a split is empty.
    """
    found = read_task_rows(library, data, task)
    if not Path(data).expanduser().is_file():
        return find_dataset(library, data)
    columns = [column for column in TASKS[task].columns if column not in _ANSWERS]
    splits: dict[str, dict[str, Example]] = {"train": {}, "val": {}, "test": {}}
    for row in found.rows:
        item = str([row[column] for column in (*columns, *TASKS[task].optional_columns) if column in row])
        splits[split_of(item)].setdefault(item, dict(row))
    if not all(splits.values()):
        raise ValueError(f"{data} has too few different rows for training, validation and test: give at least 50.")
    train, val, test = (list(rows.values()) for rows in splits.values())
    return build_examples_corpus(library, train, val, found.name, None, test=test, task=task)
