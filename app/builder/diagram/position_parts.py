"""The parts of position schemes in the diagram. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from terrarium.app.builder.diagram.custom_parts import custom_part
from terrarium.app.builder.diagram.part import Part, StackSpec
from terrarium.models.architecture.rope import n_rotated_pairs
from terrarium.models.settings.positions import POSITIONS, scheme_of
from terrarium.models.settings.slots import check_complete


@dataclass(frozen=True, kw_only=True)
class PositionPart:
    """A scheme in the diagram. make(stack, key) returns its part. scores: its term in the formula of the scores."""

    make: Callable[[StackSpec, str], Part]
    scores: str = ""


def position_part(stack: StackSpec, applied_to: str, key: str) -> list[Part]:
    """Return the part of a design's scheme, with this key; [] unless the scheme applies to `applied_to`."""
    config = stack.config
    if scheme_of(config).applied_to != applied_to:
        return []
    if config.position_block:
        return [custom_part(stack, "position", key, _MEANINGS[applied_to])]
    return [_PARTS[config.position].make(stack, key)]


def format_score_term(stack: StackSpec) -> str:
    """Return the term of the design's scheme in the formula of the scores, '' if it has none."""
    if stack.config.position_block:
        return " + block(i − j)" if scheme_of(stack.config).applied_to == "scores" else ""
    return _PARTS[stack.config.position].scores if scheme_of(stack.config).applied_to else ""


_MEANINGS = {
    "embeddings": "A custom block adds a vector for each position.",
    "queries": "A custom block rotates queries and keys by their position.",
    "scores": "A custom block adds a bias by distance to the scores.",
}
"""What a custom position block does, by where it is applied."""


def _learned(stack: StackSpec, key: str) -> Part:
    c, rows = stack.config.d_model, stack.config.context_length
    return Part(
        key=key,
        title="Positions",
        detail=f"{rows:,} × {c:,}",
        formula=f"x = x + P[position],   P: {rows:,} × {c:,}\n{stack.stream}",
        meaning="Adds a learned vector for each position, so that the model knows the order.",
        kind="position",
        slots=("position", "context_length"),
        shape=stack.stream,
    )


def _sinusoidal(stack: StackSpec, key: str) -> Part:
    c = stack.config.d_model
    return Part(
        key=key,
        title="Sinusoids",
        detail="sin, cos",
        formula=f"x = x + P[t],   P[t, 2i] = sin(t / 10000^(2i/{c:,})),  P[t, 2i+1] = cos(…)\n{stack.stream}",
        meaning="Adds waves of many wavelengths, so that the model knows the order. Nothing is learned.",
        kind="position",
        slots=("position",),
        shape=stack.stream,
    )


def _rope(stack: StackSpec, key: str) -> Part:
    config, d = stack.config, stack.config.head_dim
    stretch = "" if config.rope_scaling == "none" else f", {config.rope_scaling} × {config.rope_factor:g}"
    n, is_part = n_rotated_pairs(config), config.rope_fraction != 1.0
    turning = f"i = 0 … {n - 1}" if n else "no i"
    return Part(
        key=key,
        title="RoPE",
        detail=f"{config.rope_theta:,.6g}{stretch}",
        formula=f"(qᵢ, qᵢ₊{d // 2}) rotated by position · {config.rope_theta:,.6g}^(−2i/{d})\n"
        f"{turning}, keys alike{stretch}",
        meaning="Rotates queries and keys by their position, so that scores depend on the distance."
        + (f" Only the {n} fastest of {d // 2} pairs (p-RoPE)." if is_part else "")
        + (f" Not in {config.n_nope_layers} of the {config.n_layer} layers (NoPE)." if config.nope_interval else ""),
        kind="position",
        slots=("position", "rope_theta", "rope_scaling", "rope_factor", "rope_fraction", "nope_interval"),
    )


def _alibi(stack: StackSpec, key: str) -> Part:
    n_head = stack.config.n_head
    return Part(
        key=key,
        title="ALiBi",
        detail=f"{n_head} slopes",
        formula=f"scores − slopeₕ · |i − j|\nh = 1 … {n_head}, slopes fixed",
        meaning="A penalty that grows with the distance, at a different rate per head. Nothing is learned.",
        kind="position",
        slots=("position",),
    )


def _t5(stack: StackSpec, key: str) -> Part:
    config = stack.config
    return Part(
        key=key,
        title="T5 bias",
        detail=f"{config.n_bucket} × {config.n_head}",
        formula=f"scores + B[bucket(i − j), head]\nB: {config.n_bucket} × {config.n_head}, "
        f"distances up to {config.max_distance:,}",
        meaning="Adds a learned bias by distance and head. All layers of the stack share one table.",
        kind="position",
        slots=("position", "n_bucket", "max_distance"),
    )


_PARTS = {
    "learned": PositionPart(make=_learned),
    "sinusoidal": PositionPart(make=_sinusoidal),
    "rope": PositionPart(make=_rope),
    "alibi": PositionPart(make=_alibi, scores=" − slope · distance"),
    "t5": PositionPart(make=_t5, scores=" + bias[distance]"),
}
check_complete(
    _PARTS, (name for name, scheme in POSITIONS.items() if scheme.applied_to), "position schemes in the diagram"
)
