"""Muon makes updates orthogonal; every parameter belongs to exactly one optimizer."""

from __future__ import annotations

import dataclasses
import sys

import pytest
import torch
from torch import nn

from terrarium.models.architecture.transformer import Decoder
from terrarium.models.design import training_memory
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.optimizers import OPTIMIZERS
from terrarium.models.settings.presets import PRESETS
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.settings.slots import draft
from terrarium.models.training.optim import AdamW, Lion, Muon, make_optimizers, orthogonalise

TRAIN = TrainConfig(lr=1e-3, muon_lr=0.03, weight_decay=0.1)


@pytest.mark.parametrize("shape", [(32, 32), (32, 96), (96, 32), (16, 128)])
def test_singular_values_end_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape)
    matrices[1] *= 1e4
    matrices[2] *= 1e-4
    updates = orthogonalise(matrices)
    assert updates.shape == matrices.shape
    values = torch.linalg.svdvals(updates)
    assert values.max() < 1.3
    assert values.median() > 0.65
    for matrix, update in zip(matrices, updates, strict=True):
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        alignment = (update * (left @ right)).sum() / min(shape)  # with the nearest orthogonal matrix
        assert 0.6 < alignment < 1.2


def test_matrices_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    matrices = torch.randn(4, 24, 8)
    torch.testing.assert_close(orthogonalise(matrices)[2], orthogonalise(matrices[2:3])[0])
    assert torch.isfinite(orthogonalise(torch.zeros(1, 4, 4))).all()


@pytest.mark.parametrize("shape", [(24, 24), (24, 40), (24, 96), (96, 24)])
def test_products_of_the_gram_matrix_come_to_the_same_as_the_iteration(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(*shape)
    x = matrix.double() / matrix.double().norm()
    for _ in range(5):
        x = 3.4445 * x - 4.7750 * x @ x.T @ x + 2.0315 * x @ x.T @ x @ x.T @ x
    torch.testing.assert_close(orthogonalise(matrix).double(), x, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(orthogonalise(matrix[None])[0], orthogonalise(matrix))


def test_an_update_is_scaled_by_rate_and_shape() -> None:
    torch.manual_seed(0)
    tall, wide = nn.Parameter(torch.zeros(64, 16)), nn.Parameter(torch.zeros(16, 64))
    optimizer = Muon([tall, wide], lr=0.1)
    for parameter in (tall, wide):
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()
    for parameter, size in ((tall, 0.1 * 4**0.5), (wide, 0.1)):
        assert parameter.detach().norm().item() / 16**0.5 == pytest.approx(size, rel=0.3)
        assert parameter.grad is not None
        assert (parameter.detach() * parameter.grad).sum().item() < 0  # downhill


def test_weight_decay_and_missing_gradients() -> None:
    used, unused = nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4, 4))
    used.grad = torch.zeros(4, 4)
    Muon([used, unused], lr=0.1, weight_decay=0.5).step()
    torch.testing.assert_close(used.detach(), torch.full((4, 4), 0.95))
    assert torch.equal(unused.detach(), torch.ones(4, 4))


def test_the_state_resumes_where_it_was_saved() -> None:
    def trained(n: int, stop: int | None) -> torch.Tensor:
        torch.manual_seed(0)
        parameter = nn.Parameter(torch.randn(6, 6))
        optimizer = Muon([parameter], lr=0.1)
        for i in range(n):
            if i == stop:
                state, optimizer = optimizer.state_dict(), Muon([parameter], lr=0.1)
                optimizer.load_state_dict(state)
            parameter.grad = torch.sin(parameter.detach() * (i + 1))
            optimizer.step()
        return parameter.detach()

    assert torch.equal(trained(6, None), trained(6, 3))


def test_lion_is_the_algorithm_of_its_paper() -> None:
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(5, 4))
    expected, momentum = weight.detach().clone(), torch.zeros(5, 4)
    optimizer = Lion([{"params": [weight]}], lr=0.01, betas=(0.9, 0.99), weight_decay=0.5)
    for i in range(6):
        gradient = torch.randn(5, 4, generator=torch.Generator().manual_seed(i))
        weight.grad = gradient.clone()
        optimizer.step()
        update = torch.sign(0.9 * momentum + 0.1 * gradient)
        expected = expected - 0.01 * (update + 0.5 * expected)
        momentum = 0.99 * momentum + 0.01 * gradient
        torch.testing.assert_close(weight.detach(), expected)
    assert torch.equal(weight.grad, gradient)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("name", ["gpt2-tiny", "llama-tiny", "terrarium-tiny"])
