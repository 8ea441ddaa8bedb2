"""Evaluates a model on a dataset of the library, or on a file of rows: predictions, and what they are worth."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path

from tokenizers import Tokenizer

from models.architecture.transformer import AnyModel
from models.data.corpus import Corpus, find_dataset
from models.events import Event, Phase
from models.library.library import Library
from models.settings.tasks import TASKS
from models.tasks.predicting import predict
from models.tasks.rows import Row, check_rows
from models.tasks.scoring import Evaluation, TaskRows, score
from models.tasks.writing import Writing


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
    _check_scored(found.task, where)
    check_rows(found.task, found.rows, None, where)
    return found


def dataset_rows(corpus: Corpus, split: str = "test") -> TaskRows:
    """The rows of a split of a dataset; those of the validation where it has no test.

    Raises:
        ValueError: where its task has no metrics.
    """
    _check_scored(corpus.task, corpus.label)
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
) -> Generator[Event, None, Evaluation]:
    """Predict and score. Yields Phase and Progress (rows). Arguments as for `predict`.

    Raises:
        ValueError: as `predict`.
    """
    yield Phase(name="Predicting")
    predictions = yield from predict(model, tokenizer, data.task, data.rows, labels, writing=writing)
    yield Phase(name="Scoring")
    report = score(data.task, predictions, data.rows, labels)
    if data.metric in report.scores:
        report = report.with_headline(data.metric)
    return Evaluation(data=data, predictions=predictions, report=report)


def _check_scored(task: str, where: str) -> None:
    if not TASKS[task].metrics:
        raise ValueError(f"{where} is for {task}, which has no answers to be scored: choose another dataset.")


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
