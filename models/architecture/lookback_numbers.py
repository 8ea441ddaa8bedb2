"""The constants of the look-back layer, which models.code_view.reference.model repeats. No torch."""

from __future__ import annotations

CONSTANT = 1.0
"""The value of the last channel of every embedding: large compared with the others, so that it stays the same."""
DAMPING = 0.1
"""The weight of that channel in the norms of all other sublayers."""
_SHARPNESS = 40.0
"""The score of the token that a head attends to; its neighbours get one eighth of its weight or less."""
FASTEST = 0.05
"""Radians per token above which a pair rotates fast enough to distinguish neighbouring positions."""
STRENGTH = 0.0675
"""The largest factor of a copied channel: the usual weight of a convolution, scaled as embeddings are about 0.15."""


def sharp_gain(head_dim: int) -> float:
    """Compute the weight of the query and key norms for a highest score of _SHARPNESS: normalised queries and keys have
    the length sqrt(head_dim), by which scores are divided."""
    return float((_SHARPNESS / head_dim**0.5) ** 0.5)
