"""Window benchmark: does it stay responsive while a model trains? The real window, offscreen."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from terrarium.app.commands.progress import ProgressLine
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from tools.bench.result import Result

TICK_S, LATE_S = 0.010, 0.050
TARGET_PERCENT = 1.0
_ENDLESS = 1_000_000


def bench_window(device: str, files: Sequence[Path], seconds: float, line: ProgressLine) -> Result:
    """Share of the ticks of a 10 ms timer that were more than 50 ms late while the training tab showed a run.

    Raises:
        ValueError: if the training fails.
    """
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-", ignore_cleanup_errors=True) as home:
        gaps = _measure(Library(Path(home)), device, _spec(files), seconds, line)
    late, due = map(sum, zip(*map(late_and_due, gaps), strict=True))
    line.say(f"window: {late} of {due} ticks late; the longest gap between two was {1000 * max(gaps):.0f} ms")
    percent = 100 * late / due
    return Result(
        name="gui",
        ours=percent,
        unit="% of ticks late by more than 50 ms",
        target=TARGET_PERCENT,
        met=percent < TARGET_PERCENT,
    )


def late_and_due(gap: float) -> tuple[int, int]:
    """For a timer with a period of TICK_S: the number of late ticks and of due ticks in a gap of `gap` seconds.

    Qt drops the ticks that it could not deliver; they count as due and late.
    """
    return max(0, math.ceil((gap - LATE_S) / TICK_S) - 1), max(1, round(gap / TICK_S))


def _spec(files: Sequence[Path]) -> RunSpec:
    data = DataSpec(source="files", files=tuple(map(str, files))) if files else DataSpec(source="stdlib")
    return RunSpec(
        name="bench",
        model=dataclasses.replace(PRESETS["terrarium-tiny"], context_length=64),
        tokenizer=TokenizerSpec(kind="byte"),
        data=data,
        train=TrainConfig(steps=_ENDLESS, eval_interval=50, sample_interval=50, prompts=("The",)),
    )


def _measure(library: Library, device: str, spec: RunSpec, seconds: float, line: ProgressLine) -> list[float]:
    """Seconds between the ticks of a timer in the window's thread while the run trains."""
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    from terrarium.app.shell.offscreen import opened_window

    ticks: list[float] = []
    failures: list[str] = []

    with opened_window(library, device) as window:
        session, loop = window.session, QEventLoop()

        def on_events(events: tuple[Any, ...]) -> None:
            for event in events:
                line.show(event)

        def on_tick() -> None:
            if failures:
                loop.quit()
            elif session.training.state is not None and session.training.state.step:
                ticks.append(time.perf_counter())
                if ticks[-1] - ticks[0] >= seconds:
                    loop.quit()

        def on_failed(sentence: str, details: str) -> None:
            failures.append(sentence)

        timer = QTimer()
        timer.setTimerType(Qt.TimerType.PreciseTimer)
        timer.setInterval(round(1000 * TICK_S))
        timer.timeout.connect(on_tick)
        session.notices.failed.connect(on_failed)
        session.training.events_received.connect(on_events)
        try:
            window.show_tab("training")
            session.training.start(spec)
            timer.start()
            loop.exec()
        finally:
            timer.stop()
            session.training.stop(keep=False)
    if failures:
        raise ValueError(failures[0])
    return [after - before for before, after in itertools.pairwise(ticks)]
