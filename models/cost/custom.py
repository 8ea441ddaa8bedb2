"""What a custom block consists of and costs: measured by torch, since it has no formulas. Torch comes when asked."""

from __future__ import annotations

import importlib
from typing import Any

from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import find_in
from terrarium.models.settings.block_references import options_in
from terrarium.models.settings.model_config import ModelConfig

_LOADING = "terrarium.models.custom_blocks.loading"
"""Imported by name, since torch comes with it."""


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
    return importlib.import_module(_LOADING).measure_block(about, told, values, batch_size, length)
