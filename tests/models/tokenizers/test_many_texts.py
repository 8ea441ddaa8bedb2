"""Many texts at once have the ids that each has alone."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, pre_tokenizers

from terrarium.models.settings.tokenizer_options import TokenizerOptions
from terrarium.models.tokenizers import encode_text, train_tokenizer
from terrarium.models.tokenizers.codec import can_be_cut_at_spaces
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder

LEARNED = ["The café's 12 cats sleep, don't they? It's 1984: a big barn.\n\n\tÜber 3 Züge  fahren nach 中国."] * 3
KINDS = {
    "bpe": ("bpe", TokenizerOptions()),
    "gpt4": ("bpe", TokenizerOptions(pre_tokenizer="gpt4", normalizer="lowercase")),
    "digits": ("bpe", TokenizerOptions(pre_tokenizer="digits", normalizer="nfc")),
    "one word": ("bpe", TokenizerOptions(pre_tokenizer="none")),
    "wordpiece": ("wordpiece", TokenizerOptions(normalizer="bert")),
    "unigram": ("unigram", TokenizerOptions()),
    "word": ("word", TokenizerOptions()),
    "char": ("char", TokenizerOptions()),
    "byte": ("byte", TokenizerOptions()),
}
WORDS = (
    "a",
    "cats",
    " barn",
    "  big",
    "\n",
    " \n",
    "\u00a0",
    "\u3000",
    "don't",
    "1984",
    "é",
    "中国",
    "<|end|>",
    " x ",
    "?!",
)


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, Tokenizer]:
    return {name: train_tokenizer(LEARNED, kind, 400, options) for name, (kind, options) in KINDS.items()}


@pytest.mark.parametrize("name", KINDS)
@settings(deadline=None, max_examples=12)
@given(texts=st.lists(st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=12).map(" ".join), max_size=4))
def test_the_ids_are_those_of_each_text_alone(tokenizers: dict[str, Tokenizer], name: str, texts: list[str]) -> None:
    encoder = ManyTextsEncoder(tokenizers[name])
    for _ in range(2):  # the second time, all words are known
        ids, starts = encoder.encode(texts, end=1)
        found = [ids[first:last].tolist() for first, last in pairwise(starts.tolist())]
        assert found == [[*encode_text(tokenizers[name], text), 1] for text in texts]
        assert ids.dtype == np.uint16


def test_whether_texts_have_words_depends_on_the_tokenizer(tokenizers: dict[str, Tokenizer]) -> None:
    assert all(can_be_cut_at_spaces(tokenizer) == (name != "one word") for name, tokenizer in tokenizers.items())
    sentences = Tokenizer.from_str(tokenizers["bpe"].to_str())
    sentences.pre_tokenizer = pre_tokenizers.Split(Regex(r"[^.]+|\."), "isolated")
    assert not can_be_cut_at_spaces(sentences)
    named = Tokenizer.from_str(tokenizers["bpe"].to_str())
    named.add_tokens([AddedToken("New York", normalized=False)])
    assert not can_be_cut_at_spaces(named)
    assert ManyTextsEncoder(named).encode(["in New York"])[0].tolist() == encode_text(named, "in New York")
