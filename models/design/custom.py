"""What a custom block consists of and costs: measured by torch, since it has no formulas. Torch comes when asked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import find_in
from terrarium.models.settings.block_references import options_in
from terrarium.models.settings.model_config import ModelConfig

_LOADING = "terrarium.models.custom_blocks.loading"
"""Imported by name, since torch comes with it."""

T = TypeVar("T")

_ONLY_KNOWN: ContextVar[bool] = ContextVar("only_known", default=False)


class NotMeasuredError(ValueError):
    """A custom block was not measured before, and must not be measured now."""


@contextmanager
def only_known() -> Iterator[None]:
    """Within it, on this thread, no custom block runs: what was not measured before raises NotMeasuredError."""
    token = _ONLY_KNOWN.set(True)
    try:
        yield
    finally:
        _ONLY_KNOWN.reset(token)


def if_known(compute: Callable[[], T]) -> T | None:
    """Return what a function computes, None if that depends on a custom block that was not measured or is not here.

    Nothing of a block runs.
    """
    try:
        with only_known():
            return compute()
    except ValueError:
        return None


def measured(config: ModelConfig, place: str, *, length: int, batch_size: int = 1, width: int = 0) -> Any:
    """Return the `Measured` (models.custom_blocks.measure) of the custom block in a place of a design, for `batch_size`
    texts of `length` tokens; it is kept for designs that tell the block the same.

    Raises:
        ValueError: if its text is not in the library, may not run on this computer, or fails.
    """
    about = find_in(config, place)
    assert about is not None
    values = tuple(about.values(options_in(config, place)).items())
    told = BlockConfig.of(config, width=width)
    kept = _kept(about, told, values, batch_size, length)
    if not kept:
        if _ONLY_KNOWN.get():
            raise NotMeasuredError(f"The block “{about.title}” was not measured yet: open its design in the builder.")
        kept.append(importlib.import_module(_LOADING).measure_block(about, told, values, batch_size, length))
    return kept[0]


@lru_cache(maxsize=1024)
def _kept(*key: Hashable) -> list[Any]:
    """Return a list for what is measured, empty until then."""
    return []
