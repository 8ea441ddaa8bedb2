"""Window start-up benchmark: alone, with a library of 1,000 runs, and with a run of a million steps."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from terrarium.app.commands.progress import ProgressLine
from terrarium.models.files.atomic import atomic_write_json
from terrarium.models.library.library import Library
from terrarium.models.runs.curve_index import AT_ONCE, CurveIndex
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.training.record import metrics_row
from tools.bench.result import Result

RUNS, STEPS = 1000, 1_000_000
_TICK_MS = 5
_LONGEST_S = 120.0
_BARS = {
    "first paint": ("s after the process starts", 0.6),
    "all tabs": ("s after the process starts", 2.5),
    "memory": ("MB of the idle window", 300.0),
    "torch": ("modules of torch in the idle window", 0.0),
    "many runs": ("ms: the longest gap as the training tab is first shown", 50.0),
    "long run": ("s until it is drawn", 1.0),
    "long run's gap": ("ms: the longest one as it is drawn", 50.0),
    "long run's memory": ("MB above that of before", 100.0),
}
"""The unit of each figure, and the most that it should be."""

_CHECKOUT = Path(__file__).parents[2]


def bench_opening(line: ProgressLine) -> list[Result]:
    """The figures of _BARS, each in a new process; a window without a screen."""
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="terrarium-bench-", ignore_cleanup_errors=True) as home:
        few, many, long = (Path(home) / name for name in ("few", "many", "long"))
        line.say(f"Writing a library of {RUNS:,} runs, and a run of {STEPS:,} steps…")
        for i in range(RUNS):
            write_run(many, f"run{i}", 20)
        write_run(long, "long", STEPS)
        for what, library in (("alone", few), ("many", many), ("long", long)):
            line.say(f"Opening a window: {what}…")
            command = (sys.executable, "-m", "tools.bench.opening", what, str(library), str(time.time()))
            figures |= json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=_CHECKOUT).stdout)
    return [
        Result(name=f"window, {name}", ours=figures[name], unit=unit, target=most, met=figures[name] <= most)
        for name, (unit, most) in _BARS.items()
    ]


def write_run(home: Path, name: str, steps: int) -> None:
    """A run with `steps` rows of measurements, and a validation after each fiftieth, as a training leaves it."""
    spec = RunSpec(
        name=name,
        model=PRESETS["terrarium-tiny"],
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(),
        train=TrainConfig(steps=steps),
    )
    folder = Library(home).runs / name
    record = {"format": 1, "id": name, "name": name, "created": "2026-01-01T00:00:00", "status": "finished"}
    atomic_write_json(folder / "run.json", record | {"spec": spec.to_dict(), "threads": 1, "best_step": None})
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    with (folder / "metrics.jsonl").open("w", encoding="utf-8") as log:
        for step in range(1, steps + 1):
            loss = 1 + 6 * math.exp(-20 * step / steps) + math.sin(step * step) / 4
            place = {"step": step, "tokens": 1000 * step, "elapsed_s": 0.1 * step}
            measured = {"lr": 0.003, "grad_norm": 1 + math.cos(step) / 2, "tokens_per_s": 10_000.0 + step % 97}
            log.write(json.dumps(metrics_row("train", **place, loss=loss, **measured)) + "\n")
            if step % 50 == 0:
                log.write(json.dumps(metrics_row("val", **place, loss=loss)) + "\n")
    index = CurveIndex(folder)
    while index.read(AT_ONCE).is_behind:  # the run's training would have kept it
        pass


def _measure(what: str, library: Path, began: float) -> dict[str, float]:
    """Measure one window in a separate process. `began`: time.time() when the process was started."""
    from terrarium.app.shell.offscreen import opened_window
    from terrarium.app.shell.screens import load_pages

    with opened_window(Library(library)) as window:
        if what == "alone":
            painted: list[float] = []
            window.painted.connect(lambda: painted.append(time.time() - began))
            _until(lambda: bool(painted))
            window.relaunch.prepare()
            _until(lambda: not window.pages.is_incomplete)
            tabs = time.time() - began
            n_torch = sum(name.partition(".")[0] == "torch" for name in sys.modules)
            return {"first paint": painted[0], "all tabs": tabs, "memory": _megabytes(), "torch": float(n_torch)}
        for _ in load_pages():  # as `prepare` does, but without making all the pages
            pass
        window.session.runs.index.refresh()
        gap = _longest_gap(lambda: window.show_tab("training"), lambda: window.training.is_complete)
        if what == "many":
            return {"many runs": gap}
        run_view, before = window.training.run_view, _megabytes()
        curves = run_view.views.view("curves")  # it is made and shown now, which takes as long for a short run
        window.training.pages.setCurrentWidget(run_view)
        _settle()
        start = time.perf_counter()
        gap = _longest_gap(lambda: window.training.show_run("long"), lambda: len(curves.loss.raw.xData) > 0)
        took = time.perf_counter() - start
        return {"long run": took, "long run's gap": gap, "long run's memory": _megabytes() - before}


def _settle() -> None:
    """Wait until all is drawn."""
    end = time.perf_counter() + 0.5
    _until(lambda: time.perf_counter() > end)


def _until(condition: Callable[[], bool]) -> None:
    _longest_gap(lambda: None, condition)


def _longest_gap(do: Callable[[], Any], is_done: Callable[[], bool]) -> float:
    """The longest time in ms between two ticks of a timer, from `do` until `is_done`, and all is drawn.

    Raises:
        ValueError: if that takes longer than two minutes.
    """
    from PySide6.QtCore import QEventLoop, Qt, QTimer

    loop, ticks = QEventLoop(), [time.perf_counter()]
    start = ticks[0]

    def on_tick() -> None:
        ticks.append(time.perf_counter())
        if is_done() or ticks[-1] - start > _LONGEST_S:
            loop.quit()

    timer = QTimer()
    timer.setTimerType(Qt.TimerType.PreciseTimer)
    timer.setInterval(_TICK_MS)
    timer.timeout.connect(on_tick)
    timer.start()
    QTimer.singleShot(0, do)
    loop.exec()
    timer.stop()
    if not is_done():
        raise ValueError(f"The window was not done after {_LONGEST_S:.0f} s.")
    return 1000 * max(after - before for before, after in itertools.pairwise(ticks))


def _megabytes() -> float:
    return float(psutil.Process().memory_info().rss) / 2**20


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))))
