"""The result of training a design beside its built-in twin, with the same seeds. No torch import."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from terrarium.models.design import total_parameters
from terrarium.models.library.library import RunInfo
from terrarium.models.metrics.intervals import student
from terrarium.models.number_words import format_few, format_signed
from terrarium.models.settings.block_references import BLOCK_SLOTS, blocks_of
from terrarium.models.settings.model_config import ModelConfig, differences
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.tasks import TASKS

Interval = tuple[float, float]

_OF_TWIN = {"position", "d_ff", "block_options"}
"""The slots in which a twin may differ, apart from that of the block."""


@dataclass(frozen=True, kw_only=True)
class TwinSide:
    """One of the two designs. losses: the lowest validation loss by seed, of the runs that have ended.

    n_parameters: None if its blocks are not allowed or not there. step_s: mean training time per step in seconds, None
    before the first has ended.
    """

    title: str
    n_parameters: int | None
    losses: dict[int, float]
    step_s: float | None

    @property
    def mean(self) -> float | None:
        """The mean loss over the seeds."""
        return fmean(self.losses.values()) if self.losses else None

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean, None for fewer than two seeds."""
        return student([*self.losses.values()])


@dataclass(frozen=True, kw_only=True)
class TwinResult:
    """A design with a custom block and its twin. unit: of the losses. n_runs: those that have begun, of both."""

    block: TwinSide
    twin: TwinSide
    unit: str
    n_runs: int

    @property
    def differences(self) -> dict[int, float]:
        """The loss of the block minus that of its twin, by seed: negative if the block is better."""
        both = sorted(self.block.losses.keys() & self.twin.losses.keys())
        return {seed: self.block.losses[seed] - self.twin.losses[seed] for seed in both}

    @property
    def interval(self) -> Interval | None:
        """The 95 % interval of the mean difference, None for fewer than two seeds."""
        return student([*self.differences.values()])

    @property
    def sentence(self) -> str:
        """What the comparison shows."""
        found = [*self.differences.values()]
        if not found:
            return "No seed has been trained with both yet."
        mean, interval = fmean(found), self.interval
        if interval is None:
            return (
                f"With one seed, the block is {_than(mean)} by {abs(mean):.3f} {self.unit}: another seed may show the "
                "opposite."
            )
        if interval[0] <= 0 <= interval[1]:
            by, first, last = (format_signed(value, 3) for value in (mean, *interval))
            return (
                f"No difference can be seen with {format_few(len(found), 'seed')}: the block's loss differs from its "
                f"twin's by {by} ({first} to {last}) {self.unit}."
            )
        low, high = sorted(map(abs, interval))
        return f"The block is {_than(mean)} by {abs(mean):.3f} ({low:.3f} to {high:.3f}) {self.unit}."


def are_twins(infos: Sequence[RunInfo]) -> bool:
    """Return whether these are runs of a design and its twin that `compare_twins` compares."""
    return _block_and_twin([info.spec for info in infos if info.problem is None and info.spec is not None]) is not None


def compare_twins(infos: Sequence[RunInfo]) -> TwinResult | None:
    """Return the result of runs that differ only in seed and in whether a block is custom or built in, else None."""
    read = [(info, info.spec) for info in infos if info.problem is None and info.spec is not None]
    found = _block_and_twin([spec for _, spec in read])
    if found is None:
        return None
    sides = [_side(title, model, read) for title, model in zip(("The block", "Its twin"), found, strict=True)]
    return TwinResult(block=sides[0], twin=sides[1], unit=TASKS[read[0][1].data.task].loss_unit, n_runs=len(read))


def _block_and_twin(specs: Sequence[RunSpec]) -> tuple[ModelConfig, ModelConfig] | None:
    """Return the design with the block, and its twin; None if these specs differ in anything else than the seed."""
    models = [*dict.fromkeys(spec.model for spec in specs)]
    if len(models) != 2 or len({_apart_from_design_and_seed(spec) for spec in specs}) > 1:
        return None
    block, twin = sorted(models, key=lambda model: len(blocks_of(model)), reverse=True)
    replaced = blocks_of(block).keys() - blocks_of(twin).keys()
    if len(replaced) != 1:
        return None
    of_block = {BLOCK_SLOTS[place] for place in replaced}
    return (block, twin) if differences(block, twin).keys() <= _OF_TWIN | of_block else None


def _apart_from_design_and_seed(spec: RunSpec) -> object:
    train = dataclasses.replace(spec.train, seed=0)
    return spec.tokenizer, spec.data, train, spec.tune, spec.align


def _side(title: str, model: ModelConfig, runs: Sequence[tuple[RunInfo, RunSpec]]) -> TwinSide:
    ended = [
        (info, spec) for info, spec in runs if spec.model == model and (info.status == "finished" or info.early_stop)
    ]
    times = [info.elapsed_s / info.step for info, _ in ended if info.elapsed_s and info.step]
    try:
        n_parameters = total_parameters(model)
    except ValueError:  # the block was withdrawn since
        n_parameters = None
    return TwinSide(
        title=title,
        n_parameters=n_parameters,
        losses=dict(sorted((spec.train.seed, info.best_loss) for info, spec in ended if info.best_loss is not None)),
        step_s=fmean(times) if times else None,
    )


def _than(difference: float) -> str:
    return "better" if difference < 0 else "worse"
