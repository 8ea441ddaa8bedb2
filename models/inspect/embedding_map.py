"""The embedding table: the nearest neighbours of a token, and a map of all tokens in two dimensions (PCA).

Letters in shape comments: V vocab_size, C d_model.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.transformer import AnyModel

Floats = NDArray[np.float32]

_BATCH_ROWS = 8192  # rows of the table, so that a large one is not copied whole
_MAX_PRODUCTS = 5e10
"""Maximum number of multiplications for a covariance: a second or two."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingMap:
    """All tokens, projected to the first two principal components of the table.

    points: (V, 2). shares: the fraction of the variance that each component explains. lengths: (V,), the norms of the
    rows in all dimensions. n_read: how many of the selected rows, evenly spaced, the components were computed from
    (all, unless they are very many).
    """

    points: Floats
    shares: tuple[float, float]
    lengths: Floats
    n_read: int


def tables(model: AnyModel) -> dict[str, Tensor]:
    """Return the tables (V, C): "input", and "output" if the head is not tied."""
    found = {"input": model.embedding.weight.detach()}
    if isinstance(model.head, LanguageHead) and not model.config.tied_embeddings:
        assert model.head.weight is not None
        found["output"] = model.head.weight.detach()
    return found


@torch.no_grad()
def nearest(table: Tensor, id: int, n: int = 12, among: Sequence[int] | None = None) -> list[tuple[int, float]]:
    """Return the `n` rows with the highest cosine similarity to row `id`, without itself: (id, cosine), highest first.

    Args:
        among: only these rows; None for all.

    Raises:
        ValueError: if the table has NaN or infinite values.
    """
    _check_numbers(table)
    rows = table.float()
    wanted = rows[id]
    cosines = rows @ wanted / (rows.norm(dim=1) * wanted.norm()).clamp_min(1e-12)
    if among is not None:
        left_out = torch.ones_like(cosines, dtype=torch.bool)
        left_out[list(among)] = False
        cosines[left_out] = -torch.inf
    cosines[id] = -torch.inf
    best = cosines.topk(min(n, int(torch.isfinite(cosines).sum())))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


@torch.no_grad()
def pca_2d(table: Tensor, ids: Sequence[int] | None = None) -> EmbeddingMap:
    """Compute a PCA (Pearson, 1901) by the eigenvectors of the covariance: exact and deterministic.

    The sign of each component is such that its largest loading is positive.

    Args:
        ids: the rows whose variance counts; None for all. The others are projected too.

    Raises:
        ValueError: if the table has NaN or infinite values.
    """
    _check_numbers(table)
    counting = table if ids is None else table[torch.tensor(ids, device=table.device)]
    mean = counting.float().mean(dim=0)
    every = math.ceil(len(counting) * table.size(1) ** 2 / _MAX_PRODUCTS)
    covariance = torch.zeros(table.size(1), table.size(1), dtype=torch.double)
    for rows in counting[::every].split(_BATCH_ROWS):
        centred = rows.float() - mean
        covariance += (centred.mT @ centred).cpu().double()
    values, vectors = torch.linalg.eigh(covariance)
    main = vectors[:, -2:].flip(-1)  # (C, 2), the largest first
    main = main * torch.sign(main.gather(0, main.abs().argmax(dim=0, keepdim=True)))
    whole = float(values.clamp_min(0).sum()) or 1.0
    axes = main.float().to(table.device)
    points = torch.cat([(rows.float() - mean) @ axes for rows in table.split(_BATCH_ROWS)])
    return EmbeddingMap(
        points=points.cpu().numpy(),
        shares=(max(float(values[-1]), 0.0) / whole, max(float(values[-2]), 0.0) / whole),
        lengths=table.float().norm(dim=1).cpu().numpy(),
        n_read=len(counting[::every]),
    )


def _check_numbers(table: Tensor) -> None:
    if not torch.isfinite(table).all():
        raise ValueError(
            "The table has values that are not numbers, so training diverged: choose an earlier checkpoint."
        )
