"""The position schemes that there are: what they are called, where they come in and what they learn. No torch.

Their code, by the same names: models.architecture.positions (modules), models.codegen.positions (text).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class HasPosition(Protocol):
    """The slots of a design, of which `position` is one."""

    @property
    def position(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class LearnedTable:
    """What a scheme learns, once for a whole stack.

    tensor: its name in the stack. sizes: the slots of the stack's design that are its rows and columns. slots: what
    else of the design its numbers hang on.
    """

    tensor: str
    sizes: tuple[str, str]
    slots: tuple[str, ...] = ()

    def shape(self, design: HasPosition) -> tuple[int, int]:
        """Rows and columns in a design."""
        rows, columns = self.sizes
        return getattr(design, rows), getattr(design, columns)


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
        learned=LearnedTable(tensor="position.weight", sizes=("context_length", "d_model")),
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
            sizes=("n_bucket", "n_head"),
            slots=("max_distance",),
        ),
    ),
    "none": PositionScheme(title="None", help="not at all", place=""),
}
"""By name, in the order of the form."""


def scheme_of(design: HasPosition) -> PositionScheme:
    """The scheme of a design."""
    return POSITIONS[design.position]
