"""Scores predictions, and writes both to a run's folder: scores/NAME.jsonl and scores/NAME.json."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from terrarium.models.files.atomic import atomic_write_bytes, atomic_write_json
from terrarium.models.metrics.classification import score_classification, score_multi_label
from terrarium.models.metrics.intervals import RESAMPLES, mean
from terrarium.models.metrics.metrics_table import ADDED_METRICS, METRICS, added_metrics
from terrarium.models.metrics.regression import score_regression
from terrarium.models.metrics.report import Report, Score, bootstrapped
from terrarium.models.metrics.tagging import score_tagging
from terrarium.models.metrics.texts import TEXT_METRICS, score_answers, score_texts
from terrarium.models.settings.slots import check_complete
from terrarium.models.settings.tasks import JUDGED_BY, TASKS
from terrarium.models.tasks.predicting import Prediction
from terrarium.models.tasks.rows import Row
from terrarium.models.tasks.stored_scores import FOLDER

_UNSAFE = r"[^\w.-]+"
check_complete(
    (*TEXT_METRICS, *JUDGED_BY.values(), *added_metrics("text-to-text")),
    TASKS["text-to-text"].metrics,
    "code of metrics of texts",
)


@dataclass(frozen=True, kw_only=True)
class TaskRows:
    """Rows to evaluate on: their task, headline metric ("" for the default), and a name for the files."""

    name: str
    task: str
    metric: str
    rows: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All predictions, in order, and their scores. labels: of the model. step: of its training, if known."""

    data: TaskRows
    predictions: Sequence[Prediction]
    report: Report
    labels: tuple[str, ...] = ()
    step: int | None = None


def gold_of(task: str, row: Row) -> Any:
    """Return the gold answer of a row, in the form of `Prediction.value`; for a question, all right answers' texts."""
    if task == "span":
        return [answer["text"] for answer in row["answers"]]
    return row[TASKS[task].columns[1]]


def score(
    task: str,
    predictions: Sequence[Prediction],
    rows: Sequence[Row],
    labels: Sequence[str] = (),
    metric: str = "",
    *,
    resamples: int = RESAMPLES,
) -> Report:
    """Compute the metrics of a task; the headline is `metric`, or the default.

    resamples: of the bootstrap, for 95 % intervals; 0 for none.

    Raises:
        ValueError: if the number of predictions differs from that of the rows, or the task has no such metric.
    """
    gold, values = [gold_of(task, row) for row in rows], [prediction.value for prediction in predictions]
    if task == "classification":
        shares = None
        if all(prediction.probabilities for prediction in predictions):  # a baseline has none
            shares = np.array([[prediction.probabilities[label] for label in labels] for prediction in predictions])
        report = score_classification(gold, values, labels=labels, probabilities=shares, resamples=resamples)
    elif task == "multi-label":
        report = score_multi_label(gold, values, labels=labels, resamples=resamples)
    elif task == "regression":
        report = score_regression(gold, values, resamples=resamples)
    elif task == "tagging":
        report = score_tagging(gold, values, resamples=resamples)
    elif task == "span":
        report = score_answers(gold, values, resamples=resamples)
    else:
        assert task == "text-to-text"
        wanted = [name for name in TASKS[task].metrics if name in TEXT_METRICS]
        sources = [row["source"] for row in rows]
        report = score_texts(sources, gold, values, metrics=wanted, resamples=resamples)
    scores = {name: _added(name, gold, values, resamples) for name in added_metrics(task)}
    report = replace(report, scores={**report.scores, **scores})
    return report.with_headline(metric) if metric else report


def _added(name: str, gold: Sequence[Any], values: Sequence[Any], resamples: int) -> Score:
    """Compute an extension's metric, the mean over the items, with its bootstrap interval."""
    measure = ADDED_METRICS.load(name, METRICS[name].code)
    numbers = [float(measure(right, value)) for right, value in zip(gold, values, strict=True)]
    if not all(map(math.isfinite, numbers)):
        package = ADDED_METRICS.packages[name]
        raise ValueError(
            f"The metric “{name}” of the package {package} gives an item no finite number: update {package}."
        )
    return bootstrapped(mean(numbers), resamples, "There are no items.")


def worst_first(report: Report) -> list[int]:
    """Return the indices of the items, the worst first; ties in their order."""
    return sorted(range(report.n), key=lambda i: report.item_scores[i])


def write_scores(folder: Path, found: Evaluation, path: Path | None = None) -> Path:
    """Write the predictions as JSON lines {row, gold, prediction, score, item_score …}, and the report beside them.

    Args:
        folder: the run's folder; the files go to its subfolder `scores`.
        path: another file for them.

    Returns:
        The path of the JSON lines; that of the report ends in .json.
    """
    if path is None:
        path = folder / FOLDER / f"{re.sub(_UNSAFE, '-', found.data.name)}.jsonl"
        path.parent.mkdir(exist_ok=True)
    task = found.data.task
    lines = [
        {
            "row": row,
            "gold": gold_of(task, row),
            "prediction": prediction.value,
            "score": prediction.score,
            "item_score": item_score,
            **({"probabilities": prediction.probabilities} if prediction.probabilities else {}),
            **prediction.details,
        }
        for row, prediction, item_score in zip(
            found.data.rows, found.predictions, found.report.item_scores, strict=True
        )
    ]
    atomic_write_bytes(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode())
    about = {
        "task": task,
        "data": found.data.name,
        "labels": list(found.labels),
        "step": found.step,
    }
    atomic_write_json(path.with_suffix(".json"), {**about, **found.report.to_dict()})
    return path
