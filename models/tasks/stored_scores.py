"""Scores saved in a run's folder: scores/NAME.json has the report, NAME.jsonl the predictions. No torch import."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from terrarium.models.corpora.corpus import SPLITS, TEST
from terrarium.models.files.atomic import read_json
from terrarium.models.metrics.metrics_table import best_first
from terrarium.models.metrics.report import Report, report_from_dict
from terrarium.models.settings.tasks import TASKS

FOLDER = "scores"


@dataclass(frozen=True, kw_only=True)
class ScoredRow:
    """A row of a dataset with its gold answer and the model's; fields as in models.tasks.predicting.Prediction.

    item_score: the score of the answer, 1 if it is perfect (for a number: minus its error).
    """

    row: Mapping[str, Any]
    gold: Any
    prediction: Any
    score: float | None
    item_score: float
    probabilities: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_right(self) -> bool:
        """Whether the answer is perfect."""
        return self.gold == self.prediction or self.item_score >= 1


@dataclass(frozen=True, kw_only=True)
class StoredScores:
    """An evaluation. name: of its data. step: of the model, None if unknown. rows: in the data's order.

    baselines: the reports of simple rules on the same rows, by their title, the best first. groups: the reports of
    the rows with the same column "group", by its value.
    """

    name: str
    task: str
    step: int | None
    labels: tuple[str, ...]
    report: Report
    baselines: Mapping[str, Report]
    groups: Mapping[str, Report]
    rows: tuple[ScoredRow, ...] = field(repr=False)

    @property
    def split(self) -> str:
        """The split of a dataset that the rows come from: “train”, “val” or “test”; "" for other rows."""
        split = self.name.rpartition(", ")[2]
        return split if split in (*SPLITS, TEST) else ""

    @property
    def worst_first(self) -> list[int]:
        """Return the indices of the rows, the worst answer first; among equally bad ones, the most confident first."""
        return sorted(range(len(self.rows)), key=lambda i: (self.rows[i].item_score, -(self.rows[i].score or 0)))


def list_scores(folder: Path) -> list[Path]:
    """List the reports in the folder of a run, the newest first."""
    found = [path for path in (folder / FOLDER).glob("*.json") if path.with_suffix(".jsonl").is_file()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def read_scores(path: Path) -> StoredScores:
    """Read the evaluation with the report `path`.

    Raises:
        ValueError: if one of the files is missing or damaged; the message names it.
    """
    about = read_json(path)
    try:
        task = about["task"]
        if task not in TASKS:
            raise KeyError("task")
        step = about.get("step")
        found = StoredScores(
            name=str(about.get("data", path.stem)),
            task=task,
            step=step if isinstance(step, int) else None,
            labels=tuple(map(str, about.get("labels", ()))),
            report=(report := report_from_dict(about)),
            baselines=sort_best_first(_read_reports(report.details.get("baselines", {}), report.headline)),
            groups=_read_reports(report.details.get("groups", {}), report.headline),
            rows=_read_rows(path.with_suffix(".jsonl")),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong. Evaluate again.") from error
    if len(found.rows) != found.report.n:
        raise ValueError(f"{path} is of {found.report.n:,} rows, but {len(found.rows):,} are there: evaluate again.")
    return found


def _read_rows(path: Path) -> tuple[ScoredRow, ...]:
    rows = []
    names = {"row", "gold", "prediction", "score", "item_score", "probabilities"}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): evaluate again.") from error
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            found = json.loads(line)
            rows.append(
                ScoredRow(
                    row=dict(found["row"]),
                    gold=found["gold"],
                    prediction=found["prediction"],
                    score=None if found["score"] is None else float(found["score"]),
                    item_score=float(found["item_score"]),
                    probabilities={str(name): float(p) for name, p in found.get("probabilities", {}).items()},
                    details={name: value for name, value in found.items() if name not in names},
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}, is damaged ({error!r}): evaluate again.") from error
    return tuple(rows)


def _read_reports(data: Mapping[str, Any], headline: str) -> dict[str, Report]:
    """Parse reports by name, leaving out those without the headline."""
    reports = {str(name): report_from_dict(each) for name, each in data.items()}
    return {name: report.with_headline(headline) for name, report in reports.items() if headline in report.scores}


def sort_best_first(reports: Mapping[str, Report]) -> dict[str, Report]:
    """Sort reports with the same headline by its value, those without a value last."""

    def key(item: tuple[str, Report]) -> float:
        report = item[1]
        return math.inf if report.value is None else best_first(report.headline, report.value)

    return dict(sorted(reports.items(), key=key))
