"""A task from data to score as one generator: dataset, tokenizer, training, predictions, baselines, goals."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from terrarium.models.chat.template_config import ChatTemplateConfig, read_kept_template_config
from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, find_dataset, open_corpus
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.interop.loading import load_model
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import inspect_run
from terrarium.models.metrics.report import Report
from terrarium.models.recipes.job import RunJob, TrainedModel
from terrarium.models.recipes.mark import TASK, absolute_path
from terrarium.models.recipes.tasks.published import ALL_RECIPES, PublishedRecipe
from terrarium.models.recipes.tasks.results import (
    ALL,
    GroupScores,
    TaskResult,
    write_result,
)
from terrarium.models.recipes.tasks.tasks_table import TaskRecipe, with_steps
from terrarium.models.runs.checkpoint_state import BASE
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.evaluating import dataset_rows, evaluate_predictions, read_task_rows, score_groups
from terrarium.models.tasks.predicting import Prediction, predict
from terrarium.models.tasks.scoring import write_scores
from terrarium.models.tasks.writing import Writing
from terrarium.models.tiny_world.splits import split_of
from terrarium.models.tokenizers import encode_text
from terrarium.models.training.estimates.findings import RunCost
from terrarium.models.training.estimates.forecast import forecast
from terrarium.models.training.prepare import prepare_run

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
_SCRATCH = "from scratch"
"""The part of a job that trains a fine-tuned model's twin from scratch."""
FROM_SCRATCH, BEFORE = "From scratch", "Before fine-tuning"
"""The additional baselines of a fine-tuned model, depending on whether its recipe can start from scratch."""

_ANSWERS = frozenset({"label", "labels", "score", "tags", "answers", "target"})
"""The columns with the answers that a model must find."""


