"""The parts of every sublayer: its norm, its short convolution, and the sum. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.norm_parts import norm_part
from terrarium.app.builder.diagram.part import Part, StackSpec


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
