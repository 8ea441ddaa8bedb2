"""What heads make of hidden states, written out plainly; and the encoder around them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.heads import LanguageHead
from terrarium.models.architecture.transformer import Encoder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

V, C = 21, 16


def make_encoder(**changes: object) -> Encoder:
    torch.manual_seed(0)
    small = {"vocab_size": V, "d_model": C, "n_head": 2, "n_layer": 2, "context_length": 16, "init_std": 0.3}
    return Encoder(dataclasses.replace(PRESETS["bert-tiny"], **(small | changes))).eval()


def randomised(head: LanguageHead) -> LanguageHead:
    torch.manual_seed(0)
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return head


@pytest.fixture(scope="module")
def hidden() -> Tensor:
    return torch.randn(2, 5, C, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def table() -> Tensor:
    return torch.randn(V, C, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("has_bias", [True, False])
@pytest.mark.parametrize("is_scaled", [True, False])
def test_language_head(hidden: Tensor, table: Tensor, is_tied: bool, has_bias: bool, is_scaled: bool) -> None:
    config = ModelConfig(vocab_size=V, d_model=C, tied_embeddings=is_tied, head_bias=has_bias, scaled_logits=is_scaled)
    head = randomised(LanguageHead(config))
    assert (head.weight is None) is is_tied
    expected = hidden @ (table if head.weight is None else head.weight).T
    if is_scaled:
        expected = expected / C**0.5
    if head.bias is not None:
        expected = expected + head.bias
    torch.testing.assert_close(head(hidden, table), expected)
    assert set(head.state_dict()) == {"weight"} - ({"weight"} if is_tied else set()) | ({"bias"} if has_bias else set())


@pytest.mark.parametrize(("activation", "used"), [("gelu", "gelu"), ("relu", "relu"), ("swiglu", "gelu")])
def test_the_transform_is_a_matrix_an_activation_and_a_norm(
    hidden: Tensor, table: Tensor, activation: str, used: str
) -> None:
    config = dataclasses.replace(PRESETS["bert-tiny"], vocab_size=V, d_model=C, n_head=2, activation=activation)
    head = randomised(LanguageHead(config))
    assert head.transform is not None
    h = head.transform.dense(hidden)
    h = F.gelu(h) if used == "gelu" else F.relu(h)
    h = (h - h.mean(-1, keepdim=True)) / (h.var(-1, keepdim=True, correction=0) + config.norm_eps).sqrt()
    h = h * head.transform.norm.weight + head.transform.norm.bias
    assert head.bias is not None
    torch.testing.assert_close(head(hidden, table), h @ table.T + head.bias, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_an_encoder_guesses_each_token() -> None:
    model = make_encoder()
    ids = torch.randint(0, V, (2, 7))
    logits = model(ids)
    assert logits.shape == (2, 7, V)
    hidden = model.hidden(ids)
    torch.testing.assert_close(model.logits(hidden), logits)
    torch.testing.assert_close(model.logits(hidden[0, 3]), logits[0, 3])  # any shape, so that few can be asked for


@torch.no_grad()
def test_labels_of_tokens() -> None:
    model = make_encoder(head="token", n_label=5)
    ids = torch.randint(0, V, (2, 7))
    logits = model(ids)
    assert logits.shape == (2, 7, 5)
    torch.testing.assert_close(logits, F.linear(model.hidden(ids), model.head.weight, model.head.bias))


@torch.no_grad()
@pytest.mark.parametrize("has_pooler", [True, False])
def test_labels_of_texts_come_from_the_first_token(has_pooler: bool) -> None:
    model = make_encoder(head="sequence", n_label=3, pooler=has_pooler)
    ids = torch.randint(0, V, (2, 7))
    first = model.hidden(ids)[:, 0]
    if has_pooler:
        assert model.pooler is not None
        first = torch.tanh(first @ model.pooler.weight.T + model.pooler.bias)
    else:
        assert model.pooler is None
    logits = model(ids)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(logits, F.linear(first, model.head.weight, model.head.bias))


@torch.no_grad()
def test_a_headless_encoder_has_hidden_states_only() -> None:
    model = make_encoder(head="none")
    ids = torch.randint(0, V, (2, 7))
    assert model.hidden(ids).shape == (2, 7, C)
    assert not any(name.startswith("head") for name in model.state_dict())
    with pytest.raises(ValueError, match=r"no head.*model\.hidden"):
        model(ids)


def test_an_encoder_takes_no_cache() -> None:
    with pytest.raises(ValueError, match="takes no cache"):
        make_encoder()(torch.zeros(1, 2, dtype=torch.long), cache=object())


@torch.no_grad()
def test_segments_are_token_types_where_there_are_embeddings_for_them() -> None:
    model = make_encoder()
    ids = torch.randint(0, V, (1, 6))
    segments = torch.tensor([[0, 0, 0, 1, 1, 1]])
    torch.testing.assert_close(model(ids, segments=torch.zeros_like(ids)), model(ids))
    typed = model(ids, segments=segments)
    assert not torch.allclose(typed, model(ids))
    changed = ids.clone()
    changed[0, 5] = (ids[0, 5] + 1) % V
    assert not torch.allclose(model(changed, segments=segments)[0, 0], typed[0, 0])  # and they see each other


@torch.no_grad()
def test_segments_are_packed_texts_elsewhere() -> None:
    model = make_encoder(n_segment=0)
    ids = torch.randint(0, V, (1, 6))
    segments = torch.tensor([[0, 0, 0, 1, 1, 1]])
    packed = model(ids, segments=segments, positions=torch.tensor([0, 1, 2, 0, 1, 2]))
    torch.testing.assert_close(packed, torch.cat((model(ids[:, :3]), model(ids[:, 3:])), dim=1))
