"""The parts of position schemes in the diagram. No Qt."""

from __future__ import annotations

from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec
from terrarium.models.architecture.rope import n_rotated_pairs
from terrarium.models.settings.positions import POSITIONS, SchemeWords, scheme_of
from terrarium.models.settings.slots import check_complete


def position_part(stack: StackSpec, applied_to: str, key: str) -> list[Part]:
    """Return the part of a design's scheme, with this key; [] unless the scheme applies to `applied_to`."""
    scheme, config = scheme_of(stack.config), stack.config
    if scheme.applied_to != applied_to:
        return []
    if config.position_block:
        return [custom_part(stack, "position", key, _MEANINGS[applied_to])]
    words = scheme.words or _WORDS[config.position](stack)
    return [
        Part(
            key=key,
            title=words.title,
            detail=words.detail.format(design=config),
            formula=words.formula.format(design=config, stream=stack.stream),
            meaning=words.meaning,
            kind="position",
            slots=words.slots,
            shape=stack.stream if applied_to == "embeddings" else "",
        )
    ]


def format_score_term(stack: StackSpec) -> str:
    """Return the term of the design's scheme in the formula of the scores, '' if it has none."""
    if stack.config.position_block:
        return " + block(i − j)" if scheme_of(stack.config).applied_to == "scores" else ""
    words = scheme_of(stack.config).words
    return words.scores if words is not None else ""


_MEANINGS = {
    "embeddings": "A custom block adds a vector for each position.",
    "queries": "A custom block rotates queries and keys by their position.",
    "scores": "A custom block adds a bias by distance to the scores.",
}
"""What a custom position block does, by where it is applied."""


def _rope(stack: StackSpec) -> SchemeWords:
    config, d = stack.config, stack.config.head_dim
    stretch = "" if config.rope_scaling == "none" else f", {config.rope_scaling} × {config.rope_factor:g}"
    n, is_part = n_rotated_pairs(config), config.rope_fraction != 1.0
    turning = f"i = 0 … {n - 1}" if n else "no i"
    return SchemeWords(
        title="RoPE",
        detail=f"{config.rope_theta:,.6g}{stretch}",
        formula=f"(qᵢ, qᵢ₊{d // 2}) rotated by position · {config.rope_theta:,.6g}^(−2i/{d})\n"
        f"{turning}, keys alike{stretch}",
        meaning="Rotates queries and keys by their position, so that scores depend on the distance."
        + (f" Only the {n} fastest of {d // 2} pairs (p-RoPE)." if is_part else "")
        + (f" Not in {config.n_nope_layers} of the {config.n_layer} layers (NoPE)." if config.nope_interval else ""),
        slots=("position", "rope_theta", "rope_scaling", "rope_factor", "rope_fraction", "nope_interval"),
    )


_WORDS = {"rope": _rope}
check_complete(
    _WORDS,
    (name for name, scheme in POSITIONS.items() if scheme.applied_to and scheme.words is None),
    "position schemes in the diagram",
)
