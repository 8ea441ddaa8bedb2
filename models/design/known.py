"""Designs with custom blocks: measured first in a child process with limits, since their texts are programs."""

from __future__ import annotations

import importlib
from collections.abc import Generator
from functools import cache
from typing import Any

from terrarium.models.child_process import ChildProcess, LimitError, Limits
from terrarium.models.custom_blocks.store import NotAllowedError
from terrarium.models.design.custom import NotMeasuredError, only_known
from terrarium.models.design.memory import activation_bytes, training_memory
from terrarium.models.design.tree import design_tree
from terrarium.models.events import Event
from terrarium.models.settings.model_config import ModelConfig

_START = Limits(seconds=120.0, memory_bytes=3 << 30, answer_bytes=1 << 10)
_LIMITS = Limits(seconds=20.0, memory_bytes=3 << 30, answer_bytes=1 << 10)
"""For importing torch, and for measuring the blocks of one design."""


@cache
def _child() -> ChildProcess:
    return ChildProcess(idle_bytes=_LIMITS.memory_bytes)


def stop_measuring() -> None:
    """End the child process, which otherwise waits for the next design."""
    _child().kill()


def is_known(config: ModelConfig, batch_size: int, length: int) -> bool:
    """Return whether the costs of a design can be computed without running anything of a custom block."""
    if not config.has_custom_blocks:
        return True
    try:
        with only_known():
            _compute(config, batch_size, length)
    except NotMeasuredError:
        return False
    return True


def measure_apart(config: ModelConfig, batch_size: int, length: int) -> Generator[Event, None, None]:
    """Measure the custom blocks of a design in a child process, and where that succeeds, in this one.

    Afterwards `is_known`. Call it in the background. Closing the generator kills the child.

    Raises:
        ValueError: if a text is not in the library, may not run on this computer, fails, or exceeds a limit.
    """
    try:
        yield from _child().call_events(warm_up, limits=_START)
        yield from _child().call_events(
            measure_here, config.to_dict(), batch_size, length, limits=_LIMITS, errors=(NotAllowedError,)
        )
    except LimitError as error:
        raise ValueError(f"A custom block could not be measured: {error}.") from error
    _compute(config, batch_size, length)


def warm_up() -> None:
    """Import torch, in the child."""
    importlib.import_module("terrarium.models.custom_blocks.measure")


def measure_here(design: dict[str, Any], batch_size: int, length: int) -> None:
    """Measure the custom blocks of a design in this process, which is a child's."""
    _compute(ModelConfig.from_dict(design), batch_size, length)


def _compute(config: ModelConfig, batch_size: int, length: int) -> None:
    """Compute all that views show of a design's costs, as far as custom blocks take part in it."""
    for n in {config.context_length, length}:
        design_tree(config, n)
    design_tree(config)
    training_memory(config, batch_size, length, "adamw")
    activation_bytes(config, batch_size, length)
