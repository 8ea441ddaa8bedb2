"""Custom blocks in the three topologies: masks, cache, trace, and what they return."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch

from terrarium.models.architecture.block import recompute_blocks
from terrarium.models.architecture.cache import KVCache
from terrarium.models.architecture.trace import Patch, Trace
from terrarium.models.architecture.transformer import Decoder, EncoderDecoder, build_model
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import STARTS, put_block, start_source, with_block

SMALL = ModelConfig(vocab_size=31, context_length=24, n_layer=2, d_model=16, n_head=2, init_std=0.3)


def decoder(start: str, **changes: Any) -> Decoder:
    block = put_block(start_source(start))
    if block.slot == "attention" and not block.takes_positions:
        changes = {"position": "learned"} | changes
    torch.manual_seed(0)
    model = build_model(with_block(SMALL, block, **changes)).eval()
    assert isinstance(model, Decoder)
    return model


def close(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("change", [{}, {"sliding_window": 4}, {"conv_width": 3}])
@torch.no_grad()
def test_the_cache_changes_nothing(start: str, change: dict[str, Any], library: Library) -> None:
    model, ids = decoder(start, **change), torch.randint(0, 31, (2, 14))
    cache, whole = KVCache(2), model(ids)
    steps = [ids[:, :5], *(ids[:, i : i + 1] for i in range(5, 12)), ids[:, 12:]]
    close(torch.cat([model(step, cache=cache) for step in steps], dim=1), whole)


@pytest.mark.parametrize("position", ["rope", "alibi", "t5", "learned"])
@torch.no_grad()
def test_positions_reach_a_block_that_takes_them(position: str, library: Library) -> None:
    model, ids = decoder("temperature", position=position), torch.randint(0, 31, (1, 10))
    cache, whole = KVCache(2), model(ids)
    close(torch.cat([model(ids[:, i : i + 1], cache=cache) for i in range(10)], dim=1), whole)
    turned = ids[:, [1, 0, *range(2, 10)]]
    assert (model(turned)[:, -1] - whole[:, -1]).abs().max() > 1e-3  # it knows the order


@pytest.mark.parametrize("start", STARTS)
@torch.no_grad()
def test_padding_on_the_left_and_packed_texts_are_not_read(start: str, library: Library) -> None:
    model, ids = decoder(start), torch.randint(0, 31, (1, 8))
    alone = model(ids)
    padded = torch.cat((torch.full((1, 3), 7), ids), dim=1)
    mask, positions = torch.arange(11)[None] >= 3, (torch.arange(11) - 3).clamp(min=0)[None]
    close(model(padded, mask=mask, positions=positions)[:, 3:], alone)
    cache = KVCache(2)
    first = model(padded[:, :6], mask=mask[:, :6], positions=positions[:, :6], cache=cache)
    rest = model(padded[:, 6:], positions=positions[:, 6:], cache=cache)
    close(torch.cat((first, rest), dim=1)[:, 3:], alone)
    packed, segments = torch.cat((ids.flip(1), ids), dim=1), torch.arange(16)[None] // 8
    close(model(packed, segments=segments, positions=torch.arange(16)[None] % 8)[:, 8:], alone)


@pytest.mark.parametrize("start", STARTS)
@torch.no_grad()
def test_rows_are_selected_and_tokens_rolled_back(start: str, library: Library) -> None:
    model, ids = decoder(start), torch.randint(0, 31, (3, 9))
    cache = KVCache(2)
    cache.reserve_rollback(4)
    model(ids[:, :6], cache=cache)
    model(torch.randint(0, 31, (3, 3)), cache=cache)
    cache.rollback(3)
    cache.select(torch.tensor([2, 0]))
    close(model(ids[[2, 0], 6:], cache=cache), model(ids[[2, 0]])[:, 6:])


@torch.no_grad()
def test_a_prefix_of_the_cache_can_be_used_again(library: Library) -> None:
    model, ids = decoder("retention"), torch.randint(0, 31, (1, 9))
    cache = KVCache(2)
    model(ids[:, :7], cache=cache)
    assert cache.can_truncate
    close(model(ids[:, 4:], cache=cache.prefix(4)), model(ids)[:, 4:])


@pytest.mark.parametrize("start", STARTS)
@torch.no_grad()
def test_a_trace_reads_and_patches_it(start: str, library: Library) -> None:
    model, ids = decoder(start), torch.randint(0, 31, (1, 7))
    trace = Trace()
    whole = model(ids, trace=trace)
    slot = "feed_forward" if model.config.feed_forward_block else "attention"
    sites = [f"blocks.{layer}.{slot}" for layer in range(2)]
    assert all(trace.parts[site].shape == (1, 7, 16) for site in sites)
    close(whole, model(ids))
    nothing = Patch(torch.tensor(True), torch.tensor(0.0))
    patched = model(ids, trace=Trace(patches={sites[0]: nothing}))
    assert (patched - whole).abs().max() > 1e-3
    if start == "temperature":
        weights = trace.attention[sites[0]]
        close(weights.sum(-1), torch.ones(1, 2, 7))
        assert not weights.triu(1).any()
    else:
        assert sites[0] not in trace.attention


def test_heads_of_a_custom_attention_cannot_be_ablated(library: Library) -> None:
    model = decoder("retention")
    with pytest.raises(ValueError, match="no attention called"):
        model(torch.zeros(1, 3, dtype=torch.long), trace=Trace(ablated_heads={"blocks.0.attention": [0]}))


@pytest.mark.parametrize("start", STARTS)
@torch.no_grad()
def test_encoders_and_encoder_decoders(start: str, library: Library) -> None:
    config = decoder(start).config
    encoder = build_model(dataclasses.replace(config, topology="encoder-only", head="none")).eval()
    ids = torch.randint(0, 31, (1, 8))
    padded, mask = torch.cat((ids, torch.full((1, 3), 7)), dim=1), torch.arange(11)[None] < 8
    close(encoder.hidden(padded, mask=mask)[:, :8], encoder.hidden(ids))
    pair = build_model(dataclasses.replace(config, topology="encoder-decoder")).eval()
    assert isinstance(pair, EncoderDecoder)
    cache, whole = KVCache(2), pair(ids, ids)
    close(torch.cat([pair(ids, ids[:, i : i + 1], cache=cache) for i in range(8)], dim=1), whole)


@pytest.mark.parametrize("start", STARTS)
def test_recomputing_blocks_gives_the_same_gradients(start: str, library: Library) -> None:
    model, ids = decoder(start).train(), torch.randint(0, 31, (2, 8))
    gradients = []
    for recomputes in (False, True):
        recompute_blocks(model, recomputes)
        model.zero_grad()
        model(ids).logsumexp(-1).sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for before, after in zip(*gradients, strict=True):
        assert before is not None
        assert after is not None
        close(before, after)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("return x[:, :1]", r"returns the shape \[1, 1, 16\] for an input of \[1, 5, 16\]"),
        ("return None", "returns a NoneType: return a tensor"),
        ("return x @ x", "in line 11"),
    ],
)
def test_what_it_returns_is_checked(line: str, sentence: str, library: Library) -> None:
    text = f"""from torch import nn

