"""Norms, wherever a stack has them, and the other parts of every sublayer: short convolution and sum. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec, format_shape
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.slots import check_complete

_NORM_FORMULAS = {
    "layernorm": "y = (x − mean) / √(var + {eps}) · g{plus}",
    "rmsnorm": "y = x / √(mean(x²) + {eps}) · g",
}
check_complete(_NORM_FORMULAS, NORMS, "norms in the diagram")


def norm_title(config: ModelConfig) -> str:
    """Return the title of a design's norms in words and formulas: “norm” for a custom block."""
    return "norm" if config.norm_block else NORMS[config.norm].title


def norm_part(stack: StackSpec, key: str, meaning: str, *, first_slot: str = "norm", width: int = 0) -> Part:
    """Describe the norm with this key, over `width` numbers (0: the stream's). first_slot: what it stands for."""
    config = stack.config
    if config.norm_block:
        return custom_part(stack, "norm", stack.prefix + key, meaning)
    shape = format_shape(stack.batch, stack.length, width) if width else stack.stream
    width = width or config.d_model
    plus = " + b" if config.norm_bias else ""
    formula = _NORM_FORMULAS[config.norm].format(eps=f"{config.norm_eps:g}", plus=plus)
    slots = ("norm", "norm_place", "norm_eps", "bias")
    return Part(
        key=stack.prefix + key,
        title=NORMS[config.norm].title,
        detail=f"{width:,}",
        formula=f"{formula}\nover each token's {width:,} numbers",
        meaning=meaning,
        kind="norm",
        slots=slots if first_slot == "norm" else (first_slot, *slots),
        shape=shape,
    )


def sublayer_norm(stack: StackSpec, sublayer: str, reader: str) -> Part:
    """Describe the norm of a sublayer, which its explanation calls `reader`."""
    if stack.config.norm_place == "pre":
        meaning = f"Normalises the input of {reader} (pre-norm); the stream itself is unchanged."
    else:
        meaning = f"Normalises the stream after {reader} has added to it (post-norm)."
    return norm_part(stack, f"{sublayer}_norm", meaning)


def sum_part(stack: StackSpec, sublayer: str, word: str) -> Part:
    """Describe the residual connection of a sublayer, which its formula calls `word`."""
    return Part(
        key=f"{stack.prefix}{sublayer}.sum",
        title="Add back",
        formula=f"x = x + {word}(x)\n{stack.stream} + {stack.stream}",
        meaning="The sublayer's output is added to the residual stream, so nothing is overwritten.",
        kind="sum",
        slots=("norm_place", "dropout"),
        shape=stack.stream,
    )


def conv_parts(stack: StackSpec, sublayer: str, word: str) -> list[Part]:
    """Describe the short convolution before a sublayer (called `word`); [] if the design has none."""
    config, width = stack.config, stack.config.conv_width
    if not width:
        return []
    before = f"the {width - 1} before it" if width > 2 else "the one before it" if width == 2 else "itself"
    return [
        Part(
            key=f"{stack.prefix}{sublayer}_conv",
            title="Short conv",
            detail=f"last {width}",
            formula=f"yₜ = xₜ + Σ wᵢ · xₜ₋ᵢ,  i = 0 … {width - 1}\nfor each of {config.d_model:,} channels",
            meaning=f"Mixes each token with {before}, ahead of {word} (a Canon layer).",
            kind="conv",
            slots=("conv_width",),
            shape=stack.stream,
        )
    ]
