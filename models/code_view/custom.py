"""The texts of custom blocks in the code of a design: each in a function of its own, so that names do not collide."""

from __future__ import annotations

import ast
import dataclasses
import io
import re
import tokenize

from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import find_in
from terrarium.models.settings.block_references import options_in
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import scheme_of

_STUB = r"def custom_{place}\([^)]*\) -> nn.Module:.*\n    raise NotImplementedError.*\n"
"""What pruning leaves of the reference's place for a block."""

_PLACED = '''class Placed(nn.Module):
    """A custom block in its place."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


'''

_ATTENTION = '''class PlacedAttention(Placed):
    """A custom block in the place of self-attention: it gets the mask as bool, (1, 1, T, T)."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        {allowed}
        out = self.block(x, allowed{positions})
        return out[0] if isinstance(out, tuple) else out  # without the weights, if it returns them


'''

_POSITIONS = '''class Positions:
    """The design's positions, for a custom block."""

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def rotate(self, x: Tensor) -> Tensor:
        return {rotated}

    def add_bias(self, scores: Tensor) -> Tensor:
        return {biased}


'''


def with_custom_blocks(code: str, config: ModelConfig) -> str:
    """Put the texts of a design's custom blocks into its code; ValueError if that cannot be."""
    if config.position_block:
        block = find_in(config, "position")
        assert block is not None
        raise ValueError(f"The code of a design cannot have the position block “{block.title}”: use a built-in scheme.")
    if config.topology == "encoder-decoder" and (config.attention_block or config.feed_forward_block):
        raise ValueError("The code of an encoder-decoder cannot have custom blocks, which differ in its two stacks.")
    before = _PLACED
    for place in ("attention", "feed_forward", "norm"):  # as they come in the code
        block = find_in(config, place)
        if block is not None:
            if place == "attention":
                before += _attention(block, config)
            text = before + _function(block, config, place)
            code, n = re.subn(_STUB.format(place=place), text.replace("\\", r"\\"), code)
            assert n == 1, place
            before = ""
    return code


def _attention(block: CustomBlock, config: ModelConfig) -> str:
    is_biased = scheme_of(config).applied_to == "scores"
    allowed = "allowed = (mask > -torch.inf)[:1][None]" if is_biased else "allowed = mask[None, None]"
    code = _ATTENTION.format(allowed=allowed, positions=", Positions(mask)" if block.takes_positions else "")
    if not block.takes_positions:
        return code
    rotated = "rotate(x)" if scheme_of(config).applied_to == "queries" else "x"
    biased = "scores + self.mask.masked_fill(self.mask == -torch.inf, 0.0)" if is_biased else "scores"
    return _POSITIONS.format(rotated=rotated, biased=biased) + code


def _function(block: CustomBlock, config: ModelConfig, place: str) -> str:
    """Return a function with the block's text, which builds it as models.custom_blocks.loading does."""
    told = dataclasses.asdict(BlockConfig.of(config))
    varies = "width" if place == "norm" else "layer"
    sizes = ", ".join(f"{name}={varies if name == varies else repr(value)}" for name, value in told.items())
    values = "".join(f", {name}={value!r}" for name, value in block.values(options_in(config, place)).items())
    kind = "PlacedAttention" if place == "attention" else "Placed"
    lines = [
        f"def custom_{place}({varies}: int = {told[varies]!r}) -> nn.Module:",
        _indented(block),
        "",
        "    from types import SimpleNamespace",
        "",
        f"    config = SimpleNamespace({sizes})",
        f"    return {kind}(Block(config{values}))",
        "",
    ]
    return "\n".join(lines)


def _indented(block: CustomBlock) -> str:
    """Indent a text, except within strings of several lines; ValueError if it cannot stand in a function."""
    for node in ast.walk(ast.parse(block.source)):
        if isinstance(node, ast.Global) or (
            isinstance(node, ast.ImportFrom) and (node.module == "__future__" or node.names[0].name == "*")
        ):
            raise ValueError(
                f"The block “{block.title}” has a line that works only in a text of its own (line {node.lineno}): "
                "leave out global, import * and __future__."
            )
    inside = {
        number
        for token in tokenize.generate_tokens(io.StringIO(block.source).readline)
        if token.type == tokenize.STRING
        for number in range(token.start[0] + 1, token.end[0] + 1)
    }
    lines = block.source.rstrip("\n").split("\n")
    return "\n".join(f"    {line}" if line and number not in inside else line for number, line in enumerate(lines, 1))
