"""Evaluates a model on a dataset of the library, or on a file of rows: predictions, what they are worth, and what
simple rules reach on the same rows."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from models.architecture.transformer import AnyModel
from models.data.corpus import Corpus, find_dataset
from models.events import Event, Phase, Progress
from models.library.library import Library
from models.metrics.intervals import Comparison
from models.metrics.report import Report, compare
from models.metrics.table import METRICS
from models.settings.tasks import TASKS
from models.tasks.baselines import BASELINES
from models.tasks.code_judge import Judgement, Outcome, judge_code, score_code
from models.tasks.predicting import Prediction, predict
from models.tasks.rows import Row, check_rows
from models.tasks.scoring import Evaluation, TaskRows, score
from models.tasks.stored_scores import BaselineScore, GroupScore, StoredScores
from models.tasks.writing import Writing

_MAX_TRAINING_ROWS = 20_000
_OF_PROBABILITIES = ("auc", "ece")
_OUTCOME = "outcome"


def read_task_rows(library: Library, data: str, task: str = "", split: str = "test") -> TaskRows:
    """The rows that `data` names: a dataset of the library, or a file of JSON lines, whose task must be given.

    Of a dataset without a test split, the validation is taken.

    Raises:
        ValueError: where there is no such file or dataset, or a row has not the form of the task, naming file and line.
    """
    path = Path(data).expanduser()
    if path.is_file():
        if not task:
            raise ValueError(f"{path}: it is not known what task its rows are for: say which, as classification.")
        found = TaskRows(name=path.stem, task=task, metric="", rows=_read_lines(path))
        where = str(path)
    else:
        corpus = find_dataset(library, data)
        if task and task != corpus.task:
            raise ValueError(f"The dataset {corpus.label!r} is for {corpus.task}, not for {task}: omit the task.")
        found = dataset_rows(corpus, split)
        where = f"{corpus.label} ({split})"
    if not TASKS[found.task].metrics:
        raise ValueError(f"{where} is for {found.task}, which has no answers to be scored: choose another dataset.")
    check_rows(found.task, found.rows, None, where)
    return found


def dataset_rows(corpus: Corpus, split: str = "test") -> TaskRows:
    """The rows of a split of a dataset; those of the validation where it has no test."""
    if split not in corpus.splits:
        split = "val"
    return TaskRows(
        name=f"{corpus.label}-{split}", task=corpus.task, metric=corpus.metric, rows=corpus.read_examples(split)
    )


def evaluate(
    model: AnyModel,
    tokenizer: Tokenizer,
    data: TaskRows,
    labels: Sequence[str] = (),
    writing: Writing | None = None,
    *,
    train_rows: Sequence[Row] = (),
    step: int | None = None,
) -> Generator[Event, None, Evaluation]:
    """Predict and score; texts whose rows have cases are run as code. Yields Phase and Progress (rows).

    Other arguments as for `predict`.

    Args:
        train_rows: what the baselines learn from; without any, they are left out. step: of the model's training.

    Raises:
        ValueError: as `predict`; or where a row of code has damaged cases.
    """
    yield Phase(name="Predicting")
    predictions = yield from predict(model, tokenizer, data.task, data.rows, labels, writing=writing)
    yield Phase(name="Scoring")
    predictions = yield from _judged(data, predictions)
    report = report_of(data, predictions, labels)
    baselines = yield from _score_baselines(data, report.headline, train_rows)
    return Evaluation(
        data=data,
        predictions=predictions,
        report=report,
        labels=tuple(labels),
        step=step,
        baselines=baselines,
        groups=_score_groups(data, predictions, labels, report.headline),
    )


def report_of(data: TaskRows, predictions: Sequence[Prediction], labels: Sequence[str] = ()) -> Report:
    """The scores of predictions, with `data.metric` as the headline where it was computed; also those of code."""
    report = score(data.task, predictions, data.rows, labels)
    if predictions and all(_OUTCOME in prediction.details for prediction in predictions):
        code = score_code([Judgement(Outcome(prediction.details[_OUTCOME])) for prediction in predictions])
        report = replace(report.joined(code), item_scores=code.item_scores).with_headline(code.headline)
    return report.with_headline(data.metric) if data.metric in report.scores else report


def compare_scores(a: StoredScores, b: StoredScores, metric: str) -> Comparison:
    """The model of `b` compared with that of `a` by one metric, on the same rows, by paired bootstrap.

    Raises:
        ValueError: where they were not evaluated on the same rows, or the metric is undefined for one of them.
    """
    if a.task != b.task or [row.row for row in a.rows] != [row.row for row in b.rows]:
        raise ValueError("They were not evaluated on the same rows: evaluate both on the same data.")
    return compare(_report_of_stored(a), _report_of_stored(b), metric)


def _report_of_stored(found: StoredScores) -> Report:
    predictions = [
        Prediction(value=row.prediction, score=row.score, probabilities=row.probabilities, details=row.details)
        for row in found.rows
    ]
    rows = [row.row for row in found.rows]
    data = TaskRows(name=found.name, task=found.task, metric=found.report.headline, rows=rows)
    return report_of(data, predictions, found.labels)


def _judged(data: TaskRows, predictions: list[Prediction]) -> Generator[Event, None, list[Prediction]]:
    """The predictions with what came of running them, where they are code (and the sandbox is installed)."""
    if data.task != "text-to-text" or not all("cases" in row for row in data.rows):
        return predictions
    yield Phase(name="Running the functions")
    _, judgements = yield from judge_code(data.rows, [prediction.value for prediction in predictions])
    if not judgements:
        return predictions
    return [
        replace(prediction, details={_OUTCOME: str(each.outcome), "why": each.detail, "case": each.case})
        for prediction, each in zip(predictions, judgements, strict=True)
    ]


def _score_baselines(
    data: TaskRows, metric: str, train_rows: Sequence[Row]
) -> Generator[Event, None, tuple[BaselineScore, ...]]:
    """What rules reach that learn from the same training rows, or an even choice of very many, the best first.

    Nothing for metrics of probabilities, which rules do not give.
    """
    if not train_rows or metric in _OF_PROBABILITIES:
        return ()
    yield Phase(name="Scoring the baselines")
    n = min(len(train_rows), _MAX_TRAINING_ROWS)
    learned = [train_rows[i * len(train_rows) // n] for i in range(n)]
    found = []
    kinds = BASELINES.get(data.task, ())
    for i, kind in enumerate(kinds):
        yield Progress(done=i, total=len(kinds))
        baseline = kind()
        baseline.fit(learned)
        predictions = [Prediction(value=value) for value in baseline.predict(data.rows)]
        predictions = yield from _judged(data, predictions)
        report = report_of(data, predictions)
        if metric in report.scores:
            found.append(BaselineScore(title=baseline.title, help=baseline.help, score=report.scores[metric]))
    sign = -1 if METRICS[metric].higher_is_better is False else 1
    return tuple(
        sorted(found, key=lambda each: -math.inf if each.score.value is None else sign * each.score.value, reverse=True)
    )


def _score_groups(
    data: TaskRows, predictions: Sequence[Prediction], labels: Sequence[str], metric: str
) -> tuple[GroupScore, ...]:
    """The headline of each group of rows, where there are several."""
    members: dict[str, list[int]] = {}
    for i, row in enumerate(data.rows):
        if isinstance(name := row.get("group"), str):
            members.setdefault(name, []).append(i)
    if len(members) < 2:
        return ()
    found = []
    for name, indices in sorted(members.items()):
        part = replace(data, rows=[data.rows[i] for i in indices])
        report = report_of(part, [predictions[i] for i in indices], labels)
        found.append(GroupScore(name=name, n=len(indices), score=report.scores[metric]))
    return tuple(found)


def _read_lines(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: save it as UTF-8.") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON: give one JSON object a line.") from error
    return rows
