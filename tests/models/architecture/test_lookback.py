"""A first layer that looks back: where its heads look, and what they copy."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import Decoder, build_model
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS

DESIGN = dataclasses.replace(
    PRESETS["llama-tiny"], n_layer=2, n_kv_head=0, d_head=128, qk_norm=True, lookback=4, tied_embeddings=True
)


@pytest.mark.parametrize("heads", [{}, {"n_head": 8, "d_head": 64}, {"lookback": 2, "rope_theta": 500_000.0}])
def test_each_head_looks_its_distance_back(heads: dict[str, object]) -> None:
    config = dataclasses.replace(DESIGN, **heads)  # type: ignore[arg-type]
    model = build_model(config)
    trace = Trace(wanted=frozenset({"attention"}))
    with torch.no_grad():
        model(torch.randint(0, config.vocab_size, (3, 80)), trace=trace)
    weights = trace.attention["blocks.0.attention"]  # (B, H, T, T)
    for head in range(config.n_head):
        back = 1 + head % config.lookback
        assert float(weights[:, head].diagonal(-back, dim1=-2, dim2=-1).min()) > 0.85


def test_the_norms_of_other_heads_are_as_usual() -> None:
    """Also where heads are as wide as the model."""
    model = build_model(DESIGN)
    for which in ("query_norm", "key_norm"):
        assert torch.equal(model.get_parameter(f"blocks.1.attention.{which}.weight"), torch.ones(DESIGN.d_head))


def test_it_adds_the_tokens_before_as_a_convolution_does() -> None:
    """Each with factors of its own for its channels, which are those of the output matrix."""
    torch.manual_seed(0)
    model = build_model(DESIGN)
    assert isinstance(model, Decoder)
    block = model.blocks[0]
    with torch.no_grad():
        model.embedding.weight[:, :-1].normal_(std=0.2)  # as it becomes in training
        x = model.embedding(torch.randint(0, DESIGN.vocab_size, (1, 12)))
        out = block(x, model.attention_context(torch.arange(12)[None]))[0] - x[0]
        seen = block.attention_norm(x)[0]  # (T, C)
    factors = block.attention.output.weight.unflatten(1, (DESIGN.n_head, -1)).diagonal(dim1=0, dim2=2)  # (H, C)
    expected = sum(factors[back - 1] * seen[8 - back] for back in range(1, 5))
    torch.testing.assert_close(out[8], expected, atol=0.03, rtol=0)
    assert out[8].abs().max() > 0.1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"n_kv_head": 2}, "do not share keys: use n_kv_head 4"),
        ({"lookback": 3}, "lookback 3 does not divide n_head 4: use 2 or 4, or 0"),
        ({"position": "learned"}, "need a decoder-only model with RoPE, RMSNorm before, and no experts"),
        ({"n_expert": 2}, "need a decoder-only model with RoPE, RMSNorm before, and no experts"),
        ({"norm": "layernorm"}, "need a decoder-only model with RoPE, RMSNorm before, and no experts"),
    ],
)
def test_designs_that_cannot_look_back(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        dataclasses.replace(DESIGN, **changes)  # type: ignore[arg-type]


def test_without_qk_norm_the_setting_has_no_effect() -> None:
    model = build_model(dataclasses.replace(DESIGN, qk_norm=False, n_kv_head=2))
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert ModelConfig().lookback == 0
