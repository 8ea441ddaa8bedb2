"""What a block that may run does wrong is a sentence, with the line of its text."""

from __future__ import annotations

import pytest
import torch

from terrarium.models.custom_blocks.loading import PlacedBlock, block_class
from terrarium.models.custom_blocks.manifest import read_block
from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import allow
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig

TEXT = """from __future__ import annotations
import dataclasses
from torch import nn
BLOCK = {"name": "plain", "slot": "norm", "title": "Plain", "options": {"n": {"default": 1}}}
class Block(nn.Module):
    def __init__(self, config, n):
        super().__init__()
    def forward(self, x):
        return x
"""


def place(config: ModelConfig, source: str) -> PlacedBlock:
    """The block of a text, which the user has allowed."""
    block = read_block(source)
    allow(block)
    return PlacedBlock(block, BlockConfig.of(config), block.values({}))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("super().__init__()", "raise KeyError('x')", "fails while it is built in line 7: KeyError: 'x'"),
        ("super().__init__()", "raise SystemExit(1)", "fails while it is built in line 7: SystemExit: 1"),
        ("(self, config, n)", "(self, config)", "fails while it is built: TypeError: .* unexpected keyword"),
        ("class Block", "1 / 0\nclass Block", "fails while it is built in line 5: ZeroDivisionError"),
        ("import dataclasses", "import sys; sys.exit()", "fails while it is built in line 2: SystemExit"),
        ("nn.Module)", "object)", "is a Block: derive Block from nn.Module"),
    ],
)
def test_a_block_that_cannot_be_built(
    library: Library, tiny_config: ModelConfig, old: str, new: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^The block “Plain” {message}"):
        place(tiny_config, TEXT.replace(old, new))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ("x @ x", r"fails on \[2, 3, 4\] in line 9: RuntimeError"),
        ("exit()", r"fails on \[2, 3, 4\] in line 9: SystemExit"),
        ("x[:, 1:]", r"returns the shape \[2, 2, 4\] for an input of \[2, 3, 4\]"),
        ("None", "returns a NoneType: return a tensor"),
    ],
)
def test_a_block_that_fails_as_it_is_called(
    library: Library, tiny_config: ModelConfig, result: str, message: str
) -> None:
    placed = place(tiny_config, TEXT.replace("return x", f"return {result}"))
    x = torch.zeros(2, 3, 4)
    with pytest.raises(ValueError, match=f"^The block “Plain” {message}"):
        placed.check_like(placed.call(x), x)


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "MemoryError"])
def test_interrupts_stay_what_they_are(library: Library, tiny_config: ModelConfig, error: str) -> None:
    placed = place(tiny_config, TEXT.replace("return x", f"raise {error}"))
    with pytest.raises((KeyboardInterrupt, MemoryError)):
        placed.call(torch.zeros(1))


def test_a_text_may_have_dataclasses_and_runs_once(library: Library) -> None:
    block = read_block(f"{TEXT}@dataclasses.dataclass\nclass Sizes:\n    n: int = 1\n")
    allow(block)
    assert block_class(block) is block_class(block)
