"""Large data on a small machine: a generated JSONL file is imported and a training on it begun, in processes of their
own that are watched: their peak memory, at a quarter of the size and at the whole, and the events that they show. No
torch import.
"""

from __future__ import annotations

import json
import os
import queue
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from terrarium.models.child_process import own_command
from terrarium.models.corpora.blocks import check_room
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.number_words import format_size
from tools.bench.result import Result

PEAK_MB = 700.0
"""The maximum memory of an import, and of training a small model, whatever the size of the data."""

GROWTH_PERCENT = 5.0
"""What four times the data may add to the peak memory."""

GAP_S = 1.0
"""The longest allowed time between two events, as a command can only be stopped between events."""

SETTINGS = (
    "train.steps=10",
    "train.eval_interval=5",
    "train.eval_batches=4",
    "train.sample_interval=0",
    "model.context_length=64",
)
"""Of the training that is begun."""

_GB = 10**9
_MB = 10**6
_POLL_S = 0.05
_ON_DISK = 2.5
"""The disk space of the file and its library, as a multiple of the file's size."""
_N_WORDS, _N_SENTENCES, _PER_ROW = 5_000, 5_000, 5
_BLOCK_ROWS = 500
_MAX_MESSAGE = 500
"""The maximum number of characters shown from the end of a failed command's messages."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """The measurements of a watched command.

    peak: bytes in memory of its largest process. seconds, cpu_s: its duration, and its processor time. phases: name →
    seconds. gaps: name of a phase → the longest time without an event, and the processor time within it; events are
    shown every tenth of a second at most, so that is too much by as much. first_step_s: until the first step of a
    training was done; 0 without one.
    """

    peak: int
    seconds: float
    cpu_s: float
    phases: Mapping[str, float]
    gaps: Mapping[str, tuple[float, float]]
    first_step_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measurements for one size: importing the data, and starting a training on it."""

    n_bytes: int
    imported: Watched
    trained: Watched


def bench_data(folder: Path, gigabytes: float) -> Generator[Event, None, list[Result]]:
    """Peak memory (MB), its growth from a quarter of the size to the whole (%), MB/s, seconds to the first step, and
    the longest time between two events of each phase. `folder` is for the data, and is emptied by the caller.

    Raises:
        ValueError: if the disk has too little space, or a command fails, with its message.
    """
    check_room(folder, int(_ON_DISK * gigabytes * _GB), "The benchmark")
    quarter = yield from measure_data(folder / "quarter", gigabytes / 4)
    yield Notice(
        sentence=f"{format_size(quarter.n_bytes)}: imported in {quarter.imported.seconds:.0f} s with "
        f"{format_size(quarter.imported.peak)}, first step after {quarter.trained.first_step_s:.0f} s with "
        f"{format_size(quarter.trained.peak)}"
    )
    shutil.rmtree(folder / "quarter")
    whole = yield from measure_data(folder / "whole", gigabytes)
    return compare_sizes(quarter, whole)


def compare_sizes(quarter: Measured, whole: Measured) -> list[Result]:
    """The results of `bench_data`."""
    results, n_mb = [], whole.n_bytes / _MB
    for name, small, large in (
        ("data import", quarter.imported, whole.imported),
        ("begin training", quarter.trained, whole.trained),
    ):
        growth = 100 * (large.peak / small.peak - 1)
        results += [
            _limited(f"{name}: peak memory", large.peak / _MB, "MB", PEAK_MB),
            Result(name=f"{name}: peak memory of a quarter of the data", unit="MB", ours=small.peak / _MB),
            _limited(f"{name}: growth from a quarter of the data", growth, "%", GROWTH_PERCENT),
            Result(name=f"{name}: speed", unit="MB/s", ours=n_mb / large.seconds),
            Result(name=f"{name}: processor time", unit="s/GB", ours=1000 * large.cpu_s / n_mb),
        ]
        if large.first_step_s:
            results.append(Result(name=f"{name}: first step after", unit="s", ours=large.first_step_s))
        for phase, seconds in large.phases.items():
            results.append(Result(name=f"{name}: {phase}", unit="MB/s", ours=n_mb / max(seconds, 1e-9)))
        for phase, (gap, cpu_s) in large.gaps.items():
            unit = f"s ({cpu_s:.2f} s of processor time)"
            results.append(_limited(f"{name}: longest time between events: {phase}", gap, unit, GAP_S))
    return results


def _limited(name: str, ours: float, unit: str, target: float) -> Result:
    return Result(name=name, unit=unit, ours=ours, target=target, met=ours <= target)


def measure_data(home: Path, gigabytes: float, settings: Sequence[str] = SETTINGS) -> Generator[Event, None, Measured]:
    """Generate so much JSONL, import it, and begin a training with these `settings`, all in the folder `home`.

    Raises:
        ValueError: as `bench_data`.
    """
    home.mkdir(parents=True)
    file, n_bytes = home / "stories.jsonl", int(gigabytes * _GB)
    yield Phase(name=f"Generating {format_size(n_bytes)} of JSONL")
    with file.open("w", encoding="utf-8") as out:
        for written, block in _blocks(n_bytes):
            out.write(block)
            yield Progress(done=written, total=n_bytes)
    n_bytes = file.stat().st_size
    yield Phase(name=f"Importing {format_size(n_bytes)}")
    command = ["data", "import", str(file), "--task", "language", "--name", "stories", "--split", "0.02", "--test", "0"]
    imported = yield from _watch(command, home)
    file.unlink()
    yield Phase(name=f"Beginning a training on {format_size(n_bytes)}")
    wanted = ("data.source=dataset", "data.dataset=stories", *settings)
    changes = [argument for setting in wanted for argument in ("--set", setting)]
    trained = yield from _watch(["train", "--device", "cpu", *changes], home)
    return Measured(n_bytes=n_bytes, imported=imported, trained=trained)


