"""Designs with custom blocks, from the library's starting points."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import terrarium.resources.blocks
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.store import allow, save_block
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig

STARTS = ("convolution", "experts", "retention", "temperature")
"""The starting points, three of which are for attention."""

WRITES = '''"""Writes a file when it runs."""
from pathlib import Path

from torch import nn

BLOCK = {"name": "writer", "slot": "feed_forward", "title": "Writer"}
RAN = Path(%r)
RAN.touch()


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        RAN.touch()
        self.linear = nn.Linear(config.d_model, config.d_model)

    def forward(self, x):
        return self.linear(x)
'''
"""A text that leaves a file behind as soon as anything of it runs: for `% path`."""

POSITION_BLOCK = '''"""A penalty that grows with the square root of the distance."""
from torch import nn

BLOCK = {"name": "root_bias", "slot": "position", "title": "Root", "applied_to": "scores"}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.n_head = config.n_head

    def forward(self, distance):
        return -(distance.abs().float() ** 0.5).expand(1, self.n_head, *distance.shape)
'''
NORM_BLOCK = '''"""Divides by the largest number, and scales."""
import torch
from torch import nn

BLOCK = {"name": "largest", "slot": "norm", "title": "Largest"}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(config.width))
        self.shift = nn.Parameter(torch.zeros(config.width))

    def forward(self, x):
        return x / x.abs().amax(-1, keepdim=True).clamp_min(1e-5) * self.weight + self.shift
'''


def start_source(start: str) -> str:
    """The text of a starting point."""
    return (Path(terrarium.resources.blocks.__path__[0]) / f"{start}.py").read_text(encoding="utf-8")


def put_block(source: str, *, allowed: bool = True) -> CustomBlock:
    """A text in the library, and whether it may run."""
    block = save_block(source)
    if allowed:
        allow(block)
    return block


def with_block(design: ModelConfig, block: CustomBlock, **changes: Any) -> ModelConfig:
    """A design with a block in its place, and other slots that suit it."""
    suited: dict[str, dict[str, Any]] = {
        "attention": {"position": "rope" if block.takes_positions else "none", "n_kv_head": 0},
        "feed_forward": {"n_expert": 0},
        "position": {"position": "none"},
        "norm": {},
    }
    slots = {BLOCK_SLOTS[block.slot]: str(block.reference), "lookback": 0} | suited[block.slot] | changes
    return dataclasses.replace(design, **slots)
