"""What holds for every encoder, whatever fills its slots."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.transformer import Encoder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.optim import AdamW

V, T = 61, 10
PLAIN = ModelConfig(topology="encoder-only")
CONFIGS = {
    "bert-tiny": PRESETS["bert-tiny"],
    "rope, grouped": dataclasses.replace(PLAIN, position="rope", n_kv_head=2, qk_norm=True, norm="rmsnorm"),
    "alibi, experts": dataclasses.replace(PLAIN, position="alibi", n_expert=3, n_expert_used=2, activation="swiglu"),
    "t5 bias, untied": dataclasses.replace(PLAIN, position="t5", tied_embeddings=False, scaled_scores=False),
    "waves, convolution": dataclasses.replace(PLAIN, position="sinusoidal", conv_width=3, norm_place="post"),
}
BY_DISTANCE = ("rope, grouped", "alibi, experts", "t5 bias, untied")
"""Those that do not care where a text begins."""


def make_model(name: str, **changes: object) -> Encoder:
    """Small, in float64, with weights large enough for differences to show."""
    torch.manual_seed(0)
    small = {"vocab_size": V, "context_length": 32, "n_layer": 2, "d_model": 32, "n_head": 4, "init_std": 0.3}
    return Encoder(dataclasses.replace(CONFIGS[name], **(small | changes))).double().eval()


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> Encoder:
    return make_model(request.param)


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(0, V, (3, T), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_every_token_sees_every_other(model: Encoder, ids: Tensor) -> None:
    logits = model(ids)
    assert logits.shape == (3, T, V)
    for t in (0, 4, T - 1):
        changed = ids.clone()
        changed[:, t] = (ids[:, t] + 1) % V
        assert not torch.isclose(model(changed), logits).all(dim=-1).any()


@torch.no_grad()
def test_order_matters(model: Encoder, ids: Tensor) -> None:
    swapped = ids[:, [0, 2, 1, *range(3, T)]]
    assert not torch.allclose(model(swapped)[:, -1], model(ids)[:, -1])


@torch.no_grad()
def test_without_positions_order_does_not_matter(ids: Tensor) -> None:
    model = make_model("bert-tiny", position="none")
    order = torch.randperm(T, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(model(ids[:, order]), model(ids)[:, order])


@torch.no_grad()
def test_padding_on_the_right_changes_nothing(model: Encoder, ids: Tensor) -> None:
    lengths = [T, 5, 1]
    mask = torch.arange(T) < torch.tensor(lengths)[:, None]
    padded = model(torch.where(mask, ids, 0), mask=mask)
    assert torch.isfinite(padded).all()
    for row, length in enumerate(lengths):
        torch.testing.assert_close(padded[row, :length], model(ids[row : row + 1, :length])[0])


@torch.no_grad()
def test_padding_on_the_left_changes_nothing(model: Encoder, ids: Tensor) -> None:
    lengths = [T, 5, 1]
    mask = torch.arange(T) >= T - torch.tensor(lengths)[:, None]
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    padded = model(torch.where(mask, ids, 0), mask=mask, positions=positions)
    for row, length in enumerate(lengths):
        torch.testing.assert_close(padded[row, T - length :], model(ids[row : row + 1, T - length :])[0])


@torch.no_grad()
@pytest.mark.parametrize("name", BY_DISTANCE)
def test_padding_on_the_left_needs_no_positions_where_distances_count(name: str, ids: Tensor) -> None:
    model = make_model(name)
    mask = torch.arange(T) >= torch.tensor([[0], [5], [T - 1]])
    padded = model(torch.where(mask, ids, 0), mask=mask)
    for row in range(3):
        torch.testing.assert_close(padded[row][mask[row]], model(ids[row][mask[row]][None])[0])


@torch.no_grad()
def test_a_window_reaches_both_ways(ids: Tensor) -> None:
    model = make_model("bert-tiny", sliding_window=2, n_layer=2)
    changed = ids.clone()
    changed[:, 4] = (ids[:, 4] + 1) % V
    seen = ~torch.isclose(model(changed), model(ids)).all(dim=-1)
    assert seen.all(dim=0).nonzero().flatten().tolist() == [2, 3, 4, 5, 6]
    assert torch.equal(seen.any(dim=0), seen.all(dim=0))


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if not config.n_segment])
def test_segments_equal_separate_texts(name: str, ids: Tensor) -> None:
    model, lengths = make_model(name), [4, 1, 5]
    segments = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths)).expand(3, -1)
    positions = torch.cat([torch.arange(length) for length in lengths])
    packed = model(ids, segments=segments, positions=positions)
    apart = [model(part) for part in ids.split(lengths, dim=1)]
    torch.testing.assert_close(packed, torch.cat(apart, dim=1))


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_an_untrained_model_knows_nothing(name: str) -> None:
    torch.manual_seed(0)
    size = {"vocab_size": 500, "n_layer": 2, "d_model": 64, "n_head": 4, "context_length": 64}
    model = Encoder(dataclasses.replace(CONFIGS[name], **size)).eval()
    ids = torch.randint(0, 500, (8, 64))
    loss = F.cross_entropy(model(ids).flatten(0, 1), torch.randint(0, 500, (8, 64)).flatten())
    assert loss.item() == pytest.approx(math.log(500), rel=0.04)


@pytest.mark.parametrize("name", CONFIGS)
def test_hidden_tokens_are_learned_by_heart(name: str) -> None:
    model = make_model(name, init_std=0.02, n_layer=1).float().train()
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(1, V, (4, T), generator=generator)
    hidden = torch.rand(4, T, generator=generator) < 0.3
    optimizer = AdamW(model.parameters(), lr=5e-3, weight_decay=0.0, fused=True)
    for _ in range(300):
        loss = F.cross_entropy(model(torch.where(hidden, 0, ids))[hidden], ids[hidden])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.2:
            break
    assert loss.item() < 0.2


def test_every_weight_gets_a_gradient(model: Encoder, ids: Tensor) -> None:
    segments = torch.arange(T).expand(3, -1) % 2 if model.config.n_segment else None
    F.cross_entropy(model(ids, segments=segments).flatten(0, 1), ids.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    model.zero_grad()


def test_what_does_not_fit_the_context_is_refused(model: Encoder) -> None:
    with pytest.raises(ValueError, match="33 tokens do not fit the context of 32"):
        model(torch.zeros(1, 33, dtype=torch.long))


def test_what_is_no_input_is_refused(ids: Tensor) -> None:
    model = make_model("bert-tiny")
    with pytest.raises(ValueError, match="A mask must be bool"):
        model(ids, mask=torch.ones_like(ids))
    with pytest.raises(ValueError, match="Segments must lie between 0 and 1"):
        model(ids, segments=torch.full_like(ids, 2))
    with pytest.raises(ValueError, match="Positions must lie between 0 and 31"):
        model(ids, positions=torch.arange(ids.size(1)) + 32)