def _blocks(n_bytes: int) -> Iterator[tuple[int, str]]:
    """Rows of random sentences, each different, until they have `n_bytes`; and how many bytes there are so far."""
    rng = random.Random(1)
    words = ["".join(rng.choice("aeioubdfglmnprst") for _ in range(rng.randint(2, 9))) for _ in range(_N_WORDS)]
    sentences = [" ".join(rng.choices(words, k=rng.randint(6, 20))).capitalize() + "." for _ in range(_N_SENTENCES)]
    written, number = 0, 0
    while written < n_bytes:
        chosen, lines = rng.choices(sentences, k=_BLOCK_ROWS * _PER_ROW), []
        for start in range(0, len(chosen), _PER_ROW):
            number += 1
            lines.append(f'{{"text": "Story {number}. {" ".join(chosen[start : start + _PER_ROW])}"}}\n')
        block = "".join(lines)
        written += len(block)
        yield written, block


def _watch(arguments: list[str], home: Path) -> Generator[Event, None, Watched]:
    """Run a command line of this program in its own library, and watch it."""
    environment = {**os.environ, "TERRARIUM_HOME": str(home / "library"), "PYTHONUTF8": "1"}
    began, peak, log = time.perf_counter(), 0, _Log()
    child = subprocess.Popen(
        [*own_command(), *arguments, "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    assert child.stderr is not None
    process, lines = psutil.Process(child.pid), queue.SimpleQueue[tuple[float, float, bytes]]()
    reader = threading.Thread(target=_read_lines, args=(child.stderr, process, began, lines), daemon=True)
    reader.start()
    try:
        while child.poll() is None:
            peak = max(peak, _largest(process))
            while not lines.empty():
                log.add(*lines.get())
            yield Progress(done=log.done, total=log.total)
            time.sleep(_POLL_S)
    finally:
        child.kill()
        child.wait()
        reader.join()
        child.stderr.close()
    seconds = time.perf_counter() - began
    while not lines.empty():
        log.add(*lines.get())
    if child.returncode:
        raise ValueError(f"terrarium {arguments[0]} failed: {log.words.strip()[-_MAX_MESSAGE:]}")
    return log.watched(peak, seconds)


def _read_lines(
    stream: IO[bytes], process: psutil.Process, began: float, lines: queue.SimpleQueue[tuple[float, float, bytes]]
) -> None:
    """Pass on the lines of a process, each with the seconds since it began and its processor time so far."""
    for line in stream:
        lines.put((time.perf_counter() - began, _cpu_seconds(process), line))


class _Log:
    """The events of a command, as it shows them."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.words = ""
        """Output lines that are not events."""
        self._phase, self._last_s, self._last_cpu, self._first_step_s = "", 0.0, 0.0, 0.0
        self._phases = dict[str, float]()
        self._gaps = dict[str, tuple[float, float]]()

    def add(self, seconds: float, cpu_s: float, line: bytes) -> None:
        """Add an output line with its arrival time."""
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            self.words += line.decode("utf-8", "replace")
            return
        self._pass(seconds, max(cpu_s, self._last_cpu))
        if kind == "Phase":
            self._phase, self.done, self.total = event["name"], 0, 0
        elif kind == "Progress":
            self.done, self.total = event["done"], event["total"]
        elif kind == "TrainMetrics" and not self._first_step_s:
            self._phase, self._first_step_s = "", seconds  # what training itself takes is not of the data

    def watched(self, peak: int, seconds: float) -> Watched:
        """All of it; `seconds`: when it ended, and with it its last phase."""
        self._pass(seconds, self._last_cpu)
        return Watched(
            peak=peak,
            seconds=seconds,
            cpu_s=self._last_cpu,
            phases=self._phases,
            gaps=self._gaps,
            first_step_s=self._first_step_s,
        )

    def _pass(self, seconds: float, cpu_s: float) -> None:
        if self._phase:
            gap = seconds - self._last_s
            self._phases[self._phase] = self._phases.get(self._phase, 0.0) + gap
            self._gaps[self._phase] = max(self._gaps.get(self._phase, (0.0, 0.0)), (gap, cpu_s - self._last_cpu))
        self._last_s, self._last_cpu = seconds, cpu_s


def _largest(process: psutil.Process) -> int:
    """Bytes in memory of the largest among a process and its children; 0 if it has just ended."""
    try:
        return max(each.memory_info().rss for each in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0


def _cpu_seconds(process: psutil.Process) -> float:
    """Processor time of a process, and of its children that have ended; 0 if it has ended."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.Error:
        return 0.0
