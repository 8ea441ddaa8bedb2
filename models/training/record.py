"""Writes the logs and the status of a run in progress, and waits while the disk is full."""

from __future__ import annotations

import dataclasses
import errno
import math
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

from terrarium.models.events import (
    AccuracyMeasured,
    AlignMetrics,
    AttentionSeen,
    Blocked,
    Event,
    LayerMetrics,
    Noted,
    SampleMade,
    TrainMetrics,
    ValMetrics,
)
from terrarium.models.files.jsonl import Row
from terrarium.models.runs.run_folder import RunFolder

P = ParamSpec("P")
R = TypeVar("R")

DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_MEASURED = ("loss", "lr", "grad_norm", "tokens_per_s", "bits_per_byte", "loss_error", "memory_bytes", "peak_share")
_METRICS = ("step", "tokens", "elapsed_s", *_MEASURED)


class Recorder:
    """Writes to a run folder whose lock this process has. Generators yield Blocked while the disk is
    full, and retry.
    """

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def retry_while_full(self, write: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Generator[Event, None, R]:
        """Call `write(…)` until the disk has room. `write` must leave nothing half-written when it fails."""
        while True:
            try:
                return write(*args, **kwargs)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
            yield Blocked(
                reason=f"The disk that holds {self._run.folder} is full: free some space, then resume. Nothing is lost."
            )

    def status(self, status: str, **changes: Any) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.update, status=status, **changes)

    def event(self, event: str, step: int, detail: str = "") -> Generator[Event, None, None]:
        """Append an event to events.jsonl, and yield it."""
        yield from self.retry_while_full(self._run.append_event, event, step, detail)
        yield Noted(step=step, event=event, detail=detail)

    def metrics(self, metrics: TrainMetrics) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.append, "metrics", metrics_row("train", **vars(metrics)))

    def validation(self, metrics: ValMetrics) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.append, "metrics", metrics_row("val", **vars(metrics)))

    def sample(self, sample: SampleMade) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.append, "samples", vars(sample))

    def layers(self, metrics: LayerMetrics) -> Generator[Event, None, None]:
        row = {**vars(metrics), "update_ratio": dict(metrics.update_ratio)}
        yield from self.retry_while_full(self._run.append, "layers", row)

    def alignment(self, metrics: AlignMetrics) -> Generator[Event, None, None]:
        row = {**vars(metrics), "figures": dict(metrics.figures)}
        yield from self.retry_while_full(self._run.append, "alignment", row)

    def accuracy(self, measured: AccuracyMeasured) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.append, "accuracy", dataclasses.asdict(measured))

    def rollouts(self, row: Row) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.append, "rollouts", row)

    def attention(self, seen: AttentionSeen) -> Generator[Event, None, None]:
        yield from self.retry_while_full(self._run.append, "attention", vars(seen))

    def nonfinite_step(self, **values: float) -> None:
        """Write the row of a step whose update was skipped because it is not finite; ignored on a full disk."""
        with suppress(OSError):
            self._run.append("metrics", metrics_row("train", **values))

    def failure(self, step: int, sentence: str) -> None:
        """Set the status to failed and record the message. If that cannot be written, the run shows as interrupted."""
        with suppress(OSError):
            self._run.update(status="failed")
            self._run.append_event("failed", step, sentence)


def bits_per_byte(loss: float, bytes_per_token: float | None) -> float | None:
    """Convert a loss in nats per token to bits per byte of text; None if bytes per token are undefined."""
    return None if bytes_per_token is None else loss / math.log(2) / bytes_per_token


def metrics_row(kind: str, **values: Any) -> Row:
    """Make a row of metrics.jsonl: always the same keys, null for missing values, and a task metric's keys."""
    of_task = {key: values[key] for key in ("metric", "metric_value") if values.get("metric")}
    return {"kind": kind} | {key: values.get(key) for key in _METRICS} | of_task