class TaskRun:
    """Learns a task of a recipe. Its result is a TaskResult.

    The scores are also written to the run's folder, as by `terrarium evaluate`, with those of the groups and baselines
    among the details; so is the result, which models.recipes.tasks.results reads.
    """

    kind = TASK

    def __init__(
        self,
        recipe: TaskRecipe,
        *,
        seed: int = 0,
        minutes: float | None = None,
        parent: str = "",
        data: str = "",
        own_rows: bool | None = None,
    ) -> None:
        """Args:
            minutes: as many steps as fit into them; None for the recipe's own number.
            parent: a model to fine-tune instead of starting from scratch.
            data: the user's own rows, in the task's form, instead of Tiny World's: a file of JSON lines, or a dataset
                of the library. For a published recipe this is its package's file, or, if it needs a parent, that
                parent.
            own_rows: whether these are the user's own rows; None if `data` tells. (Marks before version 0.3 have no
                `data`.)

        Raises:
            ValueError: if the minutes are not above 0.
        """
        if minutes is not None and minutes <= 0:
            raise ValueError(f"A task cannot be learned in {minutes} minutes: use a number above 0.")
        self.recipe, self.seed = recipe, seed
        self._minutes, self._parent, self._data = minutes, parent, data
        if isinstance(recipe, PublishedRecipe) and recipe.needs_parent and not parent:
            self._parent, self._data = data, ""
        self._has_own_rows = _are_own_rows(recipe, self._data) if own_rows is None else own_rows

    @classmethod
    def made_from(cls, arguments: Mapping[str, Any]) -> TaskRun:
        """Make the recipe from its arguments; KeyError if there is no such task, TypeError or ValueError if an
        argument is invalid.
        """
        others = dict(arguments)
        return cls(ALL_RECIPES[others.pop("name")], **others)

    def arguments(self) -> dict[str, Any]:
        return {
            "name": self.recipe.name,
            "seed": self.seed,
            "minutes": self._minutes,
            "parent": absolute_path(self._parent),
            "data": absolute_path(self._data),
            "own_rows": self._has_own_rows,
        }

    def work(self, job: RunJob) -> Generator[Event, None, TaskResult]:
        """Do everything from data to score.

        Raises:
            ValueError: if the data or the parent does not suit the task, or training fails.
        """
        threads, began = torch.get_num_threads(), time.perf_counter()
        torch.set_num_threads(THREADS)
        run = job.find()
        if run is not None:
            began -= inspect_run(run.folder).elapsed_s or 0.0
        else:
            spec = yield from self._first_spec(job.library)
            if self._minutes is not None:
                spec = yield from self._fitted(spec, job, began)
            run = yield from prepare_run(job.library, spec)
            job.mark(run)  # before its twin is trained, so that it can be resumed
        beside: dict[str, Sequence[Prediction]] = {}
        if isinstance(self.recipe, PublishedRecipe) and run.spec.tune is not None and not self.recipe.needs_parent:
            beside[FROM_SCRATCH] = yield from self._predict_from_scratch(job, self.recipe, run, threads)
        trained = yield from self._train(job, run, threads)
        if isinstance(self.recipe, PublishedRecipe) and self.recipe.needs_parent:
            yield Phase(name="Asking the model as it was before")
            beside[BEFORE] = yield from _predict_before(job.library, trained)
        groups = yield from self._score(job.library, trained, beside)
        result = self._result(run, groups, time.perf_counter() - began)
        write_result(result)
        return result

    def _predict_from_scratch(
        self, job: RunJob, recipe: PublishedRecipe, run: RunFolder, threads: int
    ) -> Generator[Event, None, Sequence[Prediction]]:
        """Train a fine-tuned run's twin from scratch, and predict with it."""
        other = job.find(_SCRATCH)
        if other is None:
            name = job.library.free_run_name(f"{run.name}, from scratch")
            other = yield from prepare_run(job.library, recipe.spec(name, self.seed, data=run.spec.data))
        return (yield from _predict(job.library, (yield from self._train(job, other, threads, _SCRATCH))))

    def _train(self, job: RunJob, run: RunFolder, threads: int, part: str = "") -> Generator[Event, None, TrainedModel]:
        """Train a run with at most `threads`."""
        allowed = min(_THREADS_OF_LARGE, threads) if _is_large(self.recipe, run.spec) else THREADS
        torch.set_num_threads(allowed)
        return (yield from job.trained(run, part, threads=allowed))

    def _first_spec(self, library: Library) -> Generator[Event, None, RunSpec]:
        """Return the spec with the recipe's number of steps."""
        recipe = self.recipe
        if isinstance(recipe, PublishedRecipe):
            recipe.check_parent(self._parent)
        if isinstance(recipe, PublishedRecipe) and not self._has_own_rows:
            corpus = yield from recipe.dataset(library, self._data, self.seed)
        elif self._data:
            corpus = own_dataset(library, self._data, recipe.task)
        else:
            name = library.free_run_name(f"{recipe.title}, Tiny World {self.seed}")
            return recipe.spec(name, self.seed, parent=self._parent)
        data = DataSpec(source="dataset", dataset=corpus.sha, task=corpus.task)
        about = f"seed {self.seed}" if corpus.label.startswith(recipe.title) else corpus.label
        name = library.free_run_name(f"{recipe.title}, {about}")
        return recipe.spec(name, self.seed, data=data, parent=self._parent)

    def _fitted(self, spec: RunSpec, job: RunJob, began: float) -> Generator[Event, None, RunSpec]:
        """Return the spec with as many steps as fit into the minutes."""
        assert self._minutes is not None
        cost: RunCost | None = None
        for event in forecast(job.library, spec, job.device):
            if isinstance(event, RunCost):
                cost = event
            elif isinstance(event, Phase | Progress):
                yield event
        if cost is None or not cost.ms_per_step:
            return spec
        left = 60 * self._minutes * (1 - _OTHER_SHARE) - (time.perf_counter() - began) - cost.validation_s
        steps = max(_MIN_STEPS, min(_MAX_TIMES * spec.train.steps, int(1000 * left / cost.ms_per_step)))
        return dataclasses.replace(spec, train=with_steps(spec.train, steps))

    def _score(
        self, library: Library, trained: TrainedModel, beside: Mapping[str, Sequence[Prediction]]
    ) -> Generator[Event, None, Mapping[str, GroupScores]]:
        """Score the model and the baselines by group; writes the model's scores to the run's folder.

        beside: the predictions of other models, by their title among the baselines.
        """
        run, corpus = trained.run, _corpus_of(library, trained.run)
        data, labels = dataset_rows(corpus), run.spec.data.labels
        found = yield from evaluate_predictions(data, (yield from _predict(library, trained)), labels)
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


def _corpus_of(library: Library, run: RunFolder) -> Corpus:
    return open_corpus(library, run.made_from("corpus"))


def _predict(library: Library, trained: TrainedModel) -> Generator[Event, None, Sequence[Prediction]]:
    """Predict the answers of the test rows."""
    corpus = _corpus_of(library, trained.run)
    data, labels = dataset_rows(corpus), trained.run.spec.data.labels
    yield Phase(name="Predicting")
    writing = _writing(corpus, trained)
    return (yield from predict(trained.model, trained.tokenizer, data.task, data.rows, labels, writing=writing))


def _predict_before(library: Library, trained: TrainedModel) -> Generator[Event, None, Sequence[Prediction]]:
    """Predict with the parent, whose weights are saved in the run."""
    corpus = _corpus_of(library, trained.run)
    data, (parent, _) = dataset_rows(corpus), load_model(trained.run.folder / BASE)
    writing = _writing(corpus, trained)
    return (yield from predict(parent, trained.tokenizer, data.task, data.rows, (), writing=writing))


def _writing(corpus: Corpus, trained: TrainedModel) -> Writing:
    targets = [row["target"] for row in corpus.read_examples("train") if "target" in row]
    longest = max((len(encode_text(trained.tokenizer, target)) for target in targets), default=0)
    max_tokens = min(trained.run.spec.model.context_length, longest + _SPARE)
    template = read_kept_template_config(trained.run.folder) or ChatTemplateConfig()
    return Writing(max_tokens=max_tokens, template=template)


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
