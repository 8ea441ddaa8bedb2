"""Large data on a small machine: a generated JSONL file is imported and a training on it begun, in processes of their
own whose peak memory is measured, at half the size and at the whole. No torch import.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from models.bench.result import Result
from models.child_process import own_command
from models.events import Event, Phase, Progress
from models.number_words import format_size

PEAK_MB = 700.0
"""What an import, and a training of a small model, may take at most, whatever the size of the data."""

GROWTH_PERCENT = 5.0
"""What twice the data may add to the peak memory."""

STEPS = 10
_GB = 10**9
_MB = 10**6
_POLL_S = 0.05
_N_WORDS, _N_SENTENCES, _PER_ROW = 5_000, 5_000, 5
_ROWS_AT_ONCE = 5_000
_SETTINGS = ("train.eval_interval=5", "train.eval_batches=4", "train.sample_interval=0", "model.context_length=64")


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """Of one size: the peaks in bytes, and the seconds, of importing and of beginning a training."""

    n_bytes: int
    import_peak: int
    import_s: float
    train_peak: int
    train_s: float


def bench_data(folder: Path, gigabytes: float, steps: int = STEPS) -> Generator[Event, None, list[Result]]:
    """Peak memory (MB), its growth from half the size to the whole (%), and MB/s. `folder` is for the data (2.5 times
    its size), and is emptied by the caller.

    Raises:
        ValueError: where a command fails, with its message.
    """
    half = yield from _measure(folder / "half", gigabytes / 2, steps)
    whole = yield from _measure(folder / "whole", gigabytes, steps)
    results = []
    for name, small, large, seconds in (
        ("data import", half.import_peak, whole.import_peak, whole.import_s),
        ("begin training", half.train_peak, whole.train_peak, whole.train_s),
    ):
        growth = 100 * (large / small - 1)
        results += [
            _limited(f"{name}: peak memory", large / _MB, "MB", PEAK_MB),
            _limited(f"{name}: growth from half the data", growth, "%", GROWTH_PERCENT),
            Result(name=f"{name}: speed", unit="MB/s", ours=whole.n_bytes / _MB / seconds),
        ]
    return results


def _limited(name: str, ours: float, unit: str, target: float) -> Result:
    return Result(name=name, unit=unit, ours=ours, target=target, met=ours <= target)


def _measure(home: Path, gigabytes: float, steps: int) -> Generator[Event, None, _Measured]:
    home.mkdir(parents=True)
    file, n_bytes = home / "stories.jsonl", int(gigabytes * _GB)
    yield Phase(name=f"Generating {format_size(n_bytes)} of JSONL")
    with file.open("w", encoding="utf-8") as out:
        for written, block in _blocks(n_bytes):
            out.write(block)
            yield Progress(done=written, total=n_bytes)
    n_bytes = file.stat().st_size
    yield Phase(name=f"Importing {format_size(n_bytes)}")
    imported = ["data", "import", str(file), "--task", "language", "--name", "stories", "--split", "0.02"]
    import_peak, import_s = yield from _run([*imported, "--test", "0"], home)
    file.unlink()
    yield Phase(name=f"Beginning a training on {format_size(n_bytes)}")
    settings = ("data.source=dataset", "data.dataset=stories", f"train.steps={steps}", *_SETTINGS)
    changes = [argument for setting in settings for argument in ("--set", setting)]
    train_peak, train_s = yield from _run(["train", "--device", "cpu", *changes], home)
    return _Measured(
        n_bytes=n_bytes, import_peak=import_peak, import_s=import_s, train_peak=train_peak, train_s=train_s
    )


def _blocks(n_bytes: int) -> Iterator[tuple[int, str]]:
    """Rows of random sentences, each different, until they have `n_bytes`; and how many bytes there are so far."""
    rng = random.Random(1)
    words = ["".join(rng.choice("aeioubdfglmnprst") for _ in range(rng.randint(2, 9))) for _ in range(_N_WORDS)]
    sentences = [" ".join(rng.choices(words, k=rng.randint(6, 20))).capitalize() + "." for _ in range(_N_SENTENCES)]
    written, number = 0, 0
    while written < n_bytes:
        lines = []
        for _ in range(_ROWS_AT_ONCE):
            number += 1
            lines.append(json.dumps({"text": " ".join([f"Story {number}.", *rng.choices(sentences, k=_PER_ROW)])}))
        block = "\n".join(lines) + "\n"
        written += len(block)
        yield written, block


def _run(arguments: list[str], home: Path) -> Generator[Event, None, tuple[int, float]]:
    """Run a command line of this program in its own library; the peak memory of its largest process, and seconds."""
    environment = {**os.environ, "TERRARIUM_HOME": str(home / "library"), "PYTHONUTF8": "1"}
    errors = home / "errors.txt"
    began, peak = time.perf_counter(), 0
    with errors.open("wb") as log:
        child = subprocess.Popen([*own_command(), *arguments], stdout=subprocess.DEVNULL, stderr=log, env=environment)
        try:
            while child.poll() is None:
                peak = max(peak, _largest(child.pid))
                yield Progress(done=0, total=0)
                time.sleep(_POLL_S)
        finally:
            child.kill()
            child.wait()
    if child.returncode:
        raise ValueError(f"terrarium {arguments[0]} failed: {errors.read_text('utf-8', 'replace').strip()[-500:]}")
    return peak, time.perf_counter() - began


def _largest(pid: int) -> int:
    """Bytes in memory of the largest among a process and its children; 0 where it has just ended."""
    try:
        parent = psutil.Process(pid)
        return max(process.memory_info().rss for process in (parent, *parent.children(recursive=True)))
    except psutil.Error:
        return 0
