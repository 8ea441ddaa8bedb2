"""The input of the checks: a run's logs as arrays, and its settings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from terrarium.models.evaluation.record import Forgetting, OverRefusal, read_forgetting, read_over_refusal
from terrarium.models.files.jsonl import Row
from terrarium.models.library.run_record import EARLY_STOP, checkpoint_step
from terrarium.models.runs.curve import Table
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.schedule import lr_factor

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The finite values (N) of a figure, and their steps (N)."""

    step: Numbers
    value: Numbers

    def __len__(self) -> int:
        return len(self.value)

    def first(self, n: int) -> float:
        """Return the mean of the first `n` values; NaN if empty."""
        return float(self.value[:n].mean()) if len(self) else math.nan

    def last(self, n: int = 1) -> float:
        """Return the mean of the last `n` values; NaN if empty."""
        return float(self.value[-n:].mean()) if len(self) else math.nan

    def smoothed(self, n: int) -> Curve:
        """Return the moving average over `n` values, without the first `n` − 1."""
        if len(self) < n:
            return Curve(step=self.step[:0], value=self.value[:0])
        return Curve(step=self.step[n - 1 :], value=np.convolve(self.value, np.full(n, 1 / n), mode="valid"))

    def until(self, step: int) -> Curve:
        """Return the curve up to `step`."""
        seen = self.step <= step
        return Curve(step=self.step[seen], value=self.value[seen])


NO_CURVE = Curve(step=np.zeros(0), value=np.zeros(0))


