"""Two texts side by side: aligned, and bitwise equal in a causal model before they differ."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.architecture.transformer import build_model
from terrarium.models.inspect.minimal_pair import align, read_pair
from terrarium.models.settings.model_config import ModelConfig

PAIR = ("it was too tired", "it was too wide")


def make(config: ModelConfig, **changes: object) -> torch.nn.Module:
    torch.manual_seed(1)
    changed = dataclasses.replace(config, conv_width=0 if changes else config.conv_width, **changes)
    model = build_model(dataclasses.replace(changed, zero_init_output=False))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.mark.parametrize(
    ("first", "second", "columns"),
    [
        ([1, 2, 3], [1, 9, 3], ((0, 0), (1, 1), (2, 2))),
        ([1, 2, 3], [1, 8, 9, 3], ((0, 0), (1, 1), (None, 2), (2, 3))),
        ([1, 2], [1], ((0, 0), (1, None))),
        ([1], [1], ((0, 0),)),
    ],
)
def test_equal_tokens_are_aligned(first: list[int], second: list[int], columns: object) -> None:
    assert align(first, second) == columns


def test_a_causal_model_is_bitwise_equal_until_the_texts_differ(
    tiny_config: ModelConfig, byte_tokenizer: Tokenizer
) -> None:
    reading = read_pair(make(tiny_config), byte_tokenizer, PAIR)
    n = len("it was too ")
    assert reading.is_causal
    assert len(reading.columns) == len(PAIR[0])
    assert np.all(reading.difference[:, :, :n, :n] == 0)
    assert np.nanmax(abs(reading.difference[:, :, n:])) > 0
    assert np.isnan(reading.difference).any()  # tired is longer than wide
    assert [difference is not None and difference.largest_logit == 0 for difference in reading.predictions[:n]] == [
        True
    ] * n
    last = reading.predictions[n]
    assert last is not None
    assert last.largest_logit > 0
    assert all(change.nats * (change.second - change.first) > 0 for change in last.changes)
    for side in (0, 1):
        torch.testing.assert_close(torch.tensor(reading.attention[side]).sum(3), torch.ones(2, 2, len(PAIR[side])))


@pytest.mark.parametrize("head", ["language", "none"])
def test_an_encoder_sees_the_difference_everywhere(
    tiny_config: ModelConfig, byte_tokenizer: Tokenizer, head: str
) -> None:
    model = make(tiny_config, topology="encoder-only", head=head).train()
    reading = read_pair(model, byte_tokenizer, PAIR)
    assert not reading.is_causal
    assert np.nanmax(abs(reading.difference[:, :, 0])) > 0
    assert len(reading.predictions) == (len(reading.columns) if head == "language" else 0)
    assert model.training


def test_an_encoder_decoder_compares_its_first_token(tiny_config: ModelConfig, byte_tokenizer: Tokenizer) -> None:
    model = make(tiny_config, topology="encoder-decoder")
    reading = read_pair(model, byte_tokenizer, PAIR)
    assert len(reading.predictions) == 1
    assert reading.attention[0].shape[2:] == (len(PAIR[0]), len(PAIR[0]))


@pytest.mark.parametrize(
    ("texts", "words"), [(("", "a"), "first sentence is empty"), (("a", "b" * 65), "second sentence has 65 tokens")]
)
def test_unsuitable_sentences_are_refused(
    tiny_config: ModelConfig, byte_tokenizer: Tokenizer, texts: tuple[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        read_pair(make(tiny_config), byte_tokenizer, texts)


def test_a_diverged_model_is_refused(tiny_config: ModelConfig, byte_tokenizer: Tokenizer) -> None:
    model = make(tiny_config)
    with torch.no_grad():
        model.embedding.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match="diverged"):
        read_pair(model, byte_tokenizer, PAIR)
