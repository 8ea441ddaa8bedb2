"""Progress output and Ctrl-C handling of long commands.

Progress is one line on stderr: a bar on a terminal, occasional lines in a file, or lines of JSON.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Any, TextIO, TypeVar

from terrarium.models.events import (
    AccuracyMeasured,
    Blocked,
    Event,
    Finished,
    MicroStep,
    Notice,
    Phase,
    Progress,
    RunStarted,
    SampleMade,
    TrainMetrics,
    ValMetrics,
    VocabularyGrowth,
)
from terrarium.models.files.jsonl import finite
from terrarium.models.metrics.metrics_table import METRICS, format_score
from terrarium.models.number_words import format_duration

Result = TypeVar("Result")

_BAR_WIDTH = 16
_REDRAW_S = 0.1
_SPARSE_S = 10.0
_RETRY_S = 2.0
"""Seconds before a blocked run is retried."""


class ProgressLine:
    """Shows the events of a command. Use it as a context manager, so that the line is always terminated."""

    def __init__(self, *, as_json: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._as_json = as_json
        self._is_terminal = self._stream.isatty()
        self._interval = _REDRAW_S if as_json or self._is_terminal else _SPARSE_S
        self._phase, self._phase_began = "", 0.0
        self._validation = ""
        self._line, self._drawn_at = "", 0.0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end_phase(completed=exc_info[0] is None)

    def show(self, event: Event) -> None:
        """Show an event, unless there is nothing to show or the last update was too recent."""
        if isinstance(event, MicroStep):
            return
        if self._as_json:
            self._show_json(event)
        elif isinstance(event, Phase):
            self._begin_phase(event.name)
        elif isinstance(event, RunStarted):
            self.say(_sentence(event))
            self._begin_phase("Training")
        elif isinstance(event, Progress):
            self._draw_if_due(self._progress_text(event), last=event.done >= event.total > 0)
        elif isinstance(event, TrainMetrics):
            self._draw_if_due(self._train_text(event), last=event.step >= event.total_steps)
        elif isinstance(event, ValMetrics):
            self._validation = f" · val {event.loss:.3f}" if math.isfinite(event.loss) else ""
            if event.metric is not None:
                self._validation += f" · {METRICS[event.metric].title} {format_score(event.metric, event.metric_value)}"
        else:
            sentence = _sentence(event)
            if sentence:
                self.say(sentence)

    def say(self, sentence: str) -> None:
        """Write a separate line above the progress line."""
        if self._is_terminal and self._line:
            self._stream.write("\r\x1b[K")
        self._stream.write(sentence + "\n")
        if self._is_terminal and self._line:
            self._stream.write(self._fitted(self._line))
        self._stream.flush()

    def _show_json(self, event: Event) -> None:
        if isinstance(event, Progress | TrainMetrics):
            if time.monotonic() - self._drawn_at < self._interval:
                return
            self._drawn_at = time.monotonic()
        row = {"event": type(event).__name__, **dataclasses.asdict(event)}
        self._stream.write(json.dumps(finite(row)) + "\n")
        self._stream.flush()

    def _begin_phase(self, name: str) -> None:
        self._end_phase(completed=True)
        self._phase, self._phase_began = name, time.monotonic()
        self._draw(name + "…")

    def _end_phase(self, *, completed: bool) -> None:
        seconds = time.monotonic() - self._phase_began
        if self._phase and completed and (self._is_terminal or seconds > 1):
            self._draw(f"{self._phase} · {format_duration(seconds, fine=True)}")
        if self._is_terminal and self._line:
            self._stream.write("\n")
            self._stream.flush()
        self._phase, self._line, self._validation = "", "", ""

    def _draw_if_due(self, text: str, *, last: bool) -> None:
        if (last and text != self._line) or time.monotonic() - self._drawn_at >= self._interval:
            self._draw(text)

    def _draw(self, text: str) -> None:
        self._line, self._drawn_at = text, time.monotonic()
        self._stream.write(f"\r\x1b[K{self._fitted(text)}" if self._is_terminal else text + "\n")
        self._stream.flush()

    def _fitted(self, text: str) -> str:
        width = shutil.get_terminal_size().columns - 1
        return text if len(text) <= width else text[: width - 1] + "…"

    def _progress_text(self, event: Progress) -> str:
        if event.total <= 0:
            return f"{self._phase}…"
        share = min(1.0, event.done / event.total)
        return f"{self._phase} {_bar(share)}{_left(event.seconds_left)}"

    def _train_text(self, event: TrainMetrics) -> str:
        share = min(1.0, event.step / event.total_steps)
        return (
            f"{self._phase} {_bar(share)}{_left(event.seconds_left)} · step {event.step:,}/{event.total_steps:,} · "
            f"loss {event.loss:.3f}{self._validation} · {event.tokens_per_s:,.0f} tokens/s"
        )


def drive(events: Generator[Event, Any, Result], line: ProgressLine) -> Result:
    """Drive a generator to its end, show its events and return its result. Blocked work is retried."""
    reason = ""
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        if isinstance(event, Blocked):
            if event.reason != reason:
                line.show(event)
            reason = event.reason
            time.sleep(_RETRY_S)
        else:
            line.show(event)


def _sentence(event: Event) -> str:
    """Return the message for an event that is not progress; "" for none."""
    if isinstance(event, Notice):
        return event.sentence
    if isinstance(event, Blocked):
        return f"Waiting: {event.reason}"
    if isinstance(event, RunStarted):
        threads = f"{event.threads} thread{'s' if event.threads != 1 else ''}"
        return f"Run {event.run_id} on {event.device}, {event.precision}, {threads}, from step {event.step:,}"
    if isinstance(event, VocabularyGrowth):
        return f"{event.vocab_size:>9,} tokens: {event.bytes_per_token:.2f} bytes per token"
    if isinstance(event, AccuracyMeasured):
        kinds = "  ".join(f"{kind.kind} {100 * kind.accuracy:3.0f} %" for kind in event.kinds)
        return f"step {event.step:>6,}: {100 * event.accuracy:5.1f} % right · {kinds}"
    if isinstance(event, SampleMade):
        return f"step {event.step:,}: {_one_line(event.prompt + event.text)}"
    if isinstance(event, Finished) and event.status != "finished":
        return f"The run is {event.status} at step {event.step:,}."
    return ""


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 100 else text[:99] + "…"


def _bar(share: float) -> str:
    full = round(share * _BAR_WIDTH)
    return f"{'█' * full}{'░' * (_BAR_WIDTH - full)} {100 * share:3.0f} %"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f" · {format_duration(seconds)} left"


# -- Ctrl-C: the first one stops and saves, the second one aborts -----------------------------------------

Handler = Callable[[int, FrameType | None], None] | signal.Handlers
_STDERR = 2


@dataclass
class Interrupt:
    """Whether Ctrl-C was pressed."""

    happened: bool = False


@contextlib.contextmanager
def stop_on_interrupt(request_stop: Callable[[], None], *, or_terminate: bool = False) -> Iterator[Interrupt]:
    """Within the block, let the first Ctrl-C call `request_stop`; the second raises KeyboardInterrupt as usual.

    or_terminate: also stop on SIGTERM, which torchrun sends to all processes when terminated, or when one has ended.
    """
    interrupt = Interrupt()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        if interrupt.happened:
            raise KeyboardInterrupt
        interrupt.happened = True
        request_stop()
        # Bypasses Python's stderr, which raises an error if Ctrl-C interrupted a print.
        with contextlib.suppress(OSError):
            os.write(_STDERR, b"\nStopping after this step and saving. Press Ctrl-C again to abort.\n")

    def on_terminate(number: int, frame: FrameType | None) -> None:
        interrupt.happened = True
        request_stop()

    handlers: dict[signal.Signals, Handler] = {signal.SIGINT: on_interrupt}
    if or_terminate:
        handlers[signal.SIGTERM] = on_terminate
    try:
        with _handling(handlers):
            yield interrupt
    finally:
        if or_terminate:  # it may arrive during the final output if another process has ended
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def ignore_signals() -> Iterator[None]:
    """Within the block, ignore Ctrl-C and SIGTERM in this process, as the main process handles them."""
    with _handling({signal.SIGINT: signal.SIG_IGN, signal.SIGTERM: signal.SIG_IGN}):
        yield


@contextlib.contextmanager
def _handling(handlers: Mapping[signal.Signals, Handler]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
