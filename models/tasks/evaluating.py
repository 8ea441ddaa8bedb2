"""Evaluates a model on a dataset of the library, or on a file of rows: predictions and scores."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import AnyModel
from terrarium.models.corpora.corpus import Corpus, find_dataset
from terrarium.models.events import Event, Phase, Progress, result_of
from terrarium.models.files.encodings import SAVE_AS_UTF8, encoding_of_file
from terrarium.models.importing.cells import RowError
from terrarium.models.importing.formats.registry import open_source
from terrarium.models.importing.inspection import inspect_events
from terrarium.models.importing.plan import ImportPlan
from terrarium.models.importing.task_rows import task_row
from terrarium.models.library.library import Library
from terrarium.models.metrics.intervals import RESAMPLES, Comparison
from terrarium.models.metrics.report import Report, compare
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tasks.baselines import BASELINES
from terrarium.models.tasks.judging import judges_of
from terrarium.models.tasks.predicting import Prediction, predict
from terrarium.models.tasks.rows import Row, check_rows
from terrarium.models.tasks.scoring import Evaluation, TaskRows, score
from terrarium.models.tasks.stored_scores import StoredScores, sort_best_first
from terrarium.models.tasks.writing import Writing

_MAX_TRAINING_ROWS = 20_000
_MAX_GROUPS = 20
_OF_PROBABILITIES = ("auc", "ece")
"""Metrics of probabilities, which baselines do not have."""


def read_task_rows(library: Library, data: str, task: str = "", split: str = "test") -> TaskRows:
    """Read the rows of a dataset of the library, or of a file (models.importing.formats), whose task must be given.

    For a dataset without a test split, the validation split is read.

    Raises:
        ValueError: if there is no such file or dataset, or a row does not suit the task; the message names file and
            line.
    """
    path = Path(data).expanduser()
    if path.is_file():
        if not task:
            raise ValueError(f"{path}: it is not known what task its rows are for: say which, as classification.")
        found = TaskRows(name=path.stem, task=task, metric="", rows=_read_file(path, task))
        where = str(path)
    else:
        corpus = find_dataset(library, data)
        if task and task != corpus.task:
            raise ValueError(f"The dataset {corpus.label!r} is for {corpus.task}, not for {task}: omit the task.")
        found = dataset_rows(corpus, split)
        where = f"{corpus.label} ({split})"
    _check_scored(found.task, where)
    check_rows(found.task, found.rows, None, where)
    return found


def dataset_rows(corpus: Corpus, split: str = "test") -> TaskRows:
    """Read the rows of a split of a dataset; the validation split if it has no test split.

    Raises:
        ValueError: if its task has no metrics.
    """
    _check_scored(corpus.task, corpus.label)
    if split not in corpus.splits:
        split = "val"
    rows = corpus.rows(split) if corpus.is_large else corpus.read_examples(split)
    return TaskRows(name=f"{corpus.label}, {split}", task=corpus.task, metric=corpus.metric, rows=rows)


def evaluate(
    model: AnyModel,
    tokenizer: Tokenizer,
    data: TaskRows,
    labels: Sequence[str] = (),
    writing: Writing | None = None,
    *,
    step: int | None = None,
) -> Generator[Event, None, Evaluation]:
    """Predict and score. Yields Phase and Progress (rows). Other arguments as for `predict`.

    Args:
        step: the training step of the model, if known.

    Raises:
        ValueError: as `predict`.
    """
    yield Phase(name="Predicting")
    predictions = yield from predict(model, tokenizer, data.task, data.rows, labels, writing=writing)
    yield Phase(name="Scoring")
    found = yield from evaluate_predictions(data, predictions, labels)
    return replace(found, step=step)


def with_baselines(found: Evaluation, train_rows: Sequence[Row]) -> Generator[Event, None, Evaluation]:
    """Add to the details of an evaluation's report those of baselines and of each group of its rows.

    Baselines learn from the same training rows, or from a subset if there are very many. Details: `groups`, each
    group's report (Report.to_dict) by its name; `baselines`, each baseline's report on all rows by its title, the
    best first.
    """
    data, headline = found.data, found.report.headline
    yield Phase(name="Scoring simple rules on the same rows")
    n = min(len(train_rows), _MAX_TRAINING_ROWS)
    learned = [train_rows[i * len(train_rows) // n] for i in range(n)]
    baselines = dict[str, Report]()
    kinds = BASELINES.get(data.task, ()) if learned and headline not in _OF_PROBABILITIES else ()
    for i, kind in enumerate(kinds):
        yield Progress(done=i, total=len(kinds))
        baseline = kind()
        baseline.fit(learned)
        predictions = [Prediction(value=value) for value in baseline.predict(data.rows)]
        scored = yield from evaluate_predictions(data, predictions)
        if headline in scored.report.scores:
            baselines[baseline.title] = scored.report.with_headline(headline)
    groups = yield from score_groups(data, found.predictions, found.labels)
    details = {
        **found.report.details,
        "groups": {name: report.to_dict() for name, report in sorted(groups.items())} if len(groups) > 1 else {},
        "baselines": {title: report.to_dict() for title, report in sort_best_first(baselines).items()},
    }
    return replace(found, report=replace(found.report, details=details))


def score_groups(
    data: TaskRows, predictions: Sequence[Prediction], labels: Sequence[str] = (), *, resamples: int = RESAMPLES
) -> Generator[Event, None, dict[str, Report]]:
    """Score the rows of each group, in their order; empty if rows have no groups, or too many."""
    members: dict[str, list[int]] = {}
    for i, row in enumerate(data.rows):
        if "group" in row:
            members.setdefault(str(row["group"]), []).append(i)
    reports = {}
    for name, indices in members.items() if len(members) <= _MAX_GROUPS else ():
        part = replace(data, rows=[data.rows[i] for i in indices])
        own = [predictions[i] for i in indices]
        reports[name] = (yield from evaluate_predictions(part, own, labels, resamples=resamples)).report
    return reports


def compare_scores(a: StoredScores, b: StoredScores, metric: str) -> Generator[Event, None, Comparison]:
    """Compare the model of `b` with that of `a` by one metric, on the same rows, by paired bootstrap.

    Raises:
        ValueError: if they were not evaluated on the same rows, or the metric is undefined for one of them.
    """
    if a.task != b.task or [row.row for row in a.rows] != [row.row for row in b.rows]:
        raise ValueError("They were not evaluated on the same rows: evaluate both on the same data.")
    reports = []
    for stored in (a, b):
        predictions = [
            Prediction(value=row.prediction, score=row.score, probabilities=row.probabilities) for row in stored.rows
        ]
        rows = [row.row for row in stored.rows]
        data = TaskRows(name=stored.name, task=stored.task, metric=metric, rows=rows)
        found = yield from evaluate_predictions(data, predictions, stored.labels, resamples=0)
        reports.append(found.report)
    return compare(reports[0], reports[1], metric)


def evaluate_predictions(
    data: TaskRows, predictions: Sequence[Prediction], labels: Sequence[str] = (), *, resamples: int = RESAMPLES
) -> Generator[Event, None, Evaluation]:
    """Score existing predictions, including the judges that the rows ask for."""
    report = score(data.task, predictions, data.rows, labels, resamples=resamples)
    judges = judges_of(data.rows) if data.task == "text-to-text" else {}
    for judge in judges.values():
        texts = [prediction.value for prediction in predictions]
        judged, details = yield from judge(data.rows, texts, resamples)
        report = judged.joined(report) if judged.item_scores else report.joined(judged)
        if details:
            predictions = [
                replace(prediction, details={**prediction.details, **more})
                for prediction, more in zip(predictions, details, strict=True)
            ]
    if data.metric in report.scores:
        report = report.with_headline(data.metric)
    return Evaluation(data=data, predictions=predictions, report=report, labels=tuple(labels))


def _check_scored(task: str, where: str) -> None:
    if not TASKS[task].metrics:
        raise ValueError(f"{where} is for {task}, which has no answers to be scored: choose another dataset.")


def _read_file(path: Path, task: str) -> list[Row]:
    """Read the rows of a file with all their columns. If the names are not the task's, their roles are guessed."""
    source = open_source([path])
    if source.format == "jsonl":
        rows = _read_lines(path)
        if not rows or not isinstance(rows[0], Mapping) or set(TASKS[task].columns) & rows[0].keys():
            return rows  # JSON keeps objects in rows as they are
    info = result_of(inspect_events([path]))
    roles = {column: column for column in TASKS[task].columns}
    if not all(any(column.name == role for column in info.columns) for role in roles):
        roles = dict(info.roles) if info.task == task else {}
    if not roles:
        raise ValueError(
            f"{path}: nothing says which of its columns are {' and '.join(TASKS[task].columns)}: name them so, or make "
            "it a dataset first, with `terrarium data import`."
        )
    plan = ImportPlan(paths=(str(path),), task=task, columns=roles)
    found: list[Row] = []
    for record in source.records():
        try:
            found.append({**record.values, **task_row(plan, record.values)})
        except RowError as error:
            raise ValueError(f"{record.where}: {error}") from error
    return found


def _read_lines(path: Path) -> list[Row]:
    try:
        text = path.read_text(encoding=encoding_of_file(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {SAVE_AS_UTF8}.") from error
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not JSON: give one JSON object a line.") from error
    return rows
