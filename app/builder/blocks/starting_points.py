"""The texts from which a new block can start: those that come with Terrarium, and the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from terrarium.models.custom_blocks.manifest import CustomBlock, read_block


@cache
def starting_points() -> Mapping[str, CustomBlock]:
    """Return the blocks that come with Terrarium, by name."""
    folder = files("terrarium.resources.blocks")
    entries = [entry for entry in folder.iterdir() if entry.name.endswith(".py") and entry.name[0] != "_"]
    blocks = [read_block(entry.read_text(encoding="utf-8")) for entry in sorted(entries, key=lambda each: each.name)]
    return {block.name: block for block in blocks}
