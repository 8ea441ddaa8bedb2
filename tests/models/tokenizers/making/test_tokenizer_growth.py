"""Growth equals what training a smaller vocabulary would have given, without training it."""

from __future__ import annotations

import pytest

from terrarium.models.tokenizers import TokenizerOptions, encode_text, train_tokenizer
from terrarium.models.tokenizers.making.growth import measure_growth, take_sample

TEXT = "The unbelievable cat sat on the mats, and believable cats didn't sit on 12 hats. Naïve café!\n" * 30
OTHER = "Unbelievable mats, the cats! é 日"


@pytest.mark.parametrize("options", [TokenizerOptions(), TokenizerOptions(special_tokens=("<|mine|>",))], ids=str)
def test_a_prefix_of_the_merges_is_the_smaller_tokenizer(options: TokenizerOptions) -> None:
    tokenizer = train_tokenizer([TEXT], "bpe", 340, options)
    points = list(measure_growth(tokenizer, OTHER))
    sizes = [size for size, _ in points]
    first = 261 + len(options.special_tokens)
    assert (sizes[0], sizes[-1]) == (first, tokenizer.get_vocab_size())
    assert sizes == sorted(set(sizes))
    for size, bytes_per_token in points:
        trained = train_tokenizer([TEXT], "bpe", size, options)
        assert trained.get_vocab_size() == size
        assert bytes_per_token == len(OTHER.encode()) / len(encode_text(trained, OTHER))


def test_growth_is_empty_for_other_kinds() -> None:
    assert list(measure_growth(train_tokenizer([TEXT], "bpe", 300), "")) == []
    for kind in ("byte", "char", "wordpiece", "unigram", "word"):
        assert list(measure_growth(train_tokenizer([TEXT], kind, 300), TEXT)) == []


def test_a_sample_is_whole_characters() -> None:
    assert take_sample(iter(["aé", "日b", "never"]), 6) == "aé日"
    assert take_sample(iter(["aé", "日b"]), 5) == "aé"
    assert take_sample(iter(["ab"]), 5) == "ab"
    assert take_sample(iter([])) == ""
