"""The code of a design: the reference module, cut down to it."""

from __future__ import annotations

import ast
import dataclasses
import io
import re
import tokenize
from importlib.resources import files
from typing import Any

from terrarium.models.architecture.rope import FIRE_C, attention_factor, fire_threshold, yarn_ramp
from terrarium.models.code_view.pruning import pruned
from terrarium.models.code_view.reference import PARTS
from terrarium.models.custom_blocks.manifest import CustomBlock
from terrarium.models.custom_blocks.sizes import BlockConfig
from terrarium.models.custom_blocks.store import find_in
from terrarium.models.design import total_parameters
from terrarium.models.settings.block_references import blocks_of, options_in
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import FIRE_WIDTH, scheme_of

_MAY_EQUAL = {
    "N_ENCODER_KV": ("N_KV_HEAD", "N_ENCODER_HEAD"),
    "N_ENCODER_HEAD": ("N_HEAD",),
    "N_KV_HEAD": ("N_HEAD",),
    "D_ENCODER_HEAD": ("HEAD_DIM",),
    "D_ENCODER_FF": ("D_FF",),
}
"""Constants that are written as another one where they are equal."""

_IMPORTS = '''"""The reference module."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

'''
_HEAD = re.compile(r'"""[^"]*"""\n(\n|(import|from) .*\n)*')
"""What a part of the reference module begins with: its docstring and imports."""


def module_source(config: ModelConfig, name: str = "This design") -> str:
    """Generate a Python module that defines `Model` and needs only torch; its last lines are a trial run.

    `Model()(ids)`, or for an encoder-decoder `Model()(source_ids, target_ids)`, returns logits (B, T, V), or the hidden
    states if an encoder has no head. The texts of custom blocks are in it; nothing of them runs here.

    Raises:
        ValueError: for a custom block whose text is not in the library, or cannot be put into another text.
    """
    title = " ".join(name.split()) or "This design"
    words = f"{title}: {_describe(config)}.".replace('"', "'").replace("\\", "/")
    text = _reference_text()
    values = constants(config, re.findall(r"^([A-Z_]+) = ", text, flags=re.MULTILINE))
    for constant, others in _MAY_EQUAL.items():
        same = [other for other in others if values.get(other) == values[constant]]
        if same:
            text = re.sub(rf"^{constant} = .*\n", "", text, flags=re.MULTILINE)
            text = re.sub(rf"\b{constant}\b", same[0], text)
            del values[constant]
    _, _, code = with_custom_blocks(pruned(text, values), config).partition('"""\n')
    return f'"""{words}"""\n{code}'


def _reference_text() -> str:
    """Return the parts of the reference module as one text. They are not imported, since that would import torch."""
    folder = files("terrarium.models.code_view") / "reference"
    parts = [(folder / f"{part}.py").read_text(encoding="utf-8") for part in PARTS]
    return _IMPORTS + "\n\n".join(_HEAD.sub("", part, count=1) for part in parts)


def constants(config: ModelConfig, names: list[str]) -> dict[str, Any]:
    """Return the values of the reference module's constants for a design: its slots and properties of these names, and
    some that the module needs besides."""
    is_pair, is_encoder = config.topology == "encoder-decoder", config.topology == "encoder-only"
    encoder = config.encoder() if is_pair else config
    applied_to = scheme_of(config).applied_to
    attention = find_in(config, "attention")
    widths = sorted({config.head_dim, encoder.head_dim})
    others = {
        "IS_PAIR": is_pair,
        "N_ENCODER_LAYER": encoder.n_layer,
        "N_ENCODER_HEAD": encoder.n_head,
        "N_KV_HEAD": config.kv_heads,
        "N_ENCODER_KV": encoder.kv_heads,
        "D_ENCODER_HEAD": encoder.head_dim,
        "D_FF": config.ff_width,
        "D_ENCODER_FF": encoder.ff_width,
        "MAX_NGRAM": config.max_ngram if config.has_ngrams else 0,
        "POSITION": f"custom {applied_to}" if config.position_block else config.position,
        "IS_BIASED": applied_to == "scores",
        "TAKES_POSITIONS": attention is not None and attention.takes_positions,
        "YARN_RAMPS": {
            width: yarn_ramp(dataclasses.replace(config, d_head=width, n_encoder_head=0)) for width in widths
        },
        "YARN_FACTOR": attention_factor(config),
        "FIRE_WIDTH": FIRE_WIDTH,
        "FIRE_C": FIRE_C,
        "FIRE_THRESHOLD": fire_threshold(config),
        "N_SEGMENT": config.n_segment if is_encoder else 0,
        "N_LABEL": config.n_output,
        "HAS_POOLER": config.pooler and is_encoder,
        "HAS_MASK": attention is not None or config.sliding_window > 0 or applied_to == "scores",
        "IS_GROUPED": config.kv_heads != config.n_head,
        "OUTPUT_TABLE": "embedding.weight" if config.tied_embeddings or config.head != "language" else "head.weight",
        "LOOKBACK": config.lookback if config.looks_back else 0,
    }
    return {name: others[name] if name in others else getattr(config, name.lower()) for name in names}


def _describe(config: ModelConfig) -> str:
    article = "an" if config.topology.startswith("e") else "a"
    return f"{article} {config.topology} transformer with {total_parameters(config):,} parameters, made in Terrarium"


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
