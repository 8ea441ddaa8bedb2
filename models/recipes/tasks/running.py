"""A task from data to score as one generator: dataset, tokenizer, training, predictions, baselines, bars."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Generator, Mapping, Sequence

import torch

from models.data.corpus import open_corpus
from models.events import Event, Finished, Phase, Progress
from models.library.library import Library
from models.metrics.intervals import RESAMPLES
from models.metrics.report import Report
from models.recipes.tasks.own_data import own_dataset
from models.recipes.tasks.results import ALL, GroupScores, TaskResult
from models.recipes.tasks.table import TaskRecipe, with_steps
from models.runs.run_folder import RunFolder
from models.settings.run_spec import DataSpec, RunSpec
from models.tasks.evaluating import dataset_rows, evaluate, evaluate_predictions
from models.tasks.predicting import Prediction
from models.tasks.scoring import TaskRows, write_scores
from models.tasks.writing import Writing
from models.training.prepare import prepare_run
from models.training.trainer import Trainer
from models.training.trials.findings import RunCost
from models.training.trials.forecast import forecast

THREADS = 1
"""Matrices this small are multiplied as fast by one thread as by two, and another program can have the other core."""
_MIN_STEPS, _MOST_TIMES = 20, 4
"""Where the minutes are given: as many steps as fit into them, but not less, nor so many times the recipe's."""
_OTHER_SHARE = 0.25
"""The share of given minutes that is kept for everything but training."""


class TaskRun:
    """Carries out a recipe once. After the events, `result` holds the scores, None if it was stopped before.

    While it trains, `trainer` is the live Trainer and `run` its folder. The scores are also written there, as by
    `terrarium evaluate`, with those of the groups and baselines among the details.
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
        """Prepare.

        Args:
            minutes: as many steps as fit into them; None for the recipe's own number. parent: a model to fine-tune
                instead of starting from scratch. data: rows of one's own, of the task's form, instead of Tiny World's:
                a file of JSON lines, or a dataset of the library.

        Raises:
            ValueError: if the minutes are not above 0.
        """
        if minutes is not None and minutes <= 0:
            raise ValueError(f"A task cannot be learned in {minutes} minutes: use a number above 0.")
        self.recipe, self.seed = recipe, seed
        self._library, self._device, self._minutes = library, device, minutes
        self._parent, self._data = parent, data
        self._stop: tuple[bool, str] | None = None
        self._is_training = False
        self.trainer: Trainer | None = None
        self.run: RunFolder | None = None
        self.result: TaskResult | None = None

    def request_stop(self, keep: bool = True, status: str = "stopped") -> None:
        """Stop after the current step, or at the next event before or after training; nothing is scored then."""
        self._stop = (keep, status)
        if self.trainer is not None:
            self.trainer.request_stop(keep, status)

    def events(self) -> Generator[Event, None, None]:
        """Everything from data to score.

        Raises:
            ValueError: with a sentence, where the data or the parent does not suit the task, or training fails.
        """
        threads = torch.get_num_threads()
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
        spec = self._first_spec()
        if self._minutes is not None:
            spec = yield from self._fitted(spec, began)
        self.run = yield from prepare_run(self._library, spec)
        self.trainer = Trainer(self.run, self._library, device=self._device, allow_threads=THREADS)
        if self._stop is not None:  # Ctrl-C may come between any two lines
            self.trainer.request_stop(*self._stop)
        finished = False
        self._is_training = True
        with contextlib.closing(self.trainer.events()) as events:
            for event in events:
                finished = isinstance(event, Finished) and event.status == "finished"
                yield event
        self._is_training = False
        if finished:
            groups = yield from self._score(self.run, self.trainer)
            self.result = self._result(self.run, groups, time.perf_counter() - began)

    def _first_spec(self) -> RunSpec:
        """The spec with the recipe's number of steps."""
        recipe = self.recipe
        if not self._data:
            name = self._library.free_run_name(f"{recipe.title}, Tiny World {self.seed}")
            return recipe.spec(name, self.seed, parent=self._parent)
        corpus = own_dataset(self._library, self._data, recipe.task)
        data = DataSpec(source="dataset", dataset=corpus.sha, task=corpus.task)
        name = self._library.free_run_name(f"{recipe.title}, {corpus.label}")
        return recipe.spec(name, self.seed, data=data, parent=self._parent)

    def _fitted(self, spec: RunSpec, began: float) -> Generator[Event, None, RunSpec]:
        """The spec with as many steps as fit into the minutes."""
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
        steps = max(_MIN_STEPS, min(_MOST_TIMES * spec.train.steps, int(1000 * left / cost.ms_per_step)))
        return dataclasses.replace(spec, train=with_steps(spec.train, steps))

    def _score(self, run: RunFolder, trainer: Trainer) -> Generator[Event, None, Mapping[str, GroupScores]]:
        """The scores of the model and of the baselines by group; writes the model's to the run's folder."""
        corpus = open_corpus(self._library, run.made_from("corpus"))
        data = dataset_rows(corpus)
        writing = Writing(max_tokens=run.spec.model.context_length, template=trainer.context.template)
        found = yield from evaluate(trainer.model, trainer.tokenizer, data, run.spec.data.labels, writing)
        reports = {ALL: found.report} | (yield from self._by_group(data, found.predictions, run.spec.data.labels))
        yield Phase(name="Scoring simple rules on the same rows")
        baselines: dict[str, Mapping[str, Report]] = {}
        for make in self.recipe.baselines:
            baseline = make()
            baseline.fit(corpus.read_examples("train"))
            predictions = [Prediction(value=value) for value in baseline.predict(data.rows)]
            whole = yield from evaluate_predictions(data, predictions, run.spec.data.labels, resamples=0)
            of_group = yield from self._by_group(data, predictions, run.spec.data.labels, resamples=0)
            baselines[baseline.title] = {ALL: whole.report} | of_group
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

    def _by_group(
        self, data: TaskRows, predictions: Sequence[Prediction], labels: Sequence[str], resamples: int = RESAMPLES
    ) -> Generator[Event, None, dict[str, Report]]:
        """The reports of the rows of each group; none where rows have no groups."""
        reports: dict[str, Report] = {}
        for group in dict.fromkeys(str(row["group"]) for row in data.rows if "group" in row):
            chosen = [i for i, row in enumerate(data.rows) if str(row.get("group")) == group]
            part = dataclasses.replace(data, rows=[data.rows[i] for i in chosen])
            own = [predictions[i] for i in chosen]
            found = yield from evaluate_predictions(part, own, labels, resamples=resamples)
            reports[group] = found.report
        return reports

    def _result(self, run: RunFolder, groups: Mapping[str, GroupScores], seconds: float) -> TaskResult:
        headline = self.recipe.headline
        has_bar = not self._data
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
            bars=self.recipe.bars if has_bar else (),
        )
