"""BART's objective: what is damaged, and that the text can be found again in what is asked for."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.data.batch import Rows
from terrarium.models.data.objectives import MASK_RATIO, Denoising, make_objective
from terrarium.models.settings.model_config import ModelConfig, objective_of
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tokenizers import decode, encode_text
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens, end_id, mask_id, start_id

PAIR = ModelConfig(topology="encoder-decoder", context_length=64, n_layer=1, d_model=32, n_head=2)


@pytest.fixture
def tokenizer(byte_tokenizer: Tokenizer) -> Tokenizer:
    own = Tokenizer.from_str(byte_tokenizer.to_str())
    add_missing_special_tokens(own, "encoder-decoder", masks=True)
    return own


def rows_of(tokenizer: Tokenizer, *texts: str, weight: float = 1.0) -> Rows:
    encoded = [encode_text(tokenizer, text) for text in texts]
    longest = max(map(len, encoded))
    ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in encoded])
    real = torch.arange(longest) < torch.tensor([len(ids) for ids in encoded])[:, None]
    return Rows(ids, real * weight, real)


def test_which_design_practises_what() -> None:
    found = {name: objective_of(PRESETS[name]) for name in ("gpt2-tiny", "bert-tiny", "t5-tiny", "bart-tiny")}
    assert list(found.values()) == ["next-token", "masked-tokens", "span-corruption", "denoising"]
    assert objective_of(PRESETS["t5-tiny"], "denoising") == "denoising"
    assert objective_of(PRESETS["gpt2-tiny"], "denoising") == "next-token"


def test_the_target_is_the_text_and_the_source_a_damaged_one(tokenizer: Tokenizer) -> None:
    texts = ("One cat. Two dogs! Three?", "Short.")
    objective = make_objective(PAIR, tokenizer, "denoising")
    assert isinstance(objective, Denoising)
    batch = objective.batch(rows_of(tokenizer, *texts, weight=0.5), seed=3)
    end, start, mask = end_id(tokenizer), start_id(PAIR, tokenizer), mask_id(tokenizer)
    for row, text in enumerate(texts):
        ids = encode_text(tokenizer, text)
        assert batch.targets[row, : len(ids) + 1].tolist() == [*ids, end]
        assert batch.inputs[row, : len(ids) + 1].tolist() == [start, *ids]
        assert batch.weights[row].tolist() == [0.5] * len(ids) + [1.0] + [0.0] * (batch.weights.shape[1] - len(ids) - 1)
    assert batch.source is not None
    assert (batch.source == mask).sum() >= 2
    assert batch.source_mask is not None


def test_sentences_change_places_and_keep_their_words(tokenizer: Tokenizer) -> None:
    objective = Denoising(PAIR, tokenizer)
    ids = encode_text(tokenizer, "a cat. a dog. a bird.")
    orders = {decode(tokenizer, objective.permute(ids, random.Random(seed))) for seed in range(60)}
    assert len(orders) == 6
    assert all(sorted(order.split(".")) == ["", " a bird", " a dog", "a cat"] for order in orders)


def test_a_share_of_the_tokens_is_hidden_in_spans_of_any_length(tokenizer: Tokenizer) -> None:
    objective = Denoising(PAIR, tokenizer)
    mask = mask_id(tokenizer)
    ids = list(range(10, 60))
    kept = masks = longer = 0
    for seed in range(300):
        source = objective.infill(ids, random.Random(seed))
        left = [id for id in source if id != mask]
        assert left == sorted(left)  # nothing moves here
        assert len(source) <= len(ids)
        kept, masks = kept + len(left), masks + len(source) - len(left)
        longer += any(b - a > 4 for a, b in itertools.pairwise(left))
    assert 1 - kept / (300 * len(ids)) == pytest.approx(MASK_RATIO, abs=0.01)
    assert 4 < masks / 300 < 7.5  # 15 tokens in spans of 3 on average, and a few of none
    assert longer > 100


def test_special_tokens_are_neither_hidden_nor_passed_by_a_sentence(tokenizer: Tokenizer) -> None:
    objective = Denoising(PAIR, tokenizer)
    user, end = tokenizer.token_to_id("<|user|>"), end_id(tokenizer)
    assert end is not None
    turn = encode_text(tokenizer, "ab. cd. ")
    ids = [user, *turn, end, user, *encode_text(tokenizer, "xy. zw. "), end]
    for seed in range(50):
        damaged = objective.permute(ids, random.Random(seed))
        assert Counter(damaged[: len(turn) + 1]) == Counter(ids[: len(turn) + 1])
        source = objective.infill(damaged, random.Random(seed))
        assert [id for id in source if id in (user, end)] == [user, end, user, end]


def test_the_same_seed_damages_alike(tokenizer: Tokenizer) -> None:
    objective = make_objective(PAIR, tokenizer, "denoising")
    rows = rows_of(tokenizer, "One cat. Two dogs! Three birds?")
    first, again, other = (objective.batch(rows, seed).source for seed in (1, 1, 2))
    assert first is not None
    assert again is not None
    assert other is not None
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_tokenizer_without_a_mask_is_refused(byte_tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="no mask token"):
        make_objective(PAIR, byte_tokenizer, "denoising")
