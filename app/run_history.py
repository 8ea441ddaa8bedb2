"""A run's curves and samples as the charts need them: filled from its folder, then from its events."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.events import AttentionSeen, Event, LayerMetrics, Noted, SampleMade, TrainMetrics, ValMetrics
from models.training.run_folder import RunFolder

PLACE_COLUMNS = ("step", "tokens", "elapsed_s")
TRAIN_COLUMNS = (*PLACE_COLUMNS, "loss", "lr", "grad_norm", "tokens_per_s", "memory_bytes", "peak_share")
VAL_COLUMNS = (*PLACE_COLUMNS, "loss", "bits_per_byte", "loss_error")


class Table:
    """Rows of numbers that grow cheaply; a column is a float64 view of shape (rows,)."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = {name: i for i, name in enumerate(columns)}
        self._data = np.empty((len(columns), 256))
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a row; what is missing or null becomes NaN."""
        if self._n == self._data.shape[1]:
            self._data = np.concatenate((self._data, np.empty_like(self._data)), axis=1)
        for name, i in self._columns.items():
            value = row.get(name)
            self._data[i, self._n] = math.nan if value is None else value
        self._n += 1

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        return self._data[self._columns[name], : self._n]


class RunHistory:
    """Everything measured of one run so far.

    `layers` has a column of update-to-weight ratios for each of `layer_names`, beside those of PLACE_COLUMNS; `marks`
    is what happened to the run and when.
    """

    def __init__(self) -> None:
        self.train = Table(TRAIN_COLUMNS)
        self.val = Table(VAL_COLUMNS)
        self.layer_names: tuple[str, ...] = ()
        self.layers = Table(PLACE_COLUMNS)
        self.samples: list[SampleMade] = []
        self.attention: list[AttentionSeen] = []
        self.marks: list[Noted] = []

    @classmethod
    def read(cls, run: RunFolder) -> RunHistory:
        """From the logs in a run's folder; ValueError names a damaged one."""
        history = cls.from_rows(run.read_metrics(), run.read_samples())
        for rows, take in (
            (run.read_layers(), history._take_layers),
            (run.read_attention(), history._take_attention),
            (run.read_events(), history._take_mark),
        ):
            for row in rows:
                with suppress(KeyError, TypeError, ValueError, OverflowError):
                    take(row)
        return history

    @classmethod
    def from_rows(cls, metrics: Iterable[Mapping[str, Any]], samples: Iterable[Mapping[str, Any]]) -> RunHistory:
        """From the rows of metrics.jsonl and samples.jsonl; rows of an unknown shape are left out."""
        history = cls()
        for row in metrics:
            table = {"train": history.train, "val": history.val}.get(str(row.get("kind")))
            if table is not None and isinstance(row.get("step"), int):
                with suppress(TypeError, ValueError):
                    table.append(row)
        for row in samples:
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                history.samples.append(_sample(row))
        return history

    def become(self, other: RunHistory) -> None:
        """Hold what `other` holds, for all that look at this one."""
        self.train, self.val, self.layers, self.layer_names = other.train, other.val, other.layers, other.layer_names
        self.samples[:], self.attention[:], self.marks[:] = other.samples, other.attention, other.marks

    def add(self, event: Event) -> bool:
        """Take what belongs in the curves; whether the event did."""
        match event:
            case TrainMetrics():
                self.train.append(vars(event))
            case ValMetrics():
                self.val.append(vars(event))
            case LayerMetrics():
                self._take_layers({**vars(event), "update_ratio": dict(event.update_ratio)})
            case SampleMade():
                self.samples.append(event)
            case AttentionSeen():
                self.attention.append(event)
            case Noted():
                self.marks.append(event)
            case _:
                return False
        return True

    def _take_layers(self, row: Mapping[str, Any]) -> None:
        ratios = row["update_ratio"]
        if not self.layer_names:
            self.layer_names = tuple(ratios)
            self.layers = Table((*PLACE_COLUMNS, *ratios))
        self.layers.append({**ratios, **{name: row[name] for name in PLACE_COLUMNS}})

    def _take_attention(self, row: Mapping[str, Any]) -> None:
        weights = tuple(tuple(tuple(float(value) for value in line) for line in head) for head in row["weights"])
        ids = tuple(int(token) for token in row["ids"])
        step, prompt, site = int(row["step"]), str(row["prompt"]), str(row["site"])
        self.attention.append(AttentionSeen(step=step, prompt=prompt, site=site, ids=ids, weights=weights))

    def _take_mark(self, row: Mapping[str, Any]) -> None:
        self.marks.append(Noted(step=int(row["step"]), event=str(row["event"]), detail=str(row.get("detail", ""))))


def _sample(row: Mapping[str, Any]) -> SampleMade:
    return SampleMade(
        step=int(row["step"]),
        prompt=str(row["prompt"]),
        seed=int(row.get("seed") or 0),
        text=str(row["text"]),
        top=tuple((int(token), float(p)) for token, p in row.get("top", ()) if p is not None),
    )


def smooth(values: NDArray[np.float64], strength: float) -> NDArray[np.float64]:
    """Exponential moving average with weight `strength` (0 … <1) on the past, without a bias towards its start.

    NaNs stay NaN and do not spread. Sums by doubling, so that a slider stays smooth over 100,000 steps.
    """
    if strength <= 0 or len(values) == 0:
        return values
    known = np.isfinite(values)
    total = np.where(known, values, 0.0)
    weight = known.astype(np.float64)
    shift, factor = 1, strength
    while shift < len(values) and factor > 1e-7:
        total[shift:] = total[shift:] + factor * total[:-shift]
        weight[shift:] = weight[shift:] + factor * weight[:-shift]
        shift, factor = 2 * shift, factor * factor
    return np.where(known, total / np.maximum(weight, 1e-12), np.nan)
