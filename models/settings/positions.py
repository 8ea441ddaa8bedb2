"""The available position schemes: their names, where they are applied, what they learn, and their words. No torch.

Their code, by the same names: models.architecture.positions (modules), models.code_view.reference.positions (text).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from terrarium.models.settings.block_references import BlockReference

FIRE_WIDTH = 32
"""How many hidden numbers FIRE's network computes for each pair of tokens, as in its paper."""


class HasPosition(Protocol):
    """A design with the slots `position` and `position_block`."""

    @property
    def position(self) -> str: ...
    @property
    def position_block(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class LearnedTensor:
    """A tensor that a scheme learns.

    name: in its stack. sizes: its shape, as numbers or as the slots that give them. init: how it is initialised, a word
    of models.design.tree.
    """

    name: str
    sizes: tuple[str | int, ...]
    init: str = "normal"

    def shape(self, design: HasPosition) -> tuple[int, ...]:
        """Return its shape in a design."""
        return tuple(size if isinstance(size, int) else getattr(design, size) for size in self.sizes)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What a scheme learns, shared by a whole stack: tensors of one module.

    slots: those that determine the meaning of the numbers, besides the shapes. n_hidden: how many numbers a network
    computes for each pair of tokens before its last matrix; 0 if there is no network.
    """

    tensors: tuple[LearnedTensor, ...]
    slots: tuple[str, ...] = ()
    n_hidden: int = 0


@dataclass(frozen=True, kw_only=True)
class SchemeWords:
    """A scheme as a part of the diagram, with the slots that can be edited there.

    detail and formula are templates of str.format, given `design` and `stream`, the shape of the residual stream.
    scores: its term in the formula of the attention scores.
    """

    title: str
    detail: str
    formula: str
    meaning: str
    slots: tuple[str, ...] = ("position",)
    scores: str = ""


@dataclass(frozen=True, kw_only=True)
class PositionScheme:
    """A choice of `ModelConfig.position`.

    title: its name on screen. help: its description in the help of the setting. applied_to: "embeddings" (added to
    them), "queries" (queries and keys are rotated), "scores" (a bias of attention scores), or "" for nothing. words: in
    the diagram; None if they depend on more than templates can say (app.builder.diagram.describe_sublayers).
    """

    title: str
    help: str
    applied_to: str
    learned: Learned | None = None
    words: SchemeWords | None = None


POSITIONS = {
    "learned": PositionScheme(
        title="Learned",
        help="a learned table",
        applied_to="embeddings",
        learned=Learned(tensors=(LearnedTensor(name="position.weight", sizes=("context_length", "d_model")),)),
        words=SchemeWords(
            title="Positions",
            detail="{design.context_length:,} × {design.d_model:,}",
            formula="x = x + P[position],   P: {design.context_length:,} × {design.d_model:,}\n{stream}",
            meaning="Adds a learned vector for each position, so that the model knows the order.",
            slots=("position", "context_length"),
        ),
    ),
    "sinusoidal": PositionScheme(
        title="Sinusoidal",
        help="a table of sines and cosines (sinusoidal)",
        applied_to="embeddings",
        words=SchemeWords(
            title="Sinusoids",
            detail="sin, cos",
            formula="x = x + P[t],   P[t, 2i] = sin(t / 10000^(2i/{design.d_model:,})),  P[t, 2i+1] = cos(…)\n{stream}",
            meaning="Adds waves of many wavelengths, so that the model knows the order. Nothing is learned.",
        ),
    ),
    "rope": PositionScheme(title="RoPE", help="rotation of queries and keys (RoPE)", applied_to="queries"),
    "alibi": PositionScheme(
        title="ALiBi",
        help="a penalty that grows with distance (ALiBi)",
        applied_to="scores",
        words=SchemeWords(
            title="ALiBi",
            detail="{design.n_head} slopes",
            formula="scores − slopeₕ · |i − j|\nh = 1 … {design.n_head}, slopes fixed",
            meaning="A penalty that grows with the distance, at a different rate per head. Nothing is learned.",
            scores=" − slope · distance",
        ),
    ),
    "t5": PositionScheme(
        title="T5 bias",
        help="a learned bias by distance (T5)",
        applied_to="scores",
        learned=Learned(
            tensors=(LearnedTensor(name="score_bias.weight", sizes=("n_bucket", "n_head")),), slots=("max_distance",)
        ),
        words=SchemeWords(
            title="T5 bias",
            detail="{design.n_bucket} × {design.n_head}",
            formula="scores + B[bucket(i − j), head]\nB: {design.n_bucket} × {design.n_head}, "
            "distances up to {design.max_distance:,}",
            meaning="Adds a learned bias by distance and head. All layers of the stack share one table.",
            slots=("position", "n_bucket", "max_distance"),
            scores=" + bias[distance]",
        ),
    ),
    "fire": PositionScheme(
        title="FIRE",
        help="a small network of the distance relative to the text so far, for texts of any length (FIRE)",
        applied_to="scores",
        learned=Learned(
            tensors=(
                LearnedTensor(name="score_bias.log_c", sizes=(1,), init="own"),
                LearnedTensor(name="score_bias.log_threshold", sizes=(1,), init="own"),
                LearnedTensor(name="score_bias.scale", sizes=(FIRE_WIDTH,), init="own"),
                LearnedTensor(name="score_bias.shift", sizes=(FIRE_WIDTH,), init="own"),
                LearnedTensor(name="score_bias.weight", sizes=(FIRE_WIDTH, "n_head")),
            ),
            n_hidden=FIRE_WIDTH,
        ),
        words=SchemeWords(
            title="FIRE",
            detail=f"{FIRE_WIDTH} × {{design.n_head}}",
            formula="scores + ReLU(r a + b) W,   r = log(c |i − j| + 1) / log(c max(L, i, j) + 1)\n"
            f"a, b: {FIRE_WIDTH},   W: {FIRE_WIDTH} × {{design.n_head}}",
            meaning="Adds a learned function of the distance and the head. The distance is relative to the text so "
            "far, if that is longer than L. c and L are learned, too. All layers of the stack share one network.",
            scores=" + f(r)",
        ),
    ),
    "none": PositionScheme(title="None", help="not at all", applied_to=""),
}
"""The position schemes by name, in the order of the form."""


def scheme_of(design: HasPosition) -> PositionScheme:
    """Return the position scheme of a design; that of a custom block has its name as a title."""
    if not design.position_block:
        return POSITIONS[design.position]
    block = BlockReference.parse(design.position_block)
    return PositionScheme(title=block.name, help="a custom block", applied_to=block.applied_to)
