"""The numbers of a first layer that looks back, for torch and for the code of a design. No torch."""

from __future__ import annotations

CONSTANT = 1.0
"""The last channel of every embedding: large beside the others, so that it stays the same for all tokens."""
DAMPING = 0.1
"""The weight of that channel in the norms that have no use for it."""
_SHARPNESS = 40.0
"""The score of the token that a head looks at; those beside it get one eighth of its weight or less."""
FASTEST = 0.05
"""Radians per token from which a pair turns fast enough to tell a position from its neighbour."""
STRENGTH = 0.0675
"""The largest factor of a copied channel: the usual weight of a convolution, as the embeddings become some 0.15."""


def sharp_gain(head_dim: int) -> float:
    """The weight of the norms of queries and keys with which such a head's highest score is _SHARPNESS: after a norm,
    both are as long as the square root of head_dim, and scores are divided by that."""
    return float((_SHARPNESS / head_dim**0.5) ** 0.5)