BLOCK = {{"name": "wrong", "slot": "feed_forward", "title": "Wrong"}}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()

    def forward(self, x):
        {line}
"""
    design = with_block(SMALL, put_block(text))
    with pytest.raises(ValueError, match=sentence):  # what does not run at all cannot be measured, nor built
        build_model(design).eval()(torch.zeros(1, 5, dtype=torch.long))


@pytest.mark.parametrize("start", STARTS)
def test_starting_points_compute_in_bfloat16(start: str, library: Library) -> None:
    model = decoder(start).bfloat16()
    out = model(torch.randint(0, 31, (2, 5)))
    assert out.dtype == torch.bfloat16
    out.sum().backward()


@pytest.mark.parametrize("slot", ["attention", "feed_forward", "norm"])
@pytest.mark.parametrize("norm_place", ["pre", "post"])
def test_a_result_in_float32_does_not_leave_a_block(slot: str, norm_place: str, library: Library) -> None:
    text = f"""import torch
from torch import nn

BLOCK = {{"name": "full", "slot": "{slot}", "title": "Full"}}


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(config.width))

    def forward(self, x{", allowed" * (slot == "attention")}):
        return x.float() * self.gain.float()
"""
    model = build_model(with_block(SMALL, put_block(text), position="none", norm_place=norm_place)).bfloat16()
    assert model(torch.randint(0, 31, (2, 5))).dtype == torch.bfloat16
