"""Texts are marked as each topology expects them, by our tokenizers and by foreign ones."""

from __future__ import annotations

import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from terrarium.models.inference.prompts import encode_for
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import MIN_VOCAB_SIZE, encode_text, train_tokenizer
from terrarium.models.tokenizers.special_tokens import add_missing_special_tokens

ENCODER = ModelConfig(topology="encoder-only")
PAIR = ModelConfig(topology="encoder-decoder")


@pytest.fixture
def foreign() -> Tokenizer:
    """As BERT's: [CLS] before and [SEP] behind."""
    words = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "sat", "[UNK]"]
    tokenizer = Tokenizer(WordLevel({word: id for id, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(words[:4])
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer


def test_own_tokenizers() -> None:
    tokenizer = train_tokenizer([], "byte", MIN_VOCAB_SIZE)
    plain = encode_text(tokenizer, "a cat")
    assert encode_for(ModelConfig(), tokenizer, "a cat") == plain
    assert encode_for(ModelConfig(), tokenizer, "<|user|>a cat") == [tokenizer.token_to_id("<|user|>"), *plain]
    assert encode_for(ModelConfig(), tokenizer, "") == []
    add_missing_special_tokens(tokenizer, "encoder-only")
    mask = tokenizer.token_to_id("<|mask|>")
    expected = [*encode_text(tokenizer, "a "), mask, *encode_text(tokenizer, "t")]
    assert encode_for(ENCODER, tokenizer, "a [MASK]t") == expected
    add_missing_special_tokens(tokenizer, "encoder-decoder")
    assert encode_for(PAIR, tokenizer, "a cat") == [*plain, tokenizer.token_to_id("<|end|>")]
    gap = tokenizer.token_to_id("<|extra_0|>")
    assert gap in encode_for(PAIR, tokenizer, "a <extra_id_0>")


def test_an_imported_tokenizer_adds_its_special_tokens(foreign: Tokenizer) -> None:
    assert encode_for(ENCODER, foreign, "a [MASK] sat") == [1, 4, 3, 6, 2]
    assert encode_for(PAIR, foreign, "a cat") == [1, 4, 5, 2]
    assert encode_for(ModelConfig(), foreign, "a cat") == [1, 4, 5]  # a decoder goes on, so nothing ends
    assert encode_for(ENCODER, foreign, "") == []
