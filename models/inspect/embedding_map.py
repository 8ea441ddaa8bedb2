"""The table of embeddings: which tokens lie near which, and a map of all of them in two dimensions.

Letters in shape comments: V vocab_size, C d_model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.architecture.heads import LanguageHead
from models.architecture.transformer import AnyModel

Floats = NDArray[np.float32]

_ROWS_AT_ONCE = 8192  # of the table, so that a large one is not copied whole
_MOST_PRODUCTS = 5e10
"""Multiplications for a covariance: a second or two."""


@dataclass(frozen=True, kw_only=True, eq=False)
class EmbeddingMap:
    """All tokens along the table's two main directions.

    points: (V, 2). shares: each direction's part of the variance. lengths: (V,), the rows' in all dimensions.
    n_read: so many rows, evenly spread, the directions were found from: all but of very large tables.
    """

    points: Floats
    shares: tuple[float, float]
    lengths: Floats
    n_read: int


def tables(model: AnyModel) -> dict[str, Tensor]:
    """The tables (V, C): "input", and "output" where the head has one of its own."""
    found = {"input": model.embedding.weight.detach()}
    if isinstance(model.head, LanguageHead) and not model.config.tied_embeddings:
        assert model.head.weight is not None
        found["output"] = model.head.weight.detach()
    return found


@torch.no_grad()
def nearest(table: Tensor, id: int, n: int = 12) -> list[tuple[int, float]]:
    """The `n` rows whose direction is most like that of row `id`, without itself: ids and cosines, best first.

    Raises:
        ValueError: where the table holds what is no number.
    """
    _check_numbers(table)
    rows = table.float()
    wanted = rows[id]
    cosines = rows @ wanted / (rows.norm(dim=1) * wanted.norm()).clamp_min(1e-12)
    cosines[id] = -torch.inf
    best = cosines.topk(min(n, len(rows) - 1))
    return list(zip(best.indices.tolist(), best.values.tolist(), strict=True))


@torch.no_grad()
def pca_2d(table: Tensor) -> EmbeddingMap:
    """Principal component analysis (Pearson, 1901) by the covariance's eigenvectors: exact, and the same each time.

    Each direction's sign is such that its largest weight is positive.

    Raises:
        ValueError: where the table holds what is no number.
    """
    _check_numbers(table)
    mean = table.float().mean(dim=0)
    every = math.ceil(len(table) * table.size(1) ** 2 / _MOST_PRODUCTS)
    covariance = torch.zeros(table.size(1), table.size(1), dtype=torch.double)
    for rows in table[::every].split(_ROWS_AT_ONCE):
        centred = rows.float() - mean
        covariance += (centred.mT @ centred).cpu().double()
    values, vectors = torch.linalg.eigh(covariance)
    main = vectors[:, -2:].flip(-1)  # (C, 2), the largest first
    main = main * torch.sign(main.gather(0, main.abs().argmax(dim=0, keepdim=True)))
    whole = float(values.clamp_min(0).sum()) or 1.0
    axes = main.float().to(table.device)
    points = torch.cat([(rows.float() - mean) @ axes for rows in table.split(_ROWS_AT_ONCE)])
    return EmbeddingMap(
        points=points.cpu().numpy(),
        shares=(max(float(values[-1]), 0.0) / whole, max(float(values[-2]), 0.0) / whole),
        lengths=table.float().norm(dim=1).cpu().numpy(),
        n_read=len(table[::every]),
    )


def _check_numbers(table: Tensor) -> None:
    if not torch.isfinite(table).all():
        raise ValueError("The table holds what is no number, so its training diverged: choose an earlier checkpoint.")
