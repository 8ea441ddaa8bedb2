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
from terrarium.models.settings.block_references import blocks_of, options_in
from terrarium.models.settings.model_config import ModelConfig

_STUB = r"def {place}_block\((.*)\) -> nn.Module:\n    raise NotImplementedError.*\n"
"""What pruning leaves of the reference's place for a block, with the parameters that differ in the design."""


def with_custom_blocks(code: str, config: ModelConfig) -> str:
    """Put the texts of a design's custom blocks into its code; ValueError if that cannot be."""
    for place in blocks_of(config):
        block = find_in(config, place)
        assert block is not None
        stub = re.search(_STUB.format(place=place), code)
        assert stub is not None, place
        code = code.replace(stub[0], _function(block, config, place, stub[1]))
    return code


def _function(block: CustomBlock, config: ModelConfig, place: str, parameters: str) -> str:
    """Return a function with the block's text, which builds it as models.custom_blocks.loading does."""
    encoder = config.encoder() if config.topology == "encoder-decoder" else config
    told, told_encoder = (dataclasses.asdict(BlockConfig.of(stack)) for stack in (config, encoder))
    given = re.findall(r"(\w+):", parameters)
    sizes = []
    for name, value in told.items():
        other, varies = told_encoder[name], "causal" if name == "is_causal" else name
        written = repr(value) if value == other else f"{value!r} if causal else {other!r}"
        sizes.append(f"        {name}={varies if varies in given else written},")
    values = "".join(f", {name}={value!r}" for name, value in block.values(options_in(config, place)).items())
    lines = [
        f"def {place}_block({parameters}) -> nn.Module:",
        _indented(block),
        "",
        "    from types import SimpleNamespace",
        "",
        "    config = SimpleNamespace(",
        *sizes,
        "    )",
        f"    return Block(config{values})",
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
