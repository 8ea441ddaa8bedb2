"""What holds for every encoder-decoder, whatever fills its slots."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.trace import Trace
from terrarium.models.architecture.transformer import EncoderDecoder
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.optim import AdamW

V, S, T = 61, 9, 7
PLAIN = ModelConfig(topology="encoder-decoder")
CONFIGS = {
    **{name: config for name, config in PRESETS.items() if name in ("transformer-tiny", "t5-tiny", "bart-tiny")},
    "rope, grouped": dataclasses.replace(PLAIN, position="rope", n_kv_head=2, qk_norm=True, n_encoder_layer=1),
    "alibi, experts": dataclasses.replace(PLAIN, position="alibi", n_expert=3, activation="swiglu", bias="none"),
    "learned, convolution": dataclasses.replace(PLAIN, conv_width=3, n_encoder_head=2, d_encoder_ff=20, dropout=0.1),
    "windows": dataclasses.replace(PLAIN, position="t5", sliding_window=6, tied_embeddings=False),
}
BY_DISTANCE = ("t5-tiny", "rope, grouped", "alibi, experts", "windows")
"""Those that do not care where a text begins."""


def make_model(name: str, **changes: object) -> EncoderDecoder:
    """Small, in float64, with weights large enough for differences to show."""
    torch.manual_seed(0)
    small = {"vocab_size": V, "context_length": 32, "n_layer": 2, "d_model": 32, "n_head": 4, "init_std": 0.3}
    return EncoderDecoder(dataclasses.replace(CONFIGS[name], **(small | changes))).double().eval()


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> EncoderDecoder:
    return make_model(request.param)


@pytest.fixture(scope="module")
def source() -> Tensor:
    return torch.randint(0, V, (3, S), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def target() -> Tensor:
    return torch.randint(0, V, (3, T), generator=torch.Generator().manual_seed(2))


def changed(ids: Tensor, t: int) -> Tensor:
    other = ids.clone()
    other[:, t] = (ids[:, t] + 1) % V
    return other


def differs(after: Tensor, before: Tensor) -> Tensor:
    """(B, T) bool: where logits are others."""
    return ~torch.isclose(after, before).all(dim=-1)


@torch.no_grad()
def test_no_token_of_the_target_sees_a_later_one(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    logits = model(source, target)
    assert logits.shape == (3, T, V)
    for t in (0, 3, T - 1):
        after = model(source, changed(target, t))
        # Not bit for bit: other tokens may go to other experts, and a product of another height rounds otherwise.
        torch.testing.assert_close(after[:, :t], logits[:, :t], rtol=0, atol=1e-10)
        assert differs(after[:, t:], logits[:, t:]).all() or model.config.sliding_window
        assert differs(after[:, t], logits[:, t]).all()


@torch.no_grad()
def test_the_target_sees_all_of_the_source(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    logits = model(source, target)
    for t in (0, 4, S - 1):
        assert differs(model(changed(source, t), target), logits).all()


@torch.no_grad()
def test_the_source_is_read_both_ways_and_without_the_target(model: EncoderDecoder, source: Tensor) -> None:
    memory = model.encode(source)
    assert memory.shape == (3, S, 32)
    for t in (0, S - 1):
        seen = differs(model.encode(changed(source, t)), memory)
        assert seen.all() or model.config.sliding_window
        assert seen[:, [t - 1, (t + 1) % S]].all() or model.config.sliding_window


@torch.no_grad()
def test_reading_and_writing_are_two_steps(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    hidden = model.decode(target, model.encode(source))
    torch.testing.assert_close(hidden, model.hidden(source, target))
    torch.testing.assert_close(model.logits(hidden), model(source, target))


@torch.no_grad()
@pytest.mark.parametrize("chunks", [[1] * T, [3, 1, 3], [T], [2, 5]])
def test_the_cache_equals_a_full_forward(
    model: EncoderDecoder, source: Tensor, target: Tensor, chunks: list[int]
) -> None:
    """And the source is read with the first tokens only: what is given for it later is not looked at."""
    mask = torch.arange(S) < torch.tensor([[S], [4], [1]])
    cache, parts = KVCache(model.config.n_layer), []
    for i, part in enumerate(target.split(chunks, dim=1)):
        trace = Trace(wanted=frozenset({"residual"}))
        first = i == 0
        parts.append(
            model(
                source if first else torch.zeros_like(source),
                part,
                source_mask=mask if first else None,
                cache=cache,
                trace=trace,
            )
        )
        assert any(site.startswith("encoder.") for site in trace.residual) is first
    torch.testing.assert_close(torch.cat(parts, dim=1), model(source, target, source_mask=mask))
    assert cache.length == T


@torch.no_grad()
def test_a_cache_gives_up_rows_and_repeats_them(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    mask = torch.arange(S) < torch.tensor([[S], [4], [6]])
    cache, rows = KVCache(model.config.n_layer), torch.tensor([2, 1, 1, 0])
    model(source, target[:, :4], source_mask=mask, cache=cache)
    cache.select(rows)
    after = model(source[rows], target[rows, 4:], cache=cache)
    whole = model(source[rows], target[rows], source_mask=mask[rows])
    torch.testing.assert_close(after, whole[:, 4:])


@torch.no_grad()
def test_padding_on_the_right_changes_nothing(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    source_lengths, target_lengths = [S, 4, 1], [3, T, 1]
    source_mask = torch.arange(S) < torch.tensor(source_lengths)[:, None]
    target_mask = torch.arange(T) < torch.tensor(target_lengths)[:, None]
    padded = model(
        torch.where(source_mask, source, 0),
        torch.where(target_mask, target, 0),
        source_mask=source_mask,
        target_mask=target_mask,
    )
    assert torch.isfinite(padded).all()
    for row, (s, t) in enumerate(zip(source_lengths, target_lengths, strict=True)):
        alone = model(source[row : row + 1, :s], target[row : row + 1, :t])
        torch.testing.assert_close(padded[row, :t], alone[0])


@torch.no_grad()
@pytest.mark.parametrize("name", BY_DISTANCE)
def test_padding_on_the_left_changes_nothing(name: str, source: Tensor, target: Tensor) -> None:
    model = make_model(name)
    source_mask = torch.arange(S) >= torch.tensor([[0], [4], [S - 1]])
    target_mask = torch.arange(T) >= torch.tensor([[2], [0], [T - 1]])
    padded = model(
        torch.where(source_mask, source, 0),
        torch.where(target_mask, target, 0),
        source_mask=source_mask,
        target_mask=target_mask,
    )
    for row in range(3):
        alone = model(source[row][source_mask[row]][None], target[row][target_mask[row]][None])
        torch.testing.assert_close(padded[row][target_mask[row]], alone[0])


@torch.no_grad()
def test_a_source_of_padding_alone_gives_numbers(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    assert torch.isfinite(model(source, target, source_mask=torch.zeros(3, S, dtype=torch.bool))).all()


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_an_untrained_model_knows_nothing(name: str) -> None:
    torch.manual_seed(0)
    size = {"vocab_size": 500, "n_layer": 2, "d_model": 64, "n_head": 4, "context_length": 64, "init_std": 0.02}
    model = EncoderDecoder(dataclasses.replace(CONFIGS[name], **size)).eval()
    source, target = torch.randint(0, 500, (8, 20)), torch.randint(0, 500, (8, 64))
    loss = F.cross_entropy(model(source, target[:, :-1]).flatten(0, 1), target[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(500), rel=0.04)


@pytest.mark.parametrize("name", CONFIGS)
def test_copying_a_text_is_learned_by_heart(name: str, source: Tensor) -> None:
    model = make_model(name, init_std=0.02, dropout=0.0, n_layer=1).float().train()
    start = torch.zeros(3, 1, dtype=torch.long)
    target = torch.cat((start, source[:, :-1]), dim=1)
    optimizer = AdamW(model.parameters(), lr=2e-2, weight_decay=0.0, fused=True)
    for _ in range(300):
        loss = F.cross_entropy(model(source, target).flatten(0, 1), source.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.2:
            break
    assert loss.item() < 0.2


def test_every_weight_gets_a_gradient(model: EncoderDecoder, source: Tensor, target: Tensor) -> None:
    F.cross_entropy(model(source, target).flatten(0, 1), target.flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    model.zero_grad()


def test_what_does_not_fit_the_context_is_refused(model: EncoderDecoder) -> None:
    short, long = torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 33, dtype=torch.long)
    for source, target in ((short, long), (long, short)):
        with pytest.raises(ValueError, match="33 tokens do not fit the context of 32"):
            model(source, target)


def test_what_is_left_unscaled_begins_smaller_and_what_is_scaled_down_larger() -> None:
    """So that scores and logits begin as spread out as in other designs; T5's own start, where std is d_model^-0.5."""
    std = 128**-0.5
    model = EncoderDecoder(dataclasses.replace(PRESETS["t5-tiny"], init_std=std))
    spread = {name: parameter.std().item() for name, parameter in model.named_parameters() if parameter.dim() == 2}
    assert spread["embedding.weight"] == pytest.approx(1.0, rel=0.05)
    assert spread["encoder.blocks.0.attention.query.weight"] == pytest.approx((128 * 32) ** -0.5, rel=0.05)
    assert spread["decoder.blocks.1.cross_attention.key.weight"] == pytest.approx(std, rel=0.05)
    untied = EncoderDecoder(dataclasses.replace(PRESETS["t5-tiny"], tied_embeddings=False, init_std=std))
    assert untied.embedding.weight.std().item() == pytest.approx(std, rel=0.05)
    assert untied.head.weight is not None
    assert untied.head.weight.std().item() == pytest.approx(1.0, rel=0.05)


def test_what_is_no_input_is_refused(source: Tensor, target: Tensor) -> None:
    model = make_model("t5-tiny")
    with pytest.raises(ValueError, match="A mask must be bool"):
        model(source, target, source_mask=torch.ones_like(source))
    with pytest.raises(ValueError, match="A mask must be bool"):
        model(source, target, target_mask=torch.ones_like(target))
    with pytest.raises(ValueError, match=rf"A mask must be \(3, {S}\)"):
        model(source, target, source_mask=torch.ones(3, S - 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="3 sources do not go with 2 targets"):
        model(source, target[:2])
    with pytest.raises(ValueError, match="Token ids must lie between 0 and"):
        model(source + V, target)
