"""Measures the training speed of a model on this computer with a few steps on random tokens, and proposes a run's
settings from it.

It takes a few seconds at most, and nothing is saved.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Generator, Sequence
from statistics import median

import torch

from terrarium.models.architecture.transformer import AnyModel, EncoderDecoder
from terrarium.models.computer_load import ComputerLoad
from terrarium.models.data.batch import Batch
from terrarium.models.device import choose_device
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.training.estimates.measure import RandomTexts
from terrarium.models.training.estimates.trial import Trial, free_bytes, out_of_memory_as_sentence
from terrarium.models.training.proposal.facts import read_facts, text_bytes
from terrarium.models.training.proposal.propose import (
    Proposal,
    describe_length,
    epochs_of,
    propose,
    proposed_tokenizer,
    seconds_of,
)
from terrarium.models.training.proposal.speed import Speed
from terrarium.models.training.proposal.step_shape import StepShape, step_shape, update_flops
from terrarium.models.training.tuning import build_run_model, check_tuning

_MOST_FLOPS = 6e10
"""FLOPs of the larger of the two timed updates: about a second for a slow large model."""
_APART = 4.0
"""The minimum ratio of operations of the two updates, so that their difference is meaningful."""
_N_TIMED, _TIMED_S = 3, 0.5
"""The minimum number of timed updates, and of seconds: quick updates vary, so more of them are timed."""
_SHORT = 8


class _SameBatch:
    """The batches of a training that are all the same batch of random tokens."""

    def __init__(self, batch: Batch) -> None:
        self.of_step = batch

    def batch(self, step: int, micro_step: int = 0) -> Batch:
        return self.of_step


def measure_speed(spec: RunSpec, shape: StepShape, device: str = "auto") -> Generator[Event, None, Speed]:
    """Time updates of two sizes: a very small one, and one as large as `shape` or as fits into about a second.

    Yields Phase and Progress. Torch's random state is preserved at each event and at the end.

    Raises:
        ValueError: if memory does not suffice, or the design cannot be tuned in this mode.
    """
    if spec.tune is not None:
        check_tuning(spec, 0)
    yield Phase(name="Measuring this computer")
    choice = choose_device(device)
    model = spec.model
    if model.head not in ("language", "sequence", "token"):  # for answer spans: two numbers per token
        model = dataclasses.replace(model, head="token", n_label=2)
    train = dataclasses.replace(spec.train, grad_accum_steps=1)
    spec = dataclasses.replace(spec, model=model, train=train)
    small = _of(1, min(_SHORT, shape.length))
    large = _large(spec, shape, update_flops(small, model, train, spec.tune))
    yield Progress(done=0, total=3)
    batches = _SameBatch(RandomTexts(model, small.rows, small.length, small.length, choice.device).batch)
    load = ComputerLoad()
    with out_of_memory_as_sentence(choice.device):
        trial = Trial(spec, lambda: build_run_model(spec), batches, choice)
        try:
            trial.step(0)  # slower than the others: warm-up
            base = _median_seconds(trial)
            yield Progress(done=1, total=3)
            batches.of_step = RandomTexts(model, large.rows, large.length, large.length, choice.device).batch
            trial.step(0)
            each = _median_seconds(trial)
            yield Progress(done=2, total=3)
            token_s = _token_seconds(trial.model)
        finally:
            trial.free()
    yield Progress(done=3, total=3)
    others = (load.measure() or 0.0) if choice.device.type == "cpu" else 0.0
    little, much = (update_flops(one, model, train, spec.tune) for one in (small, large))
    flops_per_s = (much - little) / max(each - base, 0.05 * each)
    return Speed(base_s=max(0.0, each - much / flops_per_s), flops_per_s=flops_per_s, token_s=token_s, others=others)


def propose_run(
    library: Library, spec: RunSpec, kept: Sequence[str] = (), device: str = "auto"
) -> Generator[Event, None, tuple[RunSpec, str]]:
    """Return `spec` with proposed settings, and a sentence on how long the run takes and how much it reads.

    Yields Phase and Progress.

    Args:
        kept: the settings that the user has chosen, as “train.steps”.

    Raises:
        ValueError: if its data or its tokenizer cannot be read, or memory does not suffice.
    """
    if spec.data.source == "pronouns":
        return spec, ""
    if spec.tune is None and not spec.tokenizer.path and not any(name.startswith("tokenizer.") for name in kept):
        spec = dataclasses.replace(spec, tokenizer=proposed_tokenizer(spec.model, text_bytes(library, spec)))
        spec = dataclasses.replace(spec, model=dataclasses.replace(spec.model, vocab_size=spec.tokenizer.vocab_size))
    facts = yield from read_facts(library, spec)
    chosen = [name.removeprefix("train.") for name in kept if name.startswith("train.")]
    choice = choose_device(device)
    free = free_bytes(choice)
    if facts is not None and facts.task:
        spec = dataclasses.replace(spec, model=spec.model.for_task(facts.task, facts.labels))
    filled = _filled(spec, propose(spec, facts, None, free, chosen), kept)
    seconds = None
    if "steps" not in chosen:
        speed = yield from measure_speed(filled, step_shape(facts, filled.model, filled.train, filled.tune), device)
        filled = _filled(spec, propose(spec, facts, speed, free, chosen), kept)
        seconds = seconds_of(filled, facts, speed)
    words = describe_length(seconds, facts, epochs_of(filled, facts))
    return filled, f"{words[:1].upper()}{words[1:]}." if words else ""


def _filled(spec: RunSpec, proposal: Proposal, kept: Sequence[str]) -> RunSpec:
    """Apply a proposal to a run, except to the settings that the user has chosen."""
    train = {name: value for name, value in proposal.train.items() if f"train.{name}" not in kept}
    tune = {name: value for name, value in proposal.tune.items() if f"tune.{name}" not in kept}
    return dataclasses.replace(
        spec,
        train=dataclasses.replace(spec.train, **train),
        tune=None if spec.tune is None else dataclasses.replace(spec.tune, **tune),
    )


def _of(rows: int, length: int) -> StepShape:
    """Make the shape of an update on random tokens, all of which are targets."""
    return StepShape(rows=rows, length=length, most_rows=rows, longest=length, n_tokens=rows * length)


def _large(spec: RunSpec, shape: StepShape, little: float) -> StepShape:
    """Return the shape of the larger timed update: fewer or shorter texts if `shape` is too expensive, more if it is
    hardly larger than the small one.
    """
    rows, length = shape.rows, shape.length

    def flops() -> float:
        return update_flops(_of(rows, length), spec.model, spec.train, spec.tune)

    while flops() > _MOST_FLOPS and (rows > 1 or length > 2 * _SHORT):
        rows, length = (rows // 2, length) if rows > 1 else (1, length // 2)
    while flops() < _APART * little:
        rows *= 2
    return _of(rows, length)


def _median_seconds(trial: Trial) -> float:
    """Return the median seconds of an update."""
    seconds: list[float] = []
    while len(seconds) < _N_TIMED or sum(seconds) < _TIMED_S:
        seconds.append(trial.step(len(seconds)).seconds)
    return median(seconds)


def _token_seconds(model: AnyModel) -> float:
    """Return the seconds to read one token, which is about as long as generating one takes."""
    device = model.embedding.weight.device
    ids = torch.zeros((1, 1), dtype=torch.long, device=device)
    seconds = []
    model.eval()
    with torch.inference_mode():
        for _ in range(_N_TIMED):
            began = time.perf_counter()
            if isinstance(model, EncoderDecoder):
                model.hidden(ids, ids)
            else:
                model.hidden(ids)
            seconds.append(time.perf_counter() - began)
    model.train()
    return min(seconds)
