"""The result of a task recipe: scores by group beside those of the baselines, and the goals that are met."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from terrarium.models.metrics.metrics_table import METRICS
from terrarium.models.metrics.report import Report, report_from_dict
from terrarium.models.recipes.mark import MARK_FILE, TASK, add_result, read_run_mark
from terrarium.models.recipes.tasks.tasks_table import Bar

ALL = ""
"""The group of all rows."""


@dataclass(frozen=True, kw_only=True)
class GroupScores:
    """The scores of one group's rows. baselines: the reports on the same rows, by title."""

    report: Report
    baselines: Mapping[str, Report]

    def best_baseline(self, metric: str) -> tuple[str, float | None]:
        """Return the title and score of the best baseline by `metric`, which must be higher-is-better."""
        scores = {title: report.scores[metric].value for title, report in self.baselines.items()}
        title = max(scores, key=lambda title: -1.0 if scores[title] is None else float(scores[title] or 0.0))
        return title, scores[title]


@dataclass(frozen=True, kw_only=True)
class TaskResult:
    """The result of one run.

    groups: ALL rows first, then each of their groups. headline: metric and group of the score that represents the
    task; its `value` is the goal, None for the user's own data. bars: all goals.
    """

    name: str
    seed: int
    run: Path
    seconds: float
    metric: str
    group: str
    groups: Mapping[str, GroupScores]
    bars: Sequence[Bar]

    @property
    def report(self) -> Report:
        """The scores of the headline's rows, with its metric first."""
        return self.groups[self.group].report.with_headline(self.metric)

    @property
    def are_bars_met(self) -> bool:
        """Whether all goals are met."""
        return all(bar.is_met(self.score_of(bar)) for bar in self.bars)

    def score_of(self, bar: Bar) -> float | None:
        """Return the score that a goal is for."""
        return self.groups[bar.group].report.scores[bar.metric].value

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON. Each group has the scores with goals; code has the number of each outcome."""
        title, best = self.groups[self.group].best_baseline(self.metric)
        return {
            "task": self.name,
            "metric": self.metric,
            "score": self.report.value,
            "interval": self.report.interval,
            "baseline": {"name": title, "score": best},
            "n": self.report.n,
            "seconds": self.seconds,
            "run": str(self.run),
            "groups": {group or "all": self._group(scores) for group, scores in self.groups.items()},
        }

    def _group(self, group: GroupScores) -> dict[str, Any]:
        metrics = dict.fromkeys((self.metric, *(bar.metric for bar in self.bars)))
        report = group.report
        title, best = group.best_baseline(self.metric)
        return {
            "n": report.n,
            "scores": {
                name: {"score": report.scores[name].value, "interval": report.scores[name].interval}
                for name in metrics
                if name in report.scores
            },
            "baseline": {"name": title, "score": best},
            "baselines": {title: own.scores[self.metric].value for title, own in group.baselines.items()},
            **({"outcomes": report.details["outcomes"]} if "outcomes" in report.details else {}),
        }


def summary_of(results: Sequence[TaskResult]) -> dict[str, Any]:
    """Summarise several seeds in the form of `TaskResult.to_dict`, with each in "seeds".

    Scores are means, and the interval spans those of all seeds. The run is the last one.
    """
    each = [result.to_dict() for result in results]
    scores = [one["score"] for one in each]
    baselines = [one["baseline"]["score"] for one in each]
    intervals = [one["interval"] for one in each if one["interval"]]
    return {
        **each[-1],
        "score": statistics.fmean(scores) if None not in scores else None,
        "interval": (min(low for low, _ in intervals), max(high for _, high in intervals)) if intervals else None,
        "baseline": {**each[-1]["baseline"], "score": statistics.fmean(baselines) if None not in baselines else None},
        "n": sum(one["n"] for one in each),
        "seconds": sum(one["seconds"] for one in each),
        "seeds": each,
    }


def write_result(result: TaskResult) -> None:
    """Add the result to the run's mark, without the details of its reports, which are in the run's scores."""
    found = {
        "seconds": result.seconds,
        "metric": result.metric,
        "group": result.group,
        "bars": [{"metric": bar.metric, "value": bar.value, "group": bar.group} for bar in result.bars],
        "groups": [
            {
                "name": name,
                "report": _plain(scores.report),
                "baselines": {title: _plain(report) for title, report in scores.baselines.items()},
            }
            for name, scores in result.groups.items()
        ],
    }
    add_result(result.run, found)


def read_result(run: Path) -> TaskResult | None:
    """Read the result of the run in this folder; None if it belongs to no task recipe, or has no scores yet.

    Raises:
        ValueError: if the result is damaged; the message names the file.
    """
    mark = read_run_mark(run)
    if mark is None or mark.kind != TASK or mark.result is None:
        return None
    try:
        found = mark.result
        result = TaskResult(
            name=mark.name,
            seed=int(mark.arguments["seed"]),
            run=run,
            seconds=float(found["seconds"]),
            metric=found["metric"],
            group=found["group"],
            groups={
                str(each["name"]): GroupScores(
                    report=report_from_dict(each["report"]),
                    baselines={str(title): report_from_dict(own) for title, own in each["baselines"].items()},
                )
                for each in found["groups"]
            },
            bars=tuple(
                Bar(metric=str(bar["metric"]), value=float(bar["value"]), group=str(bar["group"]))
                for bar in found["bars"]
                if bar["metric"] in METRICS
            ),
        )
        result.groups[result.group].report.with_headline(result.metric)
        _ = result.are_bars_met  # raises if a score is missing
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{run / MARK_FILE} is damaged ({error!r}): learn the task again.") from error
    return result


def _plain(report: Report) -> dict[str, Any]:
    """Return a report for JSON; of its details, only the outcomes of code are included."""
    outcomes = {name: value for name, value in report.details.items() if name == "outcomes"}
    return dataclasses.replace(report, details=outcomes).to_dict()
