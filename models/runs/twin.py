"""The built-in twin of a design with a custom block, the runs that compare both, and the result. No torch import.

The twin has the built-in part in the block's place, and about as many parameters, by the width of its feed-forward.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from terrarium.models.custom_blocks.store import find_in
from terrarium.models.design import total_parameters
from terrarium.models.library.library import RunInfo
from terrarium.models.metrics.intervals import student
from terrarium.models.number_words import format_few, format_signed
from terrarium.models.runs.sweep import MAX_RUNS
from terrarium.models.settings.block_references import BLOCK_SLOTS, blocks_of, options_in, written_options
from terrarium.models.settings.model_config import ModelConfig, differences
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_changes import changed_spec
from terrarium.models.settings.tasks import TASKS

N_SEEDS = 3
"""The usual number of seeds: the fewest whose interval is of use."""
_POSITIONS = {"embeddings": ("learned",), "queries": ("rope", "alibi"), "scores": ("alibi",)}
"""By where a custom position block is applied: the built-in schemes that can stand in for it, the first legal one is
taken. RoPE needs heads of an even width."""
_WIDEST = 1 << 24
"""The widest feed-forward of a design."""
Interval = tuple[float, float]
_OF_TWIN = {"position", "d_ff", "block_options"}
"""The slots in which a twin may differ, apart from that of the block."""


def twin_of(config: ModelConfig, place: str = "") -> ModelConfig:
    """Return a design with the built-in part instead of its custom block, and as nearly as many parameters as d_ff
    allows.

    A block that takes no positions may itself know the order of tokens, but built-in attention does not: if the design
    has no positions, its twin has RoPE.

    Args:
        place: of the block, a key of BLOCK_SLOTS; "" for the first custom one.

    Raises:
        ValueError: if there is no custom block, or one may not run on this computer or fails.
    """
    place = place or next(iter(blocks_of(config)), "")
    if not place or not getattr(config, BLOCK_SLOTS[place]):
        raise ValueError("This design has no custom block there, so it is its own twin: choose a block first.")
    options = {other: options_in(config, other) for other in blocks_of(config) if other != place}
    slots: dict[str, Any] = {BLOCK_SLOTS[place]: "", "block_options": written_options(options)}
    twin = next(
        dataclasses.replace(config, **slots, position=position)
        for position in _positions(config, place)
        if not ModelConfig.problems({**vars(config), **slots, "position": position})
    )
    return _matched(twin, total_parameters(config))


def _positions(config: ModelConfig, place: str) -> tuple[str, ...]:
    """Return the twin's position schemes to choose from."""
    if place == "position":
        return _POSITIONS[scheme_of(config).applied_to]
    if place == "attention" and config.position == "none" and not config.position_block:
        block = find_in(config, place)
        assert block is not None
        return ("none",) if block.takes_positions else _POSITIONS["queries"]
    return (config.position,)


def _matched(config: ModelConfig, wanted: int) -> ModelConfig:
    """Return a design with the d_ff whose number of parameters is nearest to `wanted`."""

    def size(width: int) -> int:
        return total_parameters(dataclasses.replace(config, d_ff=width))

    most = config.ff_width
    while most < _WIDEST and size(most) < wanted and size(wider := min(2 * most, _WIDEST)) > size(most):
        most = wider
    above = 1 + bisect.bisect_left(range(1, most), wanted, key=size)
    nearest = min((config.ff_width, above, max(1, above - 1)), key=lambda width: abs(size(width) - wanted))
    return config if nearest == config.ff_width else dataclasses.replace(config, d_ff=nearest)


def size_difference(config: ModelConfig, twin: ModelConfig) -> float:
    """Return by what share of the design's parameters its twin has more; negative: fewer."""
    n = total_parameters(config)
    return (total_parameters(twin) - n) / n


def twin_specs(base: RunSpec, twin: ModelConfig, n_seeds: int = N_SEEDS) -> list[RunSpec]:
    """Return the runs of a design and its twin with the same seeds, from that of `base` on, both of a seed in turn.

    Raises:
        ValueError: if the number of seeds is none, or more than a sweep can have.
    """
    if not 1 <= n_seeds <= MAX_RUNS // 2:
        raise ValueError(f"A comparison needs between 1 and {MAX_RUNS // 2} seeds, not {n_seeds:,}.")
    return [*_specs(base, twin, n_seeds)]


def _specs(base: RunSpec, twin: ModelConfig, n_seeds: int) -> Iterator[RunSpec]:
    for seed in range(base.train.seed, base.train.seed + n_seeds):
        for name, model in ((base.name, base.model), (f"{base.name} twin", twin)):
            named = dataclasses.replace(base, name=f"{name} seed={seed}", model=model)
            yield changed_spec(named, {"train.seed": seed})


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
