"""A run's curves and samples for the charts: filled from its logs, then from its events."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrarium.models.evaluation.record import accuracy_of_row
from terrarium.models.events import (
    AccuracyMeasured,
    AlignMetrics,
    AttentionSeen,
    Event,
    LayerMetrics,
    Noted,
    SampleMade,
    TrainMetrics,
    ValMetrics,
)
from terrarium.models.files.log_tail import LogTail
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.runs.curve import STEP_COLUMNS, TRAIN_COLUMNS, VAL_COLUMNS, Table, TrainCurve
from terrarium.models.runs.curve_index import AT_ONCE, NO_CURVE, CurveIndex, IndexedCurve
from terrarium.models.runs.run_folder import READ_WHOLE, RunFolder

FIGURE_COLUMNS = (*STEP_COLUMNS, "value")

READING = "Reading the run…"


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionSnapshot:
    """An AttentionSeen event with its weights (H, T, T) as an array, which takes a tenth of the memory."""

    step: int
    prompt: str
    site: str
    ids: tuple[int, ...]
    weights: NDArray[np.float32]


class RunHistory:
    """Everything measured in one run so far.

    `metric`: the name of the task's metric (of METRICS), whose values are in `val`; "" for a run without a task.
    `figures`: the metrics of an alignment stage as tables of FIGURE_COLUMNS, by (TRL's name, is_validation).
    `accuracy`: the accuracy on held-out questions, at each step at which it was measured.
    `layers`: the columns of STEP_COLUMNS, and the update-to-weight ratios of each of `layer_names`. `marks`: notable
    events. `is_loading`: whether its folder is still being read for the first time. `problem`: why it cannot be read.
    """

    def __init__(self) -> None:
        self.train = TrainCurve()
        self.val = Table(VAL_COLUMNS)
        self.metric = ""
        self.figures: dict[tuple[str, bool], Table] = {}
        self.accuracy: list[AccuracyMeasured] = []
        self.layer_names: tuple[str, ...] = ()
        self.layers = Table(STEP_COLUMNS)
        self.samples: list[SampleMade] = []
        self.attention: list[AttentionSnapshot] = []
        self.marks: list[Noted] = []
        self.is_loading, self.problem = False, ""

    @classmethod
    def read(cls, run: RunFolder, *, is_whole: bool = False) -> RunHistory:
        """Read the logs in a run's folder. Raises ValueError naming a damaged log.

        is_whole: keep a point for each training row, even of a long run.
        """
        index, curve, history = CurveIndex(run.folder), NO_CURVE, cls()
        if is_whole:
            history.train = TrainCurve(most=math.inf)
        else:
            while (curve := index.read(AT_ONCE)).is_behind:
                pass
        for tail in history.begin(run.folder, curve):
            for rows in tail.blocks():
                history.take(tail.path.stem, rows)
        return history

    def begin(self, folder: Path, curve: IndexedCurve) -> list[LogTail]:
        """Add an indexed curve, and return the logs of `folder`, positioned after the rows that it covers."""
        self.train.add_points(curve.points)
        self.take("metrics", curve.validations)
        tails = [LogTail(folder / f"{log}.jsonl") for log in READ_WHOLE]
        if curve.ends:
            tails[READ_WHOLE.index("metrics")].skip(curve.ends, curve.lines)
        return tails

    def take(self, log: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows of a log, one of READ_WHOLE; malformed rows are skipped."""
        if log == "metrics":
            known = [row for row in rows if isinstance(row.get("step"), int)]
            for kind, table in (("train", self.train), ("val", self.val)):
                table.extend([row for row in known if row.get("kind") == kind])
            for row in known:
                self._take_metric(row.get("metric"))
            return
        take = {
            "alignment": self._take_figures,
            "accuracy": self._take_accuracy,
            "samples": self._take_sample,
            "layers": self._take_layers,
            "attention": self._take_attention,
            "events": self._take_mark,
        }[log]
        for row in rows:
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                take(row)

    @property
    def empty_reason(self) -> str:
        """Why the history cannot be shown yet: it is being read, or damaged; '' if it was read."""
        return READING if self.is_loading else self.problem

    @property
    def empty_caption(self) -> str:
        """`empty_reason`, short enough for a chart."""
        return READING if self.is_loading else "Its log is damaged" if self.problem else ""

    @property
    def elapsed_s(self) -> float:
        """Seconds of training until the last measurement, a step or a validation; 0 before the first."""
        return max((float(table["elapsed_s"][-1]) for table in (self.train, self.val) if len(table)), default=0.0)

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Join all measurements into one table with a row for each measured step; NaN for missing values.

        Returns the columns by name. Validation columns have the prefix `val_`, columns of layers have names like
        `update_ratio:blocks.0`, those of held-out questions like `accuracy:reading`.
        """
        train, val, layers = self.train, self.val, self.layers
        asked = np.array([measured.step for measured in self.accuracy], np.float64)
        known = (train["step"], val["step"], layers["step"], asked, *(table["step"] for table in self.figures.values()))
        steps = functools.reduce(np.union1d, known)
        columns = {"step": steps} | {name: np.full(len(steps), np.nan) for name in STEP_COLUMNS[1:]}
        for row, measured in zip(np.searchsorted(steps, asked), self.accuracy, strict=True):
            columns["tokens"][row], columns["elapsed_s"][row] = measured.tokens, measured.elapsed_s
            for kind in measured.kinds:
                column = columns.setdefault(f"accuracy:{kind.kind}", np.full(len(steps), np.nan))
                column[row] = kind.accuracy
        for table, names, prefix in (
            (layers, self.layer_names, "update_ratio:"),
            (val, VAL_COLUMNS, "val_"),
            (train, TRAIN_COLUMNS, ""),
        ):
            rows = np.searchsorted(steps, table["step"])
            for name in STEP_COLUMNS[1:]:
                columns[name][rows] = table[name]
            for name in names:
                if name not in STEP_COLUMNS and (name != "metric_value" or self.metric):
                    columns[prefix + name] = np.full(len(steps), np.nan)
                    columns[prefix + name][rows] = table[name]
        for (name, is_validation), table in self.figures.items():
            column = columns[f"val_{name}" if is_validation else name] = np.full(len(steps), np.nan)
            column[np.searchsorted(steps, table["step"])] = table["value"]
        last = ("update_ratio:", "accuracy:", "val_")
        order = sorted(columns, key=lambda name: [name.startswith(prefix) for prefix in last])
        return {name: columns[name] for name in order}

    def replace_with(self, other: RunHistory) -> None:
        """Replace the contents in place with those of `other`, as views hold a reference to this object."""
        self.train, self.val, self.layers, self.layer_names = other.train, other.val, other.layers, other.layer_names
        self.metric, self.figures = other.metric, other.figures
        self.samples[:], self.attention[:], self.marks[:] = other.samples, other.attention, other.marks
        self.accuracy[:] = other.accuracy

    def add(self, event: Event) -> bool:
        """Add an event if it belongs in the history; return whether it does."""
        match event:
            case TrainMetrics():
                self.train.append(vars(event))
            case ValMetrics():
                self.val.append(vars(event))
                self._take_metric(event.metric)
            case AlignMetrics():
                self._take_figures({**vars(event), "figures": dict(event.figures)})
            case AccuracyMeasured():
                self.accuracy.append(event)
            case LayerMetrics():
                self._take_layers({**vars(event), "update_ratio": dict(event.update_ratio)})
            case SampleMade():
                self.samples.append(event)
            case AttentionSeen():
                self._take_attention(vars(event))
            case Noted():
                self.marks.append(event)
            case _:
                return False
        return True

    @property
    def best_checkpoint(self) -> int | None:
        """The row of `val` of the checkpoint with the best metric, ties broken by the lowest loss; None if missing."""
        saved = [mark.step for mark in self.marks if mark.event == "saved"]
        values = self.val["metric_value"] * (
            -1 if self.metric and METRICS[self.metric].higher_is_better is False else 1
        )
        rows = np.flatnonzero(np.isfinite(values) & np.isin(self.val["step"], saved))
        return max(rows.tolist(), key=lambda i: (values[i], -self.val["loss"][i]), default=None)

    def metric_at(self, step: int) -> str:
        """Format the metric of the last validation up to a step, as “Macro F1 97.6 %”; "" if it was not measured."""
        before = int(np.searchsorted(self.val["step"], step, side="right")) - 1
        value = float(self.val["metric_value"][before]) if before >= 0 else math.nan
        if not self.metric or not math.isfinite(value):
            return ""
        return f"{METRICS[self.metric].title} {format_score(self.metric, value)}"

    def _take_metric(self, name: object) -> None:
        if not self.metric and isinstance(name, str) and name in METRICS:
            self.metric = name

    def _take_figures(self, row: Mapping[str, Any]) -> None:
        position = {name: row[name] for name in STEP_COLUMNS}
        for name, value in row["figures"].items():
            table = self.figures.setdefault((str(name), bool(row["is_validation"])), Table(FIGURE_COLUMNS))
            table.append({**position, "value": value})

    def _take_accuracy(self, row: Mapping[str, Any]) -> None:
        self.accuracy.append(accuracy_of_row(row))

    def _take_layers(self, row: Mapping[str, Any]) -> None:
        ratios = row["update_ratio"]
        if not self.layer_names:
            self.layer_names = tuple(ratios)
            self.layers = Table((*STEP_COLUMNS, *ratios))
        self.layers.append({**ratios, **{name: row[name] for name in STEP_COLUMNS}})

    def _take_sample(self, row: Mapping[str, Any]) -> None:
        top = tuple((int(token), float(p)) for token, p in row.get("top", ()) if p is not None)
        step, seed = int(row["step"]), int(row.get("seed") or 0)
        self.samples.append(SampleMade(step=step, prompt=str(row["prompt"]), seed=seed, text=str(row["text"]), top=top))

    def _take_attention(self, row: Mapping[str, Any]) -> None:
        weights = np.array(row["weights"], np.float32)
        ids = tuple(int(token) for token in row["ids"])
        if weights.ndim != 3 or weights.shape[1:] != (len(ids), len(ids)):
            raise ValueError(f"Weights of the shape {weights.shape} are not those of heads over {len(ids)} tokens.")
        step, prompt, site = int(row["step"]), str(row["prompt"]), str(row["site"])
        self.attention.append(AttentionSnapshot(step=step, prompt=prompt, site=site, ids=ids, weights=weights))

    def _take_mark(self, row: Mapping[str, Any]) -> None:
        self.marks.append(Noted(step=int(row["step"]), event=str(row["event"]), detail=str(row.get("detail", ""))))
