"""The language head's loss in blocks equals torch's with all logits at once."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.cross_entropy import cross_entropies, weighted_cross_entropy

WIDTH, VOCAB_SIZE = 24, 50


def inputs(n: int, *, has_bias: bool) -> tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    states = torch.randn(n, WIDTH, generator=generator).requires_grad_()
    table = torch.randn(VOCAB_SIZE, WIDTH, generator=generator).requires_grad_()
    bias = torch.randn(VOCAB_SIZE, generator=generator).requires_grad_() if has_bias else None
    targets = torch.randint(VOCAB_SIZE, (n,), generator=generator)
    return states, table, bias, targets, torch.rand(n, generator=generator)


def gradients(loss: Tensor, *tensors: Tensor | None) -> list[Tensor]:
    return list(torch.autograd.grad(loss, [tensor for tensor in tensors if tensor is not None]))


@pytest.mark.parametrize("has_bias", [False, True])
@pytest.mark.parametrize("n", [1, 511, 512, 513, 1300])
def test_loss_and_gradients_are_torchs(n: int, has_bias: bool) -> None:
    states, table, bias, targets, weights = inputs(n, has_bias=has_bias)
    loss = 0.7 * weighted_cross_entropy(states, table, bias, targets, weights, torch.float32)
    nll = F.cross_entropy(F.linear(states, table, bias), targets, reduction="none")
    expected = 0.7 * (nll * weights).sum()
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(cross_entropies(states, table, bias, targets, torch.float32), nll)
    for ours, theirs in zip(
        gradients(loss, states, table, bias), gradients(expected, states, table, bias), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_no_targets() -> None:
    states, table, bias, targets, weights = inputs(0, has_bias=True)
    loss = weighted_cross_entropy(states, table, bias, targets, weights, torch.float32)
    assert loss == 0
    assert all(not gradient.any() for gradient in gradients(loss, states, table, bias))
    assert cross_entropies(states, table, bias, targets, torch.float32).shape == (0,)


def test_a_frozen_table_gets_no_gradient() -> None:
    states, table, bias, targets, weights = inputs(600, has_bias=True)
    expected = gradients(weighted_cross_entropy(states, table, bias, targets, weights, torch.float32), states)
    assert bias is not None
    weighted_cross_entropy(
        states, table.requires_grad_(False), bias.requires_grad_(False), targets, weights, torch.float32
    ).backward()
    assert table.grad is None
    assert bias.grad is None
    assert torch.equal(states.grad, expected[0])


def test_extreme_logits_overflow_nothing() -> None:
    states, table, _, targets, weights = inputs(8, has_bias=False)
    large = (1e4 * states).detach().requires_grad_()
    loss = weighted_cross_entropy(large, table, None, targets, weights, torch.float32)
    assert loss.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients(loss, large, table))


def test_bfloat16_products_have_bfloat16s_error() -> None:
    states, table, bias, targets, weights = inputs(600, has_bias=True)
    losses = [
        weighted_cross_entropy(states, table, bias, targets, weights, dtype)
        for dtype in (torch.float32, torch.bfloat16)
    ]
    assert losses[1].item() == pytest.approx(losses[0].item(), rel=1e-2)
    for exact, short in zip(*(gradients(loss, states, table, bias) for loss in losses), strict=True):
        assert short.dtype == torch.float32
        assert float((short - exact).norm() / exact.norm()) < 0.02


def test_it_says_that_it_cannot_be_differentiated_twice() -> None:
    states, table, bias, targets, weights = inputs(4, has_bias=False)
    loss = weighted_cross_entropy(states, table, bias, targets, weights, torch.float32)
    (gradient,) = torch.autograd.grad(loss, states, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient.sum().backward()
