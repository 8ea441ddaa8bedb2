"""Masks against a plain loop over queries and keys that says who may see whom."""

from __future__ import annotations

import dataclasses

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from terrarium.models.architecture.masks import cross_attention_mask, distances, self_attention_mask, within_reach
from terrarium.models.settings.model_config import ModelConfig

DECODER = ModelConfig()
ENCODER = ModelConfig(topology="encoder-only")


@given(length=st.integers(1, 6), past=st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_distances_are_key_minus_query(length: int, past: int) -> None:
    distance = distances(length, past, torch.device("cpu"))
    assert distance.tolist() == [[s - (past + t) for s in range(past + length)] for t in range(length)]


def plain(config: ModelConfig, past: int, length: int, mask: Tensor | None, segments: Tensor | None) -> Tensor:
    """(B, T, S) bool, pair by pair."""
    batch = 1 if mask is None and segments is None else len(mask if mask is not None else segments)  # type: ignore[arg-type]
    allowed = torch.zeros(batch, length, past + length, dtype=torch.bool)
    for row in range(batch):
        for t in range(length):
            for s in range(past + length):
                query = past + t
                ok = s <= query or not config.is_causal
                ok = ok and (not config.sliding_window or abs(query - s) < config.sliding_window)
                if mask is not None:
                    ok = ok and (bool(mask[row, s]) or s == query)
                if segments is not None:
                    ok = ok and bool(segments[row, s] == segments[row, query])
                allowed[row, t, s] = ok
    return allowed


@given(data=st.data(), causal=st.booleans(), window=st.integers(0, 9), length=st.integers(1, 8))
@settings(max_examples=50, deadline=None)
def test_self_attention_sees_what_the_rules_say(data: st.DataObject, causal: bool, window: int, length: int) -> None:
    config = dataclasses.replace(DECODER if causal else ENCODER, sliding_window=window)
    packed = data.draw(st.booleans())
    past = data.draw(st.integers(0, 5)) if causal and not packed else 0
    bits = st.lists(st.booleans(), min_size=past + length, max_size=past + length)
    mask = torch.tensor(data.draw(st.lists(bits, min_size=2, max_size=2))) if data.draw(st.booleans()) else None
    segments = torch.randint(0, 3, (2, length)).sort(dim=1).values if packed else None
    distance = distances(length, past, torch.device("cpu"))
    allowed = self_attention_mask(config, distance, mask, segments)
    expected = plain(config, past, length, mask, segments)
    if allowed is None:  # the plain rule, which the fused attention knows by itself
        expected_rule = torch.ones(length, length, dtype=torch.bool)
        assert past == 0
        assert torch.equal(expected[0], expected_rule.tril() if causal else expected_rule)
    else:
        assert torch.equal(allowed.expand(len(expected), 1, -1, -1)[:, 0], expected)
        assert allowed.any(dim=-1).all()  # no row of a softmax is empty


def test_nothing_to_hide_needs_no_mask() -> None:
    square = distances(4, 0, torch.device("cpu"))
    assert self_attention_mask(DECODER, square, None, None) is None
    assert self_attention_mask(ENCODER, square, None, None) is None
    assert self_attention_mask(dataclasses.replace(DECODER, sliding_window=4), square, None, None) is None
    assert self_attention_mask(dataclasses.replace(DECODER, sliding_window=3), square, None, None) is not None


def test_a_window_reaches_both_ways_in_an_encoder_only() -> None:
    distance = torch.arange(-5, 6)
    assert within_reach(dataclasses.replace(DECODER, sliding_window=3), distance).nonzero().flatten().tolist() == [
        3,
        4,
        5,
    ]
    assert within_reach(dataclasses.replace(ENCODER, sliding_window=3), distance).nonzero().flatten().tolist() == [
        3,
        4,
        5,
        6,
        7,
    ]
    assert within_reach(ENCODER, distance).all()


def test_the_source_is_seen_where_it_is_real() -> None:
    assert cross_attention_mask(None) is None
    mask = torch.tensor([[True, True, False], [False, False, False]])
    allowed = cross_attention_mask(mask)
    assert allowed is not None
    assert allowed.shape == (2, 1, 1, 3)
    assert allowed[0, 0, 0].tolist() == [True, True, False]
    assert allowed[1].all()  # a source without a token would leave the softmax empty
