"""The available position schemes: their names, where they are applied and what they learn. No torch.

Their code, by the same names: models.architecture.positions (modules), models.codegen.reference (text).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class HasPosition(Protocol):
    """A design with the slot `position`."""

    @property
    def position(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class LearnedTable:
    """A scheme's learned table, shared by a whole stack.

    tensor: its name in the stack. sizes: the slots that give its numbers of rows and columns. slots: further slots that
    determine the meaning of its entries.
    """

    tensor: str
    sizes: tuple[str, str]
    slots: tuple[str, ...] = ()

    def shape(self, design: HasPosition) -> tuple[int, int]:
        """Return the table's numbers of rows and columns in a design."""
        rows, columns = self.sizes
        return getattr(design, rows), getattr(design, columns)


@dataclass(frozen=True, kw_only=True)
class PositionScheme:
    """A choice of `ModelConfig.position`.

    title: its name on screen. help: its description in the help of the setting. applied_to: "embeddings" (added to
    them), "queries" (queries and keys are rotated), "scores" (a bias of attention scores), or "" for nothing.
    """

    title: str
    help: str
    applied_to: str
    learned: LearnedTable | None = None


POSITIONS = {
    "learned": PositionScheme(
        title="Learned",
        help="a learned table",
        applied_to="embeddings",
        learned=LearnedTable(tensor="position.weight", sizes=("context_length", "d_model")),
    ),
    "sinusoidal": PositionScheme(
        title="Sinusoidal", help="a table of sines and cosines (sinusoidal)", applied_to="embeddings"
    ),
    "rope": PositionScheme(title="RoPE", help="rotation of queries and keys (RoPE)", applied_to="queries"),
    "alibi": PositionScheme(title="ALiBi", help="a penalty that grows with distance (ALiBi)", applied_to="scores"),
    "t5": PositionScheme(
        title="T5 bias",
        help="a learned bias by distance (T5)",
        applied_to="scores",
        learned=LearnedTable(
            tensor="score_bias.weight",
            sizes=("n_bucket", "n_head"),
            slots=("max_distance",),
        ),
    ),
    "none": PositionScheme(title="None", help="not at all", applied_to=""),
}
"""The position schemes by name, in the order of the form."""


def scheme_of(design: HasPosition) -> PositionScheme:
    """Return the position scheme of a design."""
    return POSITIONS[design.position]
