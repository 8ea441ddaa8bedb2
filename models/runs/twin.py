"""The built-in twin of a design with a custom block, and the runs that compare both. No torch import.

The twin has the built-in part in the block's place, and about as many parameters, by the width of its feed-forward.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator
from typing import Any

from terrarium.models.custom_blocks.store import find_in
from terrarium.models.design import total_parameters
from terrarium.models.runs.sweep import MAX_RUNS
from terrarium.models.settings.block_references import BLOCK_SLOTS, blocks_of, options_in, written_options
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.settings.spec_changes import changed_spec

N_SEEDS = 3
"""The usual number of seeds: the fewest whose interval is of use."""

_POSITIONS = {"embeddings": ("learned",), "queries": ("rope", "alibi"), "scores": ("alibi",)}
"""By where a custom position block is applied: the built-in schemes that can stand in for it, the first legal one is
taken. RoPE needs heads of an even width."""
_WIDEST = 1 << 24
"""The widest feed-forward of a design."""


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
