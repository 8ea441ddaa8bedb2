"""Tokenizers that go by scores in the metadata of GGUF files: what is written is read back; llama.cpp in tests/real."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tokenizers import Tokenizer

from terrarium.models.settings.tokenizer_options import TokenizerOptions
from terrarium.models.tiny_world.stories import stories
from terrarium.models.tokenizers import decode, encode_text, train_tokenizer
from terrarium.models.tokenizers.foreign.gguf_fields import tokenizer_fields
from terrarium.models.tokenizers.foreign.gguf_tokenizer import make_tokenizer
from terrarium.models.tokenizers.foreign.sentencepiece import sentencepiece_tokenizer
from terrarium.models.tokenizers.foreign.sentencepiece_file import parse_sentencepiece
from tests.models.tokenizers.foreign.test_sentencepiece import train

TEXTS = [*stories("English", 150), *stories("German", 150)]


def llama_like() -> Tokenizer:
    """SentencePiece's BPE as of Llama 2: with bytes, without a table of replacements."""
    data = train(
        model_type="bpe",
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        byte_fallback=True,
        vocab_size=600,
    )
    return sentencepiece_tokenizer(parse_sentencepiece(data, "it.model"))[0]


def unigram(**options: Any) -> Tokenizer:
    return train_tokenizer(TEXTS, "unigram", 700, TokenizerOptions(**options))


def read_back(tokenizer: Tokenizer) -> tuple[dict[str, Any], list[str], Tokenizer]:
    fields, notes = tokenizer_fields(tokenizer, tokenizer.get_vocab_size() + 3)
    again = make_tokenizer(dict(fields), "it.gguf")
    assert again is not None
    return dict(fields), notes, again


def test_bpe_by_scores_comes_back() -> None:
    made = llama_like()
    fields, notes, again = read_back(made)
    assert fields["tokenizer.ggml.model"] == "llama"
    assert fields["tokenizer.ggml.add_space_prefix"] is True
    assert not notes
    scores = fields["tokenizer.ggml.scores"]
    assert len(scores) == len(fields["tokenizer.ggml.tokens"]) == made.get_vocab_size() + 3
    assert len({score for score in scores if score < 0}) > 100
    for text in [*TEXTS, "  two  spaces ", "naïve 東京 🎉\n\ta"]:
        assert encode_text(again, text) == encode_text(made, text)
        assert decode(again, encode_text(again, text)) == decode(made, encode_text(made, text))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, ["spells no characters in bytes", "does not split a text into words"]),
        ({"byte_fallback": False}, ["does not split a text into words"]),
        ({"byte_fallback": False, "pre_tokenizer": "none"}, []),
        ({"byte_fallback": False, "pre_tokenizer": "whitespace"}, ["line breaks and tabs"]),
    ],
)
def test_unigram_comes_back_and_says_what_differs(options: dict[str, Any], said: list[str]) -> None:
    made = unigram(**options)
    fields, notes, again = read_back(made)
    assert fields["tokenizer.ggml.model"] == "t5"
    assert [part in note for part, note in zip(said, notes, strict=True)] == [True] * len(said)
    for text in TEXTS:
        assert encode_text(again, text) == encode_text(made, text)


def changed(tokenizer: Tokenizer, **parts: Any) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(json.loads(tokenizer.to_str()) | parts))


@pytest.mark.parametrize("normalizer", ["nfc", "nfkc", "lowercase"])
def test_a_normaliser_that_is_no_table_is_refused(normalizer: str) -> None:
    with pytest.raises(ValueError, match=r"cannot hold this tokenizer \(Unigram\) with its steps"):
        tokenizer_fields(unigram(normalizer=normalizer), 1000)


def test_merges_that_no_scores_make_are_refused() -> None:
    made = llama_like()
    described = json.loads(made.to_str())
    described["model"]["merges"].reverse()
    with pytest.raises(ValueError, match=r"cannot hold this tokenizer \(BPE\) with its steps"):
        tokenizer_fields(Tokenizer.from_str(json.dumps(described)), 1000)
    with pytest.raises(ValueError, match="with its steps"):
        tokenizer_fields(changed(made, normalizer={"type": "NFC"}), 1000)
