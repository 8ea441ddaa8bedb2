"""Designs with the blocks that Terrarium begins with, for tests of their twins."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import terrarium.resources.blocks
from terrarium.models.custom_blocks.store import allow, save_block
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig

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


def starting_points() -> dict[str, str]:
    """The texts of the blocks that Terrarium begins with, by the name of their file."""
    folder = Path(terrarium.resources.blocks.__path__[0])
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[a-z]*.py"))}


def with_block(design: ModelConfig, source: str) -> ModelConfig:
    """`design` with a block in its place, which is saved in the library and allowed."""
    block = save_block(source)
    allow(block)
    changes: dict[str, object] = {BLOCK_SLOTS[block.slot]: str(block.reference), "lookback": 0}
    if block.slot == "position":
        changes["position"] = "none"
    if block.slot == "attention":
        changes |= {"n_kv_head": 0, "position": "rope" if block.takes_positions else "none"}
    if block.slot == "feed_forward":
        changes["n_expert"] = 0
    return dataclasses.replace(design, **changes)  # type: ignore[arg-type]
