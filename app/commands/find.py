"""`terrarium find`: find a learning rate, a batch size, the cost or the base rate of a run in a short trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from terrarium.app.commands.options import Command, Entry, Group, action_name
from terrarium.app.commands.progress import ProgressLine, drive
from terrarium.app.commands.spec_options import SpecOptions
from terrarium.models.events import Event, Notice
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_duration, format_size
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.training.estimates.findings import DataPreview, RunCost

if TYPE_CHECKING:
    from terrarium.models.training.estimates.findings import BaseRate, BatchFound, BatchPoint, LrFound

_KINDS = {
    "lr": "the learning rate: a short training in which it grows from far too small to far too large",
    "batch": "the batch size: doubled until memory runs out or it is no longer faster",
    "cost": "the memory and time of a run: measured in a few of its steps",
    "base": "the base rate of a run that learns from rewards: how often its parent earns one",
}


class Find(Command):
    """Find something of a run by trial."""

    what: str = action_name()
    spec: SpecOptions

    def run(self) -> None:
        """Run the trial and print the finding."""
        spec = self.spec.to_spec()
        find: dict[str, Callable[[RunSpec, str], Generator[Event, None, tuple[dict[str, Any], str]]]] = {
            "lr": _lr,
            "batch": _batch,
            "cost": _cost,
            "base": _base,
        }
        from terrarium.models.device import choose_device

        with ProgressLine(as_json=self.as_json) as line:
            sentence = choose_device(self.device).sentence
            if sentence:
                line.show(Notice(sentence=sentence))
            spec = self.spec.with_proposals(spec, Library(), line, device=self.device, quiet=self.as_json)
            facts, words = drive(find[self.what](spec, self.device), line)
        self.show(facts, words)


COMMAND = Group(
    actions={
        name: Entry(command=Find, help=words, description=f"Find {words}. No run is created.")
        for name, words in _KINDS.items()
    },
    help="find a learning rate, a batch size, a run's cost or its base rate by trial",
    description=__doc__,
    metavar="WHAT",
)


def _lr(spec: RunSpec, device: str) -> Generator[Event, None, tuple[dict[str, Any], str]]:
    from terrarium.models.training.estimates.lr_finder import find_lr

    found: LrFound = yield from find_lr(Library(), spec, device)
    lines = [f"{point.lr:9.2e}  {point.smoothed:7.3f}" for point in found.points[:: max(1, len(found.points) // 24)]]
    lines = [f"       lr  loss, smoothed ({TASKS[spec.data.task].loss_unit})", *lines]
    if found.suggestion is None:
        lines.append("The loss hardly fell at any rate, so there is no suggestion.")
    else:
        others = "".join(f" and {name} {found.suggestion * ratio:.2g}" for name, ratio in found.ratios.items())
        lines.append(
            f"Use lr {found.suggestion:g}{others}: there the loss falls most steeply. It falls well from "
            f"{found.low:.1e} to {found.high:.1e}."
        )
    facts = dataclasses.asdict(found) | {"muon_ratio": found.ratios.get("muon_lr")}
    return facts, "\n".join(lines)


def _batch(spec: RunSpec, device: str) -> Generator[Event, None, tuple[dict[str, Any], str]]:
    from terrarium.models.training.estimates.batch_finder import find_batch, found_sentence

    found: BatchFound = yield from find_batch(Library(), spec, device)
    lines = ["batch_size  tokens/s  memory", *map(_format_batch, found.points), found_sentence(found)]
    return dataclasses.asdict(found), "\n".join(lines)


def _format_batch(point: BatchPoint) -> str:
    if not point.fits:
        return f"{point.batch_size:10,}  {'does not fit' if point.is_tried else 'cannot fit (not tried)'}"
    memory = "–" if point.peak_bytes is None else format_size(point.peak_bytes)
    return f"{point.batch_size:10,}  {point.tokens_per_s:8,.0f}  {memory}"


def _cost(spec: RunSpec, device: str) -> Generator[Event, None, tuple[dict[str, Any], str]]:
    from terrarium.models.training.estimates.forecast import forecast

    cost: RunCost | None = None
    for event in forecast(Library(), spec, device):
        if isinstance(event, RunCost):
            cost = event
        elif not isinstance(event, DataPreview):  # shown in the window only
            yield event
    assert cost is not None
    facts = dataclasses.asdict(cost) | {"seconds": cost.seconds}
    del facts["spec"]
    return facts, _format_cost(cost)


def _base(spec: RunSpec, device: str) -> Generator[Event, None, tuple[dict[str, Any], str]]:
    from terrarium.models.training.estimates.base_rate import measure_base_rate

    found: BaseRate = yield from measure_base_rate(Library(), spec, device)
    return dataclasses.asdict(found) | {"is_learnable": found.is_learnable}, found.sentence


def _format_cost(cost: RunCost) -> str:
    of = "" if cost.available_bytes is None else f" of {format_size(cost.available_bytes)}"
    if not cost.fits or cost.ms_per_step is None:
        return f"It does not fit: about {format_size(cost.estimated_bytes)}{of} would be needed (estimated)."
    memory = "" if cost.peak_bytes is None else f"memory {format_size(cost.peak_bytes)}{of} · "
    return (
        f"{memory}{cost.ms_per_step:,.0f} ms per step · {cost.tokens_per_s:,.0f} tokens/s · "
        f"{format_duration(cost.seconds)} in all (training {format_duration(cost.training_s)}, validation "
        f"{format_duration(cost.validation_s)}, samples {format_duration(cost.samples_s)})"
    )