@dataclass(frozen=True, kw_only=True)
class RunLog:
    """The log of a run so far; for a fork, since the fork. NaN if a value was not measured or not finite."""

    spec: RunSpec
    status: str
    step: Numbers
    """(N): the step of each training row."""
    loss: Numbers
    lr: Numbers
    grad_norm: Numbers
    """(N): the gradient norm before clipping."""
    val_step: Numbers
    """(M): the step of each validation."""
    val_loss: Numbers
    val_error: Numbers
    """(M): the standard error of each validation loss, in nats."""
    layer_step: Numbers
    """(K): the steps at which layers were measured."""
    layers: tuple[str, ...]
    update_ratio: Numbers
    """(K, layers): update-to-weight ratios."""
    events: tuple[tuple[int, str, str], ...] = ()
    """(step, event, detail)."""
    checkpoints: tuple[int, ...] = ()
    """Steps whose checkpoints are on disk, ascending."""
    begin: int = 0
    """The step at which this run started; above 0 for a fork."""
    is_fork: bool = False
    """Whether it started from another run's weights."""
    figures: Mapping[tuple[str, bool], Curve] = field(default_factory=dict)
    """The figures of an alignment, by TRL's name and whether they are of a validation. A fork includes its source's,
    because both are measured against the same parent.
    """
    forgetting: Forgetting | None = None
    """The model's results on its parent's data before and after training; None if not measured."""
    over_refusal: OverRefusal | None = None
    """The harmless questions that it refuses; None if not measured …"""
    parent_over_refusal: OverRefusal | None = None
    """… and those that its parent refuses."""
    measured: Mapping[str, float]
    """Numbers recorded when the training was set up: see `TrainingContext.measured`."""

    @classmethod
    def read(cls, run: RunFolder) -> RunLog:
        """Read a run's folder; ValueError names a damaged file."""
        train, val = Table(_TRAIN), Table(_VAL)
        for row in run.each_metric():
            if row["kind"] in ("train", "val"):
                table = train if row["kind"] == "train" else val
                table.append({name: _number(row.get(name)) for name in (_TRAIN if table is train else _VAL)})
        layers = run.read_layers()
        names = tuple(layers[0]["update_ratio"]) if layers else ()
        ratios = [[_number(row["update_ratio"].get(name)) for name in names] for row in layers]
        return cls.of(
            run,
            train={name: train[name] for name in _TRAIN},
            val={name: val[name] for name in _VAL},
            layer_step=np.array([row["step"] for row in layers], dtype=np.float64),
            layers=names,
            update_ratio=np.array(ratios, dtype=np.float64).reshape(len(layers), len(names)),
            figures=_figures(run.read_alignment()),
            events=[(row["step"], row["event"], row.get("detail", "")) for row in run.read_events()],
        )

    @classmethod
    def of(
        cls,
        run: RunFolder,
        *,
        train: Mapping[str, Numbers],
        val: Mapping[str, Numbers],
        layer_step: Numbers,
        layers: Sequence[str],
        update_ratio: Numbers,
        figures: Mapping[tuple[str, bool], Curve],
        events: Iterable[tuple[int, str, str]],
    ) -> RunLog:
        """Make a log from curves in memory and the rest of the run's folder.

        Args:
            train: step, loss, lr and grad_norm, of shape (N).
            val: step, loss and loss_error, of shape (M).
        """
        events = tuple(events)
        parent = run.lineage.get("parent") or {}
        begin = max((step for step, event, _ in events if event == "forked"), default=0)
        own, own_val, own_layers = train["step"] > begin, val["step"] >= begin, layer_step > begin
        return cls(
            spec=run.spec,
            status=run.status,
            step=train["step"][own],
            loss=train["loss"][own],
            lr=train["lr"][own],
            grad_norm=train["grad_norm"][own],
            val_step=val["step"][own_val],
            val_loss=val["loss"][own_val],
            val_error=val["loss_error"][own_val],
            layer_step=layer_step[own_layers],
            layers=tuple(layers),
            update_ratio=update_ratio[own_layers],
            figures=figures,
            events=events,
            checkpoints=tuple(checkpoint_step(path) for path in run.checkpoints()),
            begin=begin,
            is_fork=bool(parent),
            forgetting=read_forgetting(run.folder),
            over_refusal=read_over_refusal(run.folder),
            parent_over_refusal=read_over_refusal(run.folder.parent / parent["run"]) if "run" in parent else None,
            measured=run.measured,
        )

    @property
    def last_step(self) -> int:
        """The last logged step."""
        return int(self.step[-1]) if len(self.step) else self.begin

    @property
    def planned_steps(self) -> int:
        """The number of updates of the whole run."""
        return self.spec.train.steps - self.begin

    @property
    def was_stopped_early(self) -> bool:
        """Whether early stopping ended the run."""
        return any(event == EARLY_STOP and step >= self.last_step for step, event, _ in self.events)

    def figure(self, name: str, *, held_out: bool = False) -> Curve:
        """Return a figure of the steps or, if `held_out`, of the validations."""
        return self.figures.get((name, held_out), NO_CURVE)

    def until(self, step: int) -> RunLog:
        """Return the log as it was after `step` updates."""
        seen, val, layer = self.step <= step, self.val_step <= step, self.layer_step <= step
        return dataclasses.replace(
            self,
            status="running" if step < self.last_step else self.status,
            step=self.step[seen],
            loss=self.loss[seen],
            lr=self.lr[seen],
            grad_norm=self.grad_norm[seen],
            val_step=self.val_step[val],
            val_loss=self.val_loss[val],
            val_error=self.val_error[val],
            layer_step=self.layer_step[layer],
            update_ratio=self.update_ratio[layer],
            figures={name: curve.until(step) for name, curve in self.figures.items()},
            events=tuple(event for event in self.events if event[0] <= step),
            checkpoints=tuple(saved for saved in self.checkpoints if saved <= step),
        )

    def finite(self) -> RunLog:
        """Return the log without steps whose loss, gradient or learning rate is not finite."""
        finite = np.isfinite(self.loss) & np.isfinite(self.grad_norm) & np.isfinite(self.lr)
        if finite.all():
            return self
        columns = {name: getattr(self, name)[finite] for name in _TRAIN}
        return dataclasses.replace(self, **columns)

    def checkpoint_before(self, step: float) -> int | None:
        """Return the newest checkpoint in [1, step], or None."""
        return max((saved for saved in self.checkpoints if 0 < saved <= step), default=None)

    def remaining_lr_sum(self, step: int) -> float:
        """Return the sum of the scheduled learning rates of all updates after `step` updates."""
        train = self.spec.train
        n = train.steps - step
        if n <= 0:
            return 0.0
        positions = np.linspace(step, train.steps - 1, min(n, 512)).astype(int)
        return train.lr * n * float(np.mean([lr_factor(int(position), train) for position in positions]))


_TRAIN = ("step", "loss", "lr", "grad_norm")
_VAL = ("step", "loss", "loss_error")


def curve_of(steps: Sequence[float] | Numbers, values: Sequence[float] | Numbers) -> Curve:
    """Make a curve of the finite values."""
    step, value = np.asarray(steps, dtype=np.float64), np.asarray(values, dtype=np.float64)
    known = np.isfinite(value)
    return Curve(step=step[known], value=value[known])


def _figures(rows: Iterable[Row]) -> dict[tuple[str, bool], Curve]:
    found: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    for row in rows:
        for name, value in row["figures"].items():
            found.setdefault((name, bool(row.get("is_validation"))), []).append((row["step"], _number(value)))
    return {key: curve_of(*zip(*points, strict=True)) for key, points in found.items()}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else np.nan
