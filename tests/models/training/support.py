"""Small runs to train in tests, here or in a process that is killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch

from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.training import saving
from terrarium.models.training.trainer import Trainer, prepare_run

R = TypeVar("R")

TEXT = "".join(f"Anna has {n} apples and Ben has {n * 7 % 31} pears.\n" for n in range(120))
PRELOADED = (
    "tests.models.training.support",
    "tests.models.training.parallel.several",
    "terrarium.app.commands.train",
    "terrarium.models.training.parallel.sharding",
    "torch._dynamo",  # DDP imports it
    "torch.distributed.run",
)
"""What the process has in memory that others are forked off, so that they start at once."""

TIMING = ("elapsed_s", "tokens_per_s", "memory_bytes", "peak_share")


def result_of(generator: Generator[Event, None, R]) -> R:
    """Drive a generator to its end, and return its result."""
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value


def make_spec(folder: Path, config: ModelConfig, **train: Any) -> RunSpec:
    """A spec for a text file in `folder`; a few steps of a few milliseconds unless `train` says otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(TEXT, encoding="utf-8")
    settings: dict[str, Any] = {
        "steps": 10,
        "batch_size": 3,
        "warmup_steps": 2,
        "eval_interval": 4,
        "eval_batches": 2,
        "sample_interval": 5,
        "prompts": ("Anna has",),
        "sample_tokens": 2,
        "checkpoint_interval": 3,
        "keep_checkpoints": 2,
    }
    return RunSpec(
        name="small",
        model=config,
        tokenizer=TokenizerSpec(kind="byte"),
        data=DataSpec(source="files", files=(str(folder / "text.txt"),)),
        train=TrainConfig(**(settings | train)),
    )


def make_run(library: Library, config: ModelConfig, **train: Any) -> RunFolder:
    """A run that is ready to train."""
    return result_of(prepare_run(library, make_spec(library.home, config, **train)))


def train(run: RunFolder, library: Library, **options: Any) -> list[Event]:
    """Train to the end."""
    return list(Trainer(RunFolder.open(run.folder), library, device="cpu", **options).events())


def numbers(run: RunFolder) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl but for what depends on the machine's speed."""
    return [{key: value for key, value in row.items() if key not in TIMING} for row in run.read_metrics()]


def final_weights(run: RunFolder) -> dict[str, torch.Tensor]:
    """The weights of the newest checkpoint."""
    path = run.latest_checkpoint()
    assert path is not None
    return safetensors.torch.load_file(path / "model.safetensors")


def assert_same_end(run: RunFolder, reference: RunFolder) -> None:
    """The same rows, samples and weights, bit for bit."""
    assert numbers(run) == numbers(reference)
    assert run.read_samples() == reference.read_samples()
    expected = final_weights(reference)
    assert all(torch.equal(weight, expected[name]) for name, weight in final_weights(run).items())
    ours, theirs = RunFolder.open(run.folder), RunFolder.open(reference.folder)
    assert (ours.status, ours.best_step) == (theirs.status, theirs.best_step)


def fork(target: Callable[..., None], *args: Any, daemon: bool = True) -> ForkServerProcess:
    """A real process that calls `target(*args)`, forked off one that has torch in memory already: it takes no time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    process = context.Process(target=target, args=args, daemon=daemon)
    process.start()
    return process


def train_alone(folder: str, home: str, is_beside: bool = False) -> None:
    """The process that is killed: train the run in `folder` of the library at `home`.

    is_beside: whether even its small checkpoints are written beside the training.
    """
    torch.set_num_threads(1)
    if is_beside:
        saving.AT_ONCE_BYTES = 0
    for _ in Trainer(RunFolder.open(Path(folder)), Library(Path(home)), device="cpu").events():
        pass
