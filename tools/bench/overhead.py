"""Overhead benchmark: the trainer compared to a bare PyTorch loop on the same model, batches and optimizer."""

from __future__ import annotations

import copy
import dataclasses
import time
from collections.abc import Generator

import torch

from terrarium.models.data.batch import Batch
from terrarium.models.events import Event, Notice, Phase, Progress, RunStarted, TrainMetrics
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import DataSpec, RunSpec, TokenizerSpec, TrainConfig
from terrarium.models.training.objective import weighted_nll
from terrarium.models.training.optim import make_optimizers
from terrarium.models.training.prepare import prepare_run
from terrarium.models.training.schedule import lr_factor
from terrarium.models.training.setup import TrainingContext
from terrarium.models.training.trainer import Trainer
from tools.bench.result import Result

PRESET = "terrarium-tiny"
STEPS = 400
"""Twice the longest default interval, so that each event occurs as often as in a long run."""
BLOCK = 10
"""Steps before the two take turns, so that other load on the machine affects both alike."""
TARGET_PERCENT = 3.0


def bench_overhead(
    library: Library, device_name: str, data: DataSpec, steps: int = STEPS
) -> Generator[Event, None, Result]:
    """Extra time per step in percent, including logging, validation and saving at their default intervals.

    Everything before the first step (reading, building, the first validation) is excluded.
    """
    spec = RunSpec(
        name="overhead",
        model=dataclasses.replace(PRESETS[PRESET], context_length=128),
        tokenizer=TokenizerSpec(kind="byte"),
        data=data,
        train=TrainConfig(steps=steps),
    )
    run = yield from prepare_run(library, spec)
    trainer = Trainer(run, library, device=device_name)
    events = trainer.events()
    bare: BareLoop | None = None
    for event in events:
        yield event
        if isinstance(event, RunStarted):
            bare = BareLoop(trainer.context, spec.train)
        elif isinstance(event, TrainMetrics):  # the first step warms up
            break
    assert bare is not None
    bare.prepare(0, 1)
    bare.step(0)
    yield Phase(name="Trainer and bare loop in turns")
    ours = theirs = 0.0
    done = 1
    while done < steps:
        until = min(done + BLOCK, steps)
        ours += yield from _train_until(events, until)
        bare.prepare(done, until)
        started_at = time.perf_counter()
        for step in range(done, until):
            bare.step(step)
        theirs += time.perf_counter() - started_at
        done = until
        yield Progress(done=done, total=steps)
    started_at = time.perf_counter()
    for _ in events:  # the last validation and checkpoint
        pass
    ours += time.perf_counter() - started_at
    n = steps - 1
    yield Notice(sentence=f"{1000 * ours / n:.2f} ms a step with the trainer, {1000 * theirs / n:.2f} ms without")
    percent = 100 * (ours / theirs - 1)
    return Result(
        name="overhead",
        ours=percent,
        unit="% more time per step than a bare loop",
        target=TARGET_PERCENT,
        met=percent < TARGET_PERCENT,
    )


def _train_until(events: Generator[Event, None, None], step: int) -> Generator[Event, None, float]:
    """Seconds the trainer takes until the end of `step`."""
    started_at, waited = time.perf_counter(), 0.0
    for event in events:
        left = time.perf_counter()
        if isinstance(event, TrainMetrics) and event.step == step:
            return left - started_at - waited
        yield event
        waited += time.perf_counter() - left
    return time.perf_counter() - started_at - waited


class BareLoop:
    """Forward, loss, backward, clipping, schedule and optimizers on the same model and batches, and nothing else.

    Its batches are made outside the measured time: making them is part of the trainer's work.
    """

    def __init__(self, context: TrainingContext, config: TrainConfig) -> None:
        self._context, self._config = context, config
        self._model = copy.deepcopy(context.model)
        self._optimizers = make_optimizers(self._model, config)
        self._batches: dict[int, Batch] = {}

    def prepare(self, first: int, last: int) -> None:
        """Make the batches of the steps from `first` up to `last`."""
        self._batches = {step: self._context.train_batches.batch(step, 0) for step in range(first, last)}

    def step(self, step: int) -> float:
        """One update; the loss in nats per token."""
        batch = self._batches[step]
        self._model.train()
        loss = weighted_nll(self._model, batch, self._context.dtype) / float(batch.weights.sum())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._config.grad_clip)
        factor = lr_factor(step, self._config)
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return float(loss.detach())  # waits for the device once per step, like the trainer
