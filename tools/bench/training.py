"""Training benchmark: time of our recipe for characters to reach the loss of a plain GPT-2 after 2,000 steps."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import Optimizer

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.device import pick_precision, synchronize
from terrarium.models.events import Event, Notice, Phase, Progress
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training import schedule
from terrarium.models.training.optim import make_optimizers
from tools.bench import reference
from tools.bench.reference import ReferenceGPT, make_adamw
from tools.bench.result import Result, compared
from tools.bench.text import CONTEXT, CharText

PRESET = "terrarium-char"
OUR_STEPS = 120
"""Length of the schedule: about where the reference's loss is reached."""
EVAL_INTERVAL = 50
TARGET = 10.0
PARAMETER_TOLERANCE = 0.02
_EVAL_ROWS = 128


@dataclass(frozen=True, kw_only=True)
class Competitor:
    """A model with its training recipe; `lr_factor` multiplies each group's `initial_lr`."""

    name: str
    model: nn.Module
    optimizers: Sequence[Optimizer]
    lr_factor: Callable[[int], float]
    steps: int
    batch_size: int
    grad_clip: float
    dtype: torch.dtype

    @property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())


@dataclass(frozen=True, kw_only=True)
class Point:
    """The loss (nats per character) on the validation slice after `step` steps and `seconds` of training."""

    step: int
    seconds: float
    loss: float


def make_reference(text: CharText, seed: int, device: torch.device, steps: int = reference.STEPS) -> Competitor:
    """The plain GPT-2."""
    torch.manual_seed(seed)
    model = ReferenceGPT(text.vocab_size, CONTEXT).to(device)
    return Competitor(
        name="reference",
        model=model,
        optimizers=[make_adamw(model)],
        lr_factor=lambda step: reference.lr_factor(step, steps),
        steps=steps,
        batch_size=reference.BATCH_SIZE,
        grad_clip=reference.CLIP,
        dtype=torch.float32,
    )


def make_ours(text: CharText, seed: int, device: torch.device, steps: int = OUR_STEPS) -> Competitor:
    """Our design for characters and the default training settings, at the reference's depth and width."""
    config = dataclasses.replace(
        PRESETS[PRESET],
        vocab_size=text.vocab_size,
        context_length=CONTEXT,
        n_layer=reference.N_LAYER,
        d_model=reference.D_MODEL,
    )
    recipe = TrainConfig(steps=steps, warmup_steps=min(TrainConfig().warmup_steps, steps // 2))
    torch.manual_seed(seed)
    model = Decoder(config).to(device)
    return Competitor(
        name="ours",
        model=model,
        optimizers=make_optimizers(model, recipe),
        lr_factor=lambda step: schedule.lr_factor(step, recipe),
        steps=steps,
        batch_size=recipe.batch_size,
        grad_clip=recipe.grad_clip,
        dtype=pick_precision(recipe, config, device),
    )


def train(
    competitor: Competitor, text: CharText, seed: int, device: torch.device, goal: float = float("-inf")
) -> Generator[Event, None, list[Point]]:
    """Train to the last step, or until the validation loss is at most `goal`; returns the curve. Yields Progress."""
    generator = torch.Generator().manual_seed(seed)
    curve: list[Point] = []
    seconds = 0.0
    while not curve or (curve[-1].loss > goal and curve[-1].step < competitor.steps):
        first = curve[-1].step if curve else 0
        last = min(first + EVAL_INTERVAL, competitor.steps)
        started_at = time.perf_counter()
        for step in range(first, last):
            _train_step(competitor, text, step, generator, device)
        synchronize(device)
        seconds += time.perf_counter() - started_at
        curve.append(Point(step=last, seconds=seconds, loss=validation_loss(competitor.model, text, device)))
        yield Progress(done=last, total=competitor.steps, seconds_left=seconds / last * (competitor.steps - last))
    return curve


def _train_step(
    competitor: Competitor, text: CharText, step: int, generator: torch.Generator, device: torch.device
) -> None:
    inputs, targets = text.batch(competitor.batch_size, generator)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=competitor.dtype == torch.bfloat16):
        logits = competitor.model(inputs.to(device))
    F.cross_entropy(logits.float().flatten(0, 1), targets.to(device).flatten()).backward()
    torch.nn.utils.clip_grad_norm_(competitor.model.parameters(), competitor.grad_clip)
    for optimizer in competitor.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * competitor.lr_factor(step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def validation_loss(model: nn.Module, text: CharText, device: torch.device) -> float:
    """Mean negative log-likelihood (nats per character) over the whole validation slice, in float32."""
    total = 0.0
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for inputs, targets in zip(text.inputs.split(_EVAL_ROWS), text.targets.split(_EVAL_ROWS), strict=True):
            logits = model(inputs.to(device))
            total += float(F.cross_entropy(logits.flatten(0, 1), targets.to(device).flatten(), reduction="sum"))
    model.train(was_training)
    return total / text.targets.numel()


def bench_training(
    text: CharText,
    device: torch.device,
    seeds: Sequence[int],
    reference_steps: int = reference.STEPS,
    our_steps: int = OUR_STEPS,
) -> Generator[Event, None, Result]:
    """Median seconds in which our recipe reaches the reference's final loss, compared to the reference's own.

    Raises:
        ValueError: if the two models differ too much in size to be compared.
    """
    ours: list[float] = []
    theirs: list[float] = []
    for seed in seeds:
        yield Phase(name=f"Reference, seed {seed}")
        competitor = make_reference(text, seed, device, reference_steps)
        curve = yield from train(competitor, text, seed, device)
        theirs.append(curve[-1].seconds)
        goal = curve[-1].loss
        yield Notice(sentence=f"reference, seed {seed}: {_describe(competitor, curve[-1])}")
        yield Phase(name=f"Ours, seed {seed}")
        own = make_ours(text, seed, device, our_steps)
        _check_sizes(own.n_parameters, competitor.n_parameters)
        curve = yield from train(own, text, seed, device, goal)
        reached = curve[-1].loss <= goal
        ours.append(curve[-1].seconds if reached else float("inf"))
        sentence = f"ours, seed {seed}: {_describe(own, curve[-1])}"
        yield Notice(sentence=sentence if reached else f"{sentence}: the reference's loss was not reached")
    median = statistics.median(ours)
    return compared(
        "train",
        None if median == float("inf") else median,
        statistics.median(theirs),
        "s to the same loss",
        less_is_better=True,
        target=TARGET,
    )


def _check_sizes(ours: int, theirs: int) -> None:
    if abs(ours - theirs) > PARAMETER_TOLERANCE * theirs:
        raise ValueError(
            f"The preset {PRESET} has {ours:,} parameters here and the reference {theirs:,}: for a fair "
            f"comparison they may differ by at most {PARAMETER_TOLERANCE:.0%}."
        )


def _describe(competitor: Competitor, point: Point) -> str:
    return (
        f"loss {point.loss:.4f} after {point.step:,} steps of {competitor.batch_size} texts in {point.seconds:.1f} s "
        f"({1000 * point.seconds / point.step:.1f} ms a step, {competitor.n_parameters:,} parameters)"
    )
