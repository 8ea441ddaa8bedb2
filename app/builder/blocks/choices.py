"""The changes of a design that put a custom block into a place, or set its options. No Qt, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.settings.block_references import BLOCK_SLOTS, options_in, written_options
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_PLAIN = "learned"
"""The position scheme for designs whose attention takes no positions, or that have lost their position block."""


def placed(config: ModelConfig, place: str, block: CustomBlock | None) -> dict[str, Any]:
    """Return the changes that put a block into a place, None: the built-in part, with what they make necessary.

    Options that the design has for the place stay if they are among the block's.
    """
    changes: dict[str, Any] = {BLOCK_SLOTS[place]: "" if block is None else str(block.reference)}
    kept = {} if block is None else _acceptable(block, options_in(config, place))
    changes["block_options"] = _with_options(config, place, kept)
    if place == "position":
        if block is not None:
            changes["position"] = "none"
        elif config.position_block:
            changes["position"] = _PLAIN
    if block is not None and config.looks_back:
        changes["lookback"] = 0
    if block is not None and place == "feed_forward" and config.n_expert:
        changes["n_expert"] = 0
    if block is not None and needs_no_positions(config, block):
        changes |= {"position_block": "", "position": _PLAIN}
        if config.position_block:
            changes["block_options"] = tuple(o for o in changes["block_options"] if not o.startswith("position."))
    return changes


def set_options(config: ModelConfig, place: str, block: CustomBlock, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the change that gives a place's block these values; those that are its defaults are left out."""
    written = {name: str(value) for name, value in values.items() if value != block.options[name].default}
    return {"block_options": _with_options(config, place, {name: text for name, text in written.items() if text})}


def needs_no_positions(config: ModelConfig, block: CustomBlock) -> bool:
    """Return whether the design's positions would have no effect on this block of attention."""
    takes_none = block.slot == "attention" and not block.takes_positions
    return takes_none and scheme_of(config).applied_to in ("queries", "scores")


def _with_options(config: ModelConfig, place: str, options: Mapping[str, str]) -> tuple[str, ...]:
    others = {other: options_in(config, other) for other in BLOCK_SLOTS if other != place}
    return written_options({**others, place: options})


def _acceptable(block: CustomBlock, given: Mapping[str, str]) -> dict[str, str]:
    """Return the options that a block has, with values that it takes."""
    kept = {}
    for name, text in given.items():
        try:
            block.values({name: text})
        except ValueError:
            continue
        kept[name] = text
    return kept
