"""The position schemes that there are: what they are called, where they come in and what they learn. No torch.

Their code, by the same names: models.architecture.positions (modules), models.codegen.positions (text).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.settings.model_config import ModelConfig


@dataclass(frozen=True, kw_only=True)
class LearnedTable:
    """What a scheme learns, once for a whole stack.

    tensor: its name in the stack. shape: rows and columns, given the stack's design. slots: what else of the design its
    numbers hang on.
    """

    tensor: str
    shape: Callable[[ModelConfig], tuple[int, int]]
    slots: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PositionScheme:
    """A choice of `ModelConfig.position`.

    title: its name on screen. help: what it is, in a list of all. place: where it comes in: "embeddings" (added to
    them), "queries" (they are rotated, keys alike), "scores" (added to those of attention), or "" for nowhere.
    """

    title: str
    help: str
    place: str
    learned: LearnedTable | None = None


POSITIONS = {
    "learned": PositionScheme(
        title="Learned",
        help="a learned table",
        place="embeddings",
        learned=LearnedTable(tensor="position.weight", shape=lambda config: (config.context_length, config.d_model)),
    ),
    "sinusoidal": PositionScheme(title="Sinusoidal", help="a table of waves (sinusoidal)", place="embeddings"),
    "rope": PositionScheme(title="RoPE", help="rotation of queries and keys (RoPE)", place="queries"),
    "alibi": PositionScheme(title="ALiBi", help="a penalty that grows with distance (ALiBi)", place="scores"),
    "t5": PositionScheme(
        title="T5 bias",
        help="a learned bias by distance (T5)",
        place="scores",
        learned=LearnedTable(
            tensor="score_bias.weight",
            shape=lambda config: (config.n_bucket, config.n_head),
            slots=("max_distance",),
        ),
    ),
    "none": PositionScheme(title="None", help="not at all", place=""),
}
"""By name, in the order of the form."""


def scheme_of(config: ModelConfig) -> PositionScheme:
    """The scheme of a design."""
    return POSITIONS[config.position]
