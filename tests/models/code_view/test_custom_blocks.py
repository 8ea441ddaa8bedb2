"""The code of designs with custom blocks: their texts are in it, and it computes what the built model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from terrarium.models.code_view import module_source
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.code_view.test_module_source import SMALL, check_equal
from tests.models.own_blocks import POSITION_TEXTS, STARTS, WRITES, put_block, start_source, with_block

NORM = '''"""A norm by the largest number."""
import torch
from torch import nn

BLOCK = {"name": "largest", "slot": "norm", "title": "Largest", "options": {"least": {"default": 0.1}}}
_LONG = """
text over
lines"""


class Block(nn.Module):
    def __init__(self, config, least):
        super().__init__()
        self.least, self.gain = least * config.n_layer, nn.Parameter(torch.ones(config.width))

    def forward(self, x):
        return x / x.abs().amax(dim=-1, keepdim=True).clamp(min=self.least) * self.gain
'''
PAIR: dict[str, Any] = {
    "topology": "encoder-decoder",
    "n_encoder_layer": 3,
    "n_encoder_head": 2,
    "d_ff": 40,
    "d_encoder_ff": 28,
}
"""Stacks that differ in all that may differ."""


def told_block(slot: str) -> str:
    """The text of a block that computes with all that it is told of its stack and its layer."""
    more = ", allowed" * (slot == "attention")
    return f'''from torch import nn

BLOCK = {{"name": "told", "slot": "{slot}", "title": "Told"}}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.up = nn.Linear(config.d_model, config.d_ff + config.head_dim)
        self.down = nn.Linear(config.d_ff + config.head_dim, config.d_model)
        self.factor = 1.0 + config.layer + 10 * config.n_layer + 0.1 * config.is_causal + 0.01 * config.n_kv_head

    def forward(self, x{more}):
        return self.factor * self.down(self.up(x))
'''


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize(
    "change",
    [{}, {"sliding_window": 5}, {"position": "alibi"}, {"nope_interval": 2}, {"topology": "encoder-only"}, PAIR],
    ids=str,
)
def test_starting_points(start: str, change: dict[str, Any], library: Library, tmp_path: Path) -> None:
    block = put_block(start_source(start))
    if block.slot == "attention" and not block.takes_positions:
        change = change | {"position": "learned"}
    if change.get("topology") == "encoder-only":
        change = change | {"head": "none"}
    check_equal(with_block(ModelConfig(**SMALL), block, **change), tmp_path)


@pytest.mark.parametrize("position", ["rope", "t5", "fire", "sinusoidal"])
def test_attention_and_feed_forward_of_an_encoder_decoder(position: str, library: Library, tmp_path: Path) -> None:
    design = with_block(ModelConfig(**SMALL), put_block(start_source("experts")))
    attention = put_block(start_source("temperature"))
    check_equal(with_block(design, attention, **PAIR, position=position), tmp_path)


@pytest.mark.parametrize("change", [{}, {"topology": "encoder-only"}, PAIR, {**PAIR, "norm_place": "post"}], ids=str)
@pytest.mark.parametrize("applied_to", POSITION_TEXTS)
def test_positions(applied_to: str, change: dict[str, Any], library: Library, tmp_path: Path) -> None:
    block = put_block(POSITION_TEXTS[applied_to])
    for more in ({}, {"sliding_window": 4, "n_kv_head": 1}, {"nope_interval": 2, "conv_width": 3, "qk_norm": True}):
        check_equal(with_block(ModelConfig(**SMALL), block, position="none", **change, **more), tmp_path)


@pytest.mark.parametrize("change", [{}, {"nope_interval": 2}, PAIR], ids=str)
@pytest.mark.parametrize("applied_to", POSITION_TEXTS)
def test_positions_reach_a_custom_attention(
    applied_to: str, change: dict[str, Any], library: Library, tmp_path: Path
) -> None:
    design = with_block(ModelConfig(**SMALL), put_block(start_source("temperature")))
    block = put_block(POSITION_TEXTS[applied_to])
    check_equal(with_block(design, block, position="none", **change), tmp_path)


@pytest.mark.parametrize("change", [{}, PAIR, {"qk_norm": True}, {**PAIR, "qk_norm": True}], ids=str)
def test_a_norm(change: dict[str, Any], library: Library, tmp_path: Path) -> None:
    small = ModelConfig(**SMALL)
    check_equal(with_block(small, put_block(NORM), block_options=("norm.least=0.5",), **change), tmp_path)


@pytest.mark.parametrize("change", [{}, PAIR], ids=str)
@pytest.mark.parametrize("slot", ["attention", "feed_forward"])
def test_a_block_knows_its_stack_and_layer(slot: str, change: dict[str, Any], library: Library, tmp_path: Path) -> None:
    design = with_block(ModelConfig(**SMALL), put_block(told_block(slot)), **change)
    check_equal(design, tmp_path)
    assert ("is_causal=causal," in module_source(design)) == (change == PAIR)


def test_nothing_of_a_block_runs_for_its_code(library: Library, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    block = put_block(WRITES % str(ran), allowed=False)
    with pytest.raises(ValueError, match="not allowed on this computer"):
        module_source(with_block(ModelConfig(), block))  # it cannot be counted
    assert not ran.exists()
