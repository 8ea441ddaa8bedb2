"""What a run in progress writes down: rows, events and status, with patience for a full disk."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import asdict
from typing import Any, ParamSpec, TypeVar

from models.events import AttentionSeen, Blocked, Event, LayerMetrics, Noted, SampleMade, TrainMetrics, ValMetrics
from models.files.jsonl import Row
from models.runs.run_folder import RunFolder

P = ParamSpec("P")
R = TypeVar("R")

DISK_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_MEASURED = ("loss", "lr", "grad_norm", "tokens_per_s", "bits_per_byte", "loss_error", "memory_bytes", "peak_share")
_METRICS = ("step", "tokens", "elapsed_s", *_MEASURED)


class Recorder:
    """Writes to a run folder whose lock is held. Generators yield Blocked while the disk is full, and try again."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def patiently(self, write: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> Generator[Event, None, R]:
        """`write(…)`, which leaves nothing half-written when it fails, again and again until the disk has room."""
        while True:
            try:
                return write(*args, **kwargs)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
            yield Blocked(
                reason=f"The disk that holds {self._run.folder} is full: free some space, then go on. Nothing is lost."
            )

    def status(self, status: str, **changes: Any) -> Generator[Event, None, None]:
        yield from self.patiently(self._run.update, status=status, **changes)

    def event(self, event: str, step: int, detail: str = "") -> Generator[Event, None, None]:
        """Note in events.jsonl that something happened; then tell of it."""
        yield from self.patiently(self._run.append_event, event, step, detail)
        yield Noted(step=step, event=event, detail=detail)

    def metrics(self, metrics: TrainMetrics) -> Generator[Event, None, None]:
        yield from self.patiently(self._run.append, "metrics", metrics_row("train", **asdict(metrics)))

    def validation(self, metrics: ValMetrics) -> Generator[Event, None, None]:
        yield from self.patiently(self._run.append, "metrics", metrics_row("val", **asdict(metrics)))

    def sample(self, sample: SampleMade) -> Generator[Event, None, None]:
        yield from self.patiently(self._run.append, "samples", asdict(sample))

    def layers(self, metrics: LayerMetrics) -> Generator[Event, None, None]:
        row = {**asdict(metrics), "update_ratio": dict(metrics.update_ratio)}
        yield from self.patiently(self._run.append, "layers", row)

    def attention(self, seen: AttentionSeen) -> Generator[Event, None, None]:
        yield from self.patiently(self._run.append, "attention", asdict(seen))

    def broken_step(self, **values: float) -> None:
        """A row of a step that was never done, since a number of it is none; not where the disk is full."""
        with suppress(OSError):
            self._run.append("metrics", metrics_row("train", **values))

    def failure(self, step: int, sentence: str) -> None:
        """Status failed, and why. Where even that cannot be written, the run will show as interrupted."""
        with suppress(OSError):
            self._run.update(status="failed")
            self._run.append_event("failed", step, sentence)


def bits_per_byte(loss: float, bytes_per_token: float | None) -> float | None:
    """A loss in nats per token as bits per byte of the text; None where it means nothing."""
    return None if bytes_per_token is None else loss / math.log(2) / bytes_per_token


def metrics_row(kind: str, **values: float | None) -> Row:
    """A row of metrics.jsonl: the same keys in every row, null where there is no value, and no others."""
    return {"kind": kind} | {key: values.get(key) for key in _METRICS}
