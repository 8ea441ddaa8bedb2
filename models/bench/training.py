"""The training bench: how long our default recipe takes to learn what a plain GPT-2 learns in 2,000 steps."""

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

from models.architecture.transformer import Decoder
from models.bench import reference
from models.bench.reference import ReferenceGPT, make_adamw
from models.bench.result import Result, compared
from models.bench.text import CONTEXT, CharText
from models.device import pick_precision
from models.events import Event, Notice, Phase, Progress
from models.settings.presets import PRESETS
from models.settings.run_spec import TrainConfig
from models.training import schedule
from models.training.optim import make_optimizers

PRESET = "terrarium-tiny"
OUR_STEPS = 150
"""The schedule ends here: about where the reference's loss is reached."""
EVAL_INTERVAL = 50
TARGET = 6.0
PARAMETER_TOLERANCE = 0.02
_EVAL_ROWS = 128


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """A model with everything that its training needs; `lr_factor` multiplies each group's `initial_lr`."""

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


def make_reference(text: CharText, seed: int, device: torch.device, steps: int = reference.STEPS) -> Contestant:
    """The plain GPT-2."""
    torch.manual_seed(seed)
    model = ReferenceGPT(text.vocab_size, CONTEXT).to(device)
    return Contestant(
        name="reference",
        model=model,
        optimizers=[make_adamw(model)],
        lr_factor=lambda step: reference.lr_factor(step, steps),
        steps=steps,
        batch_size=reference.BATCH_SIZE,
        grad_clip=reference.CLIP,
        dtype=torch.float32,
    )


def make_ours(text: CharText, seed: int, device: torch.device, steps: int = OUR_STEPS) -> Contestant:
    """Our default design and training settings, at the reference's depth and width."""
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
    return Contestant(
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
    contestant: Contestant, text: CharText, seed: int, device: torch.device, goal: float = float("-inf")
) -> Generator[Event, None, list[Point]]:
    """Train to the last step, or until the validation loss is at most `goal`; the curve. Yields Progress."""
    generator = torch.Generator().manual_seed(seed)
    curve: list[Point] = []
    seconds = 0.0
    while not curve or (curve[-1].loss > goal and curve[-1].step < contestant.steps):
        first = curve[-1].step if curve else 0
        last = min(first + EVAL_INTERVAL, contestant.steps)
        began = time.perf_counter()
        for step in range(first, last):
            _train_step(contestant, text, step, generator, device)
        _wait_for(device)
        seconds += time.perf_counter() - began
        curve.append(Point(step=last, seconds=seconds, loss=validation_loss(contestant.model, text, device)))
        yield Progress(done=last, total=contestant.steps, seconds_left=seconds / last * (contestant.steps - last))
    return curve


def _train_step(
    contestant: Contestant, text: CharText, step: int, generator: torch.Generator, device: torch.device
) -> None:
    inputs, targets = text.batch(contestant.batch_size, generator)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=contestant.dtype == torch.bfloat16):
        logits = contestant.model(inputs.to(device))
    F.cross_entropy(logits.float().flatten(0, 1), targets.to(device).flatten()).backward()
    torch.nn.utils.clip_grad_norm_(contestant.model.parameters(), contestant.grad_clip)
    for optimizer in contestant.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * contestant.lr_factor(step)
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


def _wait_for(device: torch.device) -> None:
    """Let a GPU finish what it was given, so that clocks are read at the right moment."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def bench_training(
    text: CharText,
    device: torch.device,
    seeds: Sequence[int],
    reference_steps: int = reference.STEPS,
    our_steps: int = OUR_STEPS,
) -> Generator[Event, None, Result]:
    """The seconds that our recipe needs to reach the reference's last loss, against the reference's: medians.

    Raises:
        ValueError: where the two models differ too much in size to be compared.
    """
    ours: list[float] = []
    theirs: list[float] = []
    for seed in seeds:
        yield Phase(name=f"Reference, seed {seed}")
        contestant = make_reference(text, seed, device, reference_steps)
        curve = yield from train(contestant, text, seed, device)
        theirs.append(curve[-1].seconds)
        goal = curve[-1].loss
        yield Notice(sentence=f"reference, seed {seed}: {_words(contestant, curve[-1])}")
        yield Phase(name=f"Ours, seed {seed}")
        challenger = make_ours(text, seed, device, our_steps)
        _check_sizes(challenger.n_parameters, contestant.n_parameters)
        curve = yield from train(challenger, text, seed, device, goal)
        reached = curve[-1].loss <= goal
        ours.append(curve[-1].seconds if reached else float("inf"))
        sentence = f"ours, seed {seed}: {_words(challenger, curve[-1])}"
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
            f"The preset {PRESET} has {ours:,} parameters here and the reference {theirs:,}, which is no fair "
            f"comparison: they may differ by {PARAMETER_TOLERANCE:.0%}."
        )


def _words(contestant: Contestant, point: Point) -> str:
    return (
        f"loss {point.loss:.4f} after {point.step:,} steps of {contestant.batch_size} texts in {point.seconds:.1f} s "
        f"({1000 * point.seconds / point.step:.1f} ms a step, {contestant.n_parameters:,} parameters)"
    )
