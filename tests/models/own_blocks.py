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

_POSITION = """import torch
from torch import nn

BLOCK = {{"name": "by_{applied_to}", "slot": "position", "title": "By {applied_to}", "applied_to": "{applied_to}"}}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(config.n_layer, {width}))
        self.register_buffer("rates", 0.1 * torch.arange(1.0, 1.0 + {width}), persistent={persistent})

    def forward(self, positions):
        {body}
"""
POSITION_TEXTS = {
    "embeddings": _POSITION.format(
        applied_to="embeddings",
        width="config.d_model",
        persistent=True,
        body="return (positions[..., None] * self.rates).sin() * self.weight.sum(0)",
    ),
    "queries": _POSITION.format(
        applied_to="queries",
        width="config.head_dim",
        persistent=False,
        body="angles = positions[:, None, :, None] * self.rates * self.weight.sum(0)\n"
        "        return angles.cos(), angles.sin()",
    ),
    "scores": _POSITION.format(
        applied_to="scores",
        width="config.n_head",
        persistent=True,
        body="return (self.rates * self.weight.sum(0))[None, :, None, None] * (1.0 + positions.abs()).log()",
    ),
}
"""Texts of position blocks by what they are applied to, with a parameter and a buffer that differ in stacks."""

BUFFERS = """import torch
from torch import nn

BLOCK = {"name": "features", "slot": "feed_forward", "title": "Random features"}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.output = nn.Linear(16, config.d_model)
        self.register_buffer("features", torch.randn(config.d_model, 16))
        self.register_buffer("order", torch.randperm(16))
        self.register_buffer("scale", torch.full((16,), 0.5), persistent=False)

    def forward(self, x):
        return self.output((x @ self.features).cos()[..., self.order] * self.scale)
"""
"""A block with buffers that are drawn and stored, of floats and of whole numbers, and one that is computed."""


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
