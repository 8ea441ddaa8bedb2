"""The parts of norms in the diagram. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec, format_shape
from terrarium.models.settings.norms import NORMS
from terrarium.models.settings.slots import check_complete

_NORM_FORMULAS = {
    "layernorm": "y = (x − mean) / √(var + {eps}) · g{plus}",
    "rmsnorm": "y = x / √(mean(x²) + {eps}) · g",
}
check_complete(_NORM_FORMULAS, NORMS, "norms in the diagram")


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
