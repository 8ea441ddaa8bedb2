"""The embedding map equals numpy's principal component analysis, and neighbours are ranked by cosine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from terrarium.models.inspect.embedding_map import nearest, pca_2d, tables
from tests.models.inspect.designs import make


@pytest.mark.parametrize("shape", [(300, 12), (10, 16), (9000, 3)])
def test_the_map_is_the_plane_of_largest_variance(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    table = torch.randn(*shape, generator=generator) * torch.linspace(2, 1, shape[1]) + 3.0
    found = pca_2d(table)
    data = table.double().numpy()
    centred = data - data.mean(axis=0)
    _, lengths, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:2].T
    for i in range(2):
        sign = np.sign(directions[i][np.abs(directions[i]).argmax()])
        np.testing.assert_allclose(found.points[:, i], sign * expected[:, i], rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(found.shares, lengths[:2] ** 2 / (lengths**2).sum(), rtol=1e-4)
    np.testing.assert_allclose(found.lengths, np.linalg.norm(data, axis=1), rtol=1e-5)


def test_the_map_draws_no_random_numbers() -> None:
    state = torch.get_rng_state()
    table = torch.ones(20, 8)
    found = pca_2d(table)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.isfinite(found.points).all()
    assert found.shares == pytest.approx((0.0, 0.0))
    assert found.n_read == 20


def test_neighbours_are_nearest_in_direction() -> None:
    table = torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 0.5], [-1.0, 0.0], [0.0, 0.0]])
    found = nearest(table, 0, 3)
    assert found[0][0] == 2
    assert found[0][1] == pytest.approx(5 / (25.25**0.5))
    assert len(nearest(table, 0, 99)) == 4
    assert nearest(table, 0, 99)[-1] == (3, -1.0)


def test_an_untied_model_has_two_tables() -> None:
    assert set(tables(make("gpt2-tiny"))) == {"input"}
    untied = make("llama-tiny")
    found = tables(untied)
    assert set(found) == {"input", "output"}
    assert not found["output"].requires_grad


def test_a_table_with_nan_is_refused() -> None:
    table = torch.ones(9, 4)
    table[3, 1] = torch.nan
    with pytest.raises(ValueError, match="diverged"):
        pca_2d(table)
    with pytest.raises(ValueError, match="diverged"):
        nearest(table, 0)


def test_a_map_of_some_rows_is_their_plane() -> None:
    torch.manual_seed(3)
    table = torch.randn(40, 6)
    ids = [1, 4, 9, 16, 25, 36, 2, 8]
    found, alone = pca_2d(table, ids), pca_2d(table[ids])
    assert found.points[ids] == pytest.approx(alone.points, abs=1e-5)
    assert (found.shares, found.n_read) == (pytest.approx(alone.shares), len(ids))
    assert len(found.points) == len(found.lengths) == 40


def test_neighbours_among_some_rows() -> None:
    torch.manual_seed(4)
    table = torch.randn(40, 6)
    among = [1, 4, 9, 16]
    every = [pair for pair in nearest(table, 4, n=39) if pair[0] in among]
    assert nearest(table, 4, among=among) == every
    assert len(nearest(table, 0, among=among)) == 4
