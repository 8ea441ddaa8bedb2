"""What holds for every decoder, whatever fills its slots."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.transformer import Decoder
from terrarium.models.recipes.quickstart import TEXT_MODEL, TINY_WORLD_MODEL
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.training.optim import AdamW

V, T = 61, 12
CONFIGS = {
    **{name: config for name, config in PRESETS.items() if config.topology == "decoder-only" and "tiny" in name},
    "quick start": TINY_WORLD_MODEL,
    "text": TEXT_MODEL,
    "alibi, wide heads": ModelConfig(position="alibi", d_head=12, activation="geglu", bias="attention"),
    "t5 bias, window": ModelConfig(position="t5", n_bucket=8, max_distance=10, sliding_window=8, norm_place="post"),
    "waves, experts": ModelConfig(position="sinusoidal", n_expert=3, n_expert_used=2, embedding_norm=True),
    "yarn": ModelConfig(position="rope", rope_scaling="yarn", rope_factor=4.0, rope_original_context=8),
    "multi-query": dataclasses.replace(PRESETS["llama-tiny"], n_kv_head=1, qk_norm=True),
    "n-grams": ModelConfig(position="rope", max_ngram=3, ngram_rows=40, d_ngram=6, scaled_embeddings=True),
    "learned + convolution": dataclasses.replace(PRESETS["gpt2-tiny"], conv_width=3, dropout=0.2),
}


def make_model(name: str, **changes: object) -> Decoder:
    """A small model with that filling of slots; in float64 and with large weights, so that differences show."""
    torch.manual_seed(0)
    small = {"vocab_size": V, "context_length": 32, "n_layer": 2, "d_model": 32, "n_head": 4, "init_std": 0.3}
    kv = min(CONFIGS[name].n_kv_head, 2)
    config = dataclasses.replace(CONFIGS[name], n_kv_head=kv, zero_init_output=False, **(small | changes))
    return Decoder(config).double().eval()


@pytest.fixture(params=CONFIGS, scope="module")
def model(request: pytest.FixtureRequest) -> Decoder:
    return make_model(request.param)


@pytest.fixture(scope="module")
def ids() -> Tensor:
    return torch.randint(0, V, (3, T), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def test_no_token_sees_a_later_one(model: Decoder, ids: Tensor) -> None:
    logits = model(ids)
    assert logits.shape == (3, T, V)
    for t in (0, 1, 5, T - 1):
        changed = ids.clone()
        changed[:, t] = (ids[:, t] + 1) % V
        after = model(changed)
        # Not bit for bit: other tokens may go to other experts, and a product of another height rounds otherwise.
        torch.testing.assert_close(after[:, :t], logits[:, :t], rtol=0, atol=1e-10)
        assert not torch.isclose(after[:, t:], logits[:, t:]).all(dim=-1).any()  # and every later one sees it


@torch.no_grad()
@pytest.mark.parametrize("chunks", [[1] * T, [5, 1, 1, 5], [T], [2, 10]])
def test_the_cache_equals_a_full_forward(model: Decoder, ids: Tensor, chunks: list[int]) -> None:
    cache = KVCache(model.config.n_layer)
    parts = [model(part, cache=cache) for part in ids.split(chunks, dim=1)]
    torch.testing.assert_close(torch.cat(parts, dim=1), model(ids))
    assert cache.length == T


@torch.no_grad()
def test_segments_equal_separate_sequences(model: Decoder, ids: Tensor) -> None:
    lengths = [4, 1, 7]
    segments = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths)).expand(3, -1)
    positions = torch.cat([torch.arange(length) for length in lengths])
    packed = model(ids, segments=segments, positions=positions)
    apart = [model(part) for part in ids.split(lengths, dim=1)]
    torch.testing.assert_close(packed, torch.cat(apart, dim=1))


@torch.no_grad()
def test_padding_on_the_right_changes_nothing(model: Decoder, ids: Tensor) -> None:
    mask = torch.arange(T) < torch.tensor([[T], [5], [1]])
    padded = model(torch.where(mask, ids, 0), mask=mask)
    torch.testing.assert_close(padded[mask], model(ids)[mask])


@torch.no_grad()
def test_padding_on_the_left_changes_nothing(model: Decoder, ids: Tensor) -> None:
    """With its own positions, and as a segment of its own, which keeps it out of short convolutions."""
    lengths = [T, 5, 1]
    mask = torch.arange(T) >= T - torch.tensor(lengths)[:, None]
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
    padded = model(torch.where(mask, ids, 0), mask=mask, positions=positions, segments=mask.long())
    assert torch.isfinite(padded).all()
    for row, length in enumerate(lengths):
        torch.testing.assert_close(padded[row, T - length :], model(ids[row : row + 1, T - length :])[0])


@torch.no_grad()
@pytest.mark.parametrize("name", ["terrarium-tiny", "alibi, wide heads", "t5 bias, window", "yarn"])
def test_padding_on_the_left_needs_no_positions_where_distances_count(name: str, ids: Tensor) -> None:
    """Also into a cache; and short convolutions do not see the padding."""
    model, mask = make_model(name), torch.arange(T) >= torch.tensor([[0], [5], [T - 1]])
    for cache in (None, KVCache(2)):
        padded = model(torch.where(mask, ids, 0), mask=mask, cache=cache)
        for row in range(3):
            torch.testing.assert_close(padded[row][mask[row]], model(ids[row][mask[row]][None])[0])


@torch.no_grad()
def test_a_window_reaches_so_far_in_each_layer(ids: Tensor) -> None:
    model = make_model("llama-tiny", sliding_window=3, n_layer=2)
    logits, changed = model(ids), ids.clone()
    changed[:, 2] = (ids[:, 2] + 1) % V
    seen = ~torch.isclose(model(changed), logits).all(dim=-1)
    assert seen.all(dim=0).nonzero().flatten().tolist() == [2, 3, 4, 5, 6]  # two more tokens in each of two layers
    assert torch.equal(seen.any(dim=0), seen.all(dim=0))
    cache = KVCache(2)
    torch.testing.assert_close(torch.cat([model(id, cache=cache) for id in ids.split(1, dim=1)], dim=1), logits)
    wide = make_model("llama-tiny", sliding_window=T, n_layer=2)
    torch.testing.assert_close(wide(ids), make_model("llama-tiny", n_layer=2)(ids))


@torch.no_grad()
def test_positions_matter(model: Decoder, ids: Tensor) -> None:
    twice = ids[:, :1].expand(-1, 4)
    logits = model(torch.cat((ids[:, :3], twice), dim=1))
    assert not torch.allclose(logits[:, -1], logits[:, -2])
    spread = model(ids, positions=torch.arange(0, 2 * T, 2))
    counts_in_the_row = model.config.position in ("alibi", "t5")  # distances, which are not told by positions
    assert torch.allclose(spread[:, -1], model(ids)[:, -1]) is counts_in_the_row
    torch.testing.assert_close(model(ids, positions=torch.arange(T).expand(3, -1)), model(ids))


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_an_untrained_model_knows_nothing(name: str) -> None:
    torch.manual_seed(0)
    config = dataclasses.replace(CONFIGS[name], vocab_size=500, n_layer=2, d_model=64, n_head=4, context_length=64)
    model = Decoder(config).eval()
    ids = torch.randint(0, 500, (8, 64))
    loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
    assert loss.item() == pytest.approx(math.log(500), rel=0.03)


@pytest.mark.parametrize("name", CONFIGS)
def test_one_batch_is_learned_by_heart(name: str) -> None:
    model = make_model(name, init_std=0.02, dropout=0.0, n_layer=1).float().train()
    ids = torch.randint(0, V, (4, T + 1), generator=torch.Generator().manual_seed(2))
    optimizer = AdamW(model.parameters(), lr=1e-2, weight_decay=0.0, fused=True)
    for _ in range(100):
        loss = F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if loss.item() < 0.1:
            break
    assert loss.item() < 0.1
    assert (model(ids[:, :-1]).argmax(dim=-1) == ids[:, 1:]).float().mean().item() > 0.97


def test_every_weight_gets_a_gradient(model: Decoder, ids: Tensor) -> None:
    F.cross_entropy(model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
    model.zero_grad()


def test_dropout_acts_in_training_only(ids: Tensor) -> None:
    model = make_model("learned + convolution")
    assert torch.equal(model(ids), model(ids))
    assert not torch.equal(model.train()(ids), model(ids))


def test_one_seed_gives_one_model(tiny_config: ModelConfig) -> None:
    def weights(seed: int) -> list[Tensor]:
        torch.manual_seed(seed)
        return list(Decoder(tiny_config).state_dict().values())

    assert all(map(torch.equal, weights(1), weights(1)))
    assert not all(map(torch.equal, weights(1), weights(2)))


def test_tied_tables_are_one(tiny_config: ModelConfig) -> None:
    tied = Decoder(tiny_config)
    untied = Decoder(dataclasses.replace(tiny_config, tied_embeddings=False))
    assert untied.n_parameters - tied.n_parameters == tiny_config.vocab_size * tiny_config.d_model
    assert tied.head.weight is None


def test_what_does_not_fit_the_context_is_refused(model: Decoder) -> None:
    with pytest.raises(ValueError, match="33 tokens do not fit the context of 32"):
        model(torch.zeros(1, 33, dtype=torch.long))
    cache = KVCache(model.config.n_layer)
    model(torch.zeros(1, 30, dtype=torch.long), cache=cache)
    with pytest.raises(ValueError, match="33 tokens do not fit"):
        model(torch.zeros(1, 3, dtype=torch.long), cache=cache)


def test_what_is_no_input_is_refused(ids: Tensor) -> None:
    model = make_model("gpt2-tiny")
    with pytest.raises(ValueError, match=r"A mask must be bool, True = a real token, not int64: pass mask.bool\(\)"):
        model(ids, mask=torch.ones_like(ids))
    with pytest.raises(ValueError, match=r"A mask must be \(\d+, 12\)"):
        model(ids, mask=torch.ones(len(ids), T - 1, dtype=torch.bool))
    with pytest.raises(ValueError, match="Token ids must lie between 0 and 60"):
        model(ids + V)
    with pytest.raises(ValueError, match=r"Token ids must be \(batch, tokens\), not \(12,\)"):
        model(ids[0])
    with pytest.raises(ValueError, match="Positions must lie between 0 and 31"):
        model(ids, positions=torch.arange(T) + 32)


@torch.no_grad()
@pytest.mark.parametrize("document", [0, 1])
def test_padding_stays_out_of_packed_documents(ids: Tensor, document: int) -> None:
    model = make_model("quick start", position="rope", conv_width=4)
    padding = torch.zeros(len(ids), 2, dtype=torch.long)
    mask = torch.cat((padding, torch.ones_like(ids)), dim=1).bool()
    padded = model(torch.cat((padding, ids), dim=1), mask=mask, segments=torch.full(mask.shape, document))
    assert torch.allclose(padded[:, 2:], model(ids))