def test_every_parameter_is_in_one_group(name: str, optimizer: str) -> None:
    model = Decoder(dataclasses.replace(PRESETS[name], vocab_size=300, n_layer=2, d_model=32, context_length=16))
    optimizers = make_optimizers(model, dataclasses.replace(TRAIN, optimizer=optimizer))
    names = {id(parameter): key for key, parameter in model.named_parameters()}
    groups = [group for one in optimizers for group in one.param_groups]
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == set(names)
    assert all(group["initial_lr"] == group["lr"] for group in groups)
    for group in groups:
        keys = [names[id(parameter)] for parameter in group["params"]]
        if group["weight_decay"]:
            assert all(parameter.dim() == 2 for parameter in group["params"])
            assert not any("norm" in key or key.endswith("bias") or "_conv." in key for key in keys)
    if optimizer == "muon":
        muon = optimizers[0]
        assert isinstance(muon, Muon)
        held_by_muon = {names[id(p)] for p in muon.param_groups[0]["params"]}
        assert held_by_muon == {
            f"{block}.{matrix}.weight"
            for block in ("blocks.0", "blocks.1")
            for matrix in (
                "attention.query", "attention.key", "attention.value", "attention.output", "feed_forward.up",
                "feed_forward.down", *(["feed_forward.gate"] if "llama" in name else []),
            )
        }  # fmt: skip
        assert muon.param_groups[0]["lr"] == TRAIN.muon_lr
    else:
        assert len(optimizers) == 1
        assert optimizers[0].param_groups[0]["lr"] == TRAIN.lr


def test_no_optimizer_stands_in_for_an_unknown_one(tiny_config: ModelConfig) -> None:
    train = draft(TrainConfig, {"optimizer": "sgd"})
    with pytest.raises(KeyError, match="sgd"):
        make_optimizers(Decoder(tiny_config), train)
    with pytest.raises(KeyError, match="sgd"):
        training_memory(tiny_config, 2, 8, "sgd")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_step_needs_torchs_compiler(
    optimizer: str, tiny_config: ModelConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes more than a second to import, in each process."""
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # whoever imports it now, fails
    model = Decoder(tiny_config)
    model(torch.zeros(1, 4, dtype=torch.long)).sum().backward()
    for one in make_optimizers(model, dataclasses.replace(TRAIN, optimizer=optimizer)):
        one.step()
        one.zero_grad()
        one.load_state_dict(one.state_dict())


def test_adamw_is_that_of_its_paper() -> None:
    """Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), algorithm 2. (torch's own, which ours is
    but for its decorators, would import a compiler here.)"""
    parameter = nn.Parameter(torch.linspace(-1, 1, 12))
    optimizer = AdamW([parameter], lr=0.1, betas=(0.8, 0.9), weight_decay=0.2, fused=True)
    expected = parameter.detach().clone()
    mean, square = torch.zeros(12), torch.zeros(12)
    for step in range(3):
        gradient = expected**2 - step
        parameter.grad = parameter.detach() ** 2 - step
        optimizer.step()
        mean, square = 0.8 * mean + 0.2 * gradient, 0.9 * square + 0.1 * gradient**2
        corrected = square / (1 - 0.9 ** (step + 1))
        expected = expected * (1 - 0.1 * 0.2) - 0.1 * mean / (1 - 0.8 ** (step + 1)) / (corrected.sqrt() + 1e-8)
        torch.testing.assert_close(parameter.detach(), expected)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_few_steps_lower_the_loss(optimizer: str, tiny_config: ModelConfig) -> None:
    torch.manual_seed(0)
    model = Decoder(tiny_config)
    optimizers = make_optimizers(
        model, dataclasses.replace(TRAIN, optimizer=optimizer, lr=OPTIMIZERS[optimizer].max_lrs["lr"])
    )
    ids = torch.randint(0, tiny_config.vocab_size, (4, 16))
    losses = []
    for _ in range(12):
        loss = nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        for one in optimizers:
            one.step()
            one.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_unscaled_scores_and_scaled_logits_learn_like_others(optimizer: str, tiny_config: ModelConfig) -> None:
    """With weights that make up for it, T5's way computes the same; then both learn the same, step by step."""
    plain = dataclasses.replace(tiny_config, qk_norm=False, bias="all", tied_embeddings=False)
    torch.manual_seed(0)
    models = [Decoder(plain), Decoder(dataclasses.replace(plain, scaled_scores=False, scaled_logits=True))]
    weights = {name: weight.clone() for name, weight in models[0].state_dict().items()}
    for name, weight in weights.items():
        if "query." in name:
            weight *= plain.head_dim**-0.5
        elif name == "head.weight":
            weight *= plain.d_model**0.5
    models[1].load_state_dict(weights)
    settings = dataclasses.replace(TRAIN, optimizer=optimizer)
    ids = torch.randint(0, plain.vocab_size, (4, 16))
    losses: list[list[float]] = [[], []]
    for model, found in zip(models, losses, strict=True):
        optimizers = make_optimizers(model, settings)
        for _ in range(8):
            loss = nn.functional.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
            loss.backward()
            for one in optimizers:
                one.step()
                one.zero_grad()
            found.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert losses[0][-1] < losses[0][0] - 0.4
