"""The masks that are drawn are those that are trained with: mask_tables against masks."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from terrarium.models.architecture.mask_tables import MaskedText, block_edges, seen_across, seen_from, seen_pairs
from terrarium.models.architecture.masks import cross_attention_mask, distances, self_attention_mask
from terrarium.models.settings.model_config import ModelConfig


@st.composite
def texts(draw: st.DrawFn) -> MaskedText:
    length = draw(st.integers(2, 40))
    return MaskedText(
        length=length, n_padding=draw(st.integers(0, length)), second_start=draw(st.integers(0, length - 1))
    )


def real(text: MaskedText) -> torch.Tensor:
    return (torch.arange(text.length) < text.n_real)[None]


def trained_with(config: ModelConfig, text: MaskedText) -> np.ndarray:
    segments = (torch.arange(text.length) >= text.second_start).long()[None] if text.second_start else None
    square = distances(text.length, 0, torch.device("cpu"))
    allowed = self_attention_mask(config, square, real(text), segments)
    assert allowed is not None
    return allowed[0, 0].numpy()


@given(text=texts(), causal=st.booleans(), window=st.integers(0, 45), n_blocks=st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_every_pair_is_counted_as_in_training(text: MaskedText, causal: bool, window: int, n_blocks: int) -> None:
    config = ModelConfig(topology="decoder-only" if causal else "encoder-only", sliding_window=window)
    expected = trained_with(config, text)
    single = seen_pairs(config, text, block_edges(text.length, text.length))
    np.testing.assert_array_equal(single, expected)
    edges = block_edges(text.length, n_blocks)
    pooled = np.add.reduceat(np.add.reduceat(expected.astype(int), edges[:-1], axis=0), edges[:-1], axis=1)
    np.testing.assert_array_equal(seen_pairs(config, text, edges), pooled)
    for query in range(text.length):
        first, stop = seen_from(config, text, query)
        seen = set(range(first, stop)) | ({query} if query >= text.n_real else set())
        assert seen == set(np.flatnonzero(expected[query]).tolist())


def test_without_padding_the_plain_rule_is_the_models() -> None:
    config, text = ModelConfig(sliding_window=3), MaskedText(length=9)
    allowed = self_attention_mask(config, distances(9, 0, torch.device("cpu")), None, None)
    assert allowed is not None
    np.testing.assert_array_equal(seen_pairs(config, text, block_edges(9, 9)), allowed[0, 0].numpy())


@given(text=texts())
def test_a_decoder_sees_the_real_source(text: MaskedText) -> None:
    allowed = cross_attention_mask(real(text))
    assert allowed is not None
    first, stop = seen_across(text)
    assert np.flatnonzero(allowed[0, 0, 0].numpy()).tolist() == list(range(first, stop))


def test_a_context_of_millions_is_counted_exactly() -> None:
    config = ModelConfig(context_length=16_777_216)
    n = config.context_length
    pairs = seen_pairs(config, MaskedText(length=n), block_edges(n, 64))
    assert pairs.sum() == n * (n + 1) // 2
    windowed = dataclasses.replace(config, sliding_window=4096)
    assert seen_pairs(windowed, MaskedText(length=n), block_edges(n, 64)).sum() == 4096 * n - 4096 * 4095 // 2


def test_blocks_are_even_and_no_more_than_tokens() -> None:
    assert block_edges(5, 64).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.diff(block_edges(130, 64)).tolist().count(3) == 2
