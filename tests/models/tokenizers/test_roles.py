"""Special tokens that objectives and generation need, in native and imported tokenizers."""

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import SPECIAL_TOKENS, decode, encode_text, train_tokenizer
from terrarium.models.tokenizers.special_tokens import (
    MASK,
    SENTINELS,
    add_missing_special_tokens,
    encode_with_masks,
    encode_with_sentinels,
    end_id,
    mask_id,
    pad_id,
    sentinel_ids,
    start_id,
)

TEXT = "the cat sat on the mat, and a dog sat on a cat. " * 4
PAIR = ModelConfig(topology="encoder-decoder")


def foreign(*specials: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(specials))
    return tokenizer


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_special_tokens_are_appended_only_once(kind: str) -> None:
    tokenizer = train_tokenizer([TEXT], kind, 300)
    size, plain = tokenizer.get_vocab_size(), encode_text(tokenizer, TEXT)
    assert (pad_id(tokenizer), end_id(tokenizer)) == (0, 1)
    assert mask_id(tokenizer) is None
    assert sentinel_ids(tokenizer) == ()
    for _ in range(2):
        add_missing_special_tokens(tokenizer, "decoder-only")
        add_missing_special_tokens(tokenizer, "encoder-only")
        add_missing_special_tokens(tokenizer, "encoder-decoder")
    assert mask_id(tokenizer) == size
    assert sentinel_ids(tokenizer) == tuple(range(size + 1, size + 33))
    assert tokenizer.get_vocab_size() == size + 1 + len(SENTINELS)
    assert encode_text(tokenizer, TEXT) == plain
    assert Tokenizer.from_str(tokenizer.to_str()).get_vocab() == tokenizer.get_vocab()


def test_existing_special_tokens_are_recognised_and_not_added() -> None:
    bert = foreign("[PAD]", "[CLS]", "[SEP]", "[MASK]")
    t5 = foreign("<pad>", "</s>", *(f"<extra_id_{i}>" for i in range(100)))
    sizes = bert.get_vocab_size(), t5.get_vocab_size()
    add_missing_special_tokens(bert, "encoder-only")
    add_missing_special_tokens(t5, "encoder-decoder")
    assert (bert.get_vocab_size(), t5.get_vocab_size()) == sizes
    assert mask_id(bert) == bert.token_to_id("[MASK]")
    assert end_id(bert) == bert.token_to_id("[SEP]")
    assert pad_id(bert) == bert.token_to_id("[PAD]")
    assert len(sentinel_ids(t5)) == 100
    assert end_id(t5) == t5.token_to_id("</s>")
    assert mask_id(foreign("<mask>")) == 2


def test_start_and_end_follow_the_design() -> None:
    tokenizer = train_tokenizer((), "byte", 0)
    named = ModelConfig(topology="encoder-decoder", start_id=7, end_id=9)
    assert start_id(PAIR, tokenizer) == tokenizer.token_to_id(SPECIAL_TOKENS[0])
    assert (start_id(named, tokenizer), end_id(tokenizer, named)) == (7, 9)
    assert start_id(PAIR, foreign("<s>")) == 2
    with pytest.raises(ValueError, match="start_id"):
        start_id(PAIR, foreign())


def test_masks_in_a_prompt_include_the_space_before_them() -> None:
    tokenizer = train_tokenizer([TEXT], "bpe", 300)
    add_missing_special_tokens(tokenizer, "encoder-only")
    whole = encode_text(tokenizer, "the cat sat")
    for spelling in (MASK, "[MASK]", "<mask>"):
        ids = encode_with_masks(tokenizer, f"the {spelling} sat")
        assert ids == [whole[0], mask_id(tokenizer), *encode_text(tokenizer, " sat")]
    letters = train_tokenizer((), "byte", 0)
    add_missing_special_tokens(letters, "encoder-only")
    assert decode(letters, encode_with_masks(letters, "a [MASK]t")) == f"a {MASK}t"
    assert encode_with_masks(tokenizer, "the cat sat") == whole
    with pytest.raises(ValueError, match="no mask token"):
        encode_with_masks(train_tokenizer((), "byte", 0), "a [MASK]")


def test_sentinels_in_a_prompt_are_parsed_in_either_spelling() -> None:
    tokenizer = train_tokenizer((), "byte", 0)
    add_missing_special_tokens(tokenizer, "encoder-decoder")
    first, second = sentinel_ids(tokenizer)[:2]
    assert encode_with_sentinels(tokenizer, "a<|extra_0|>b<extra_id_1>") == [
        *encode_text(tokenizer, "a"),
        first,
        *encode_text(tokenizer, "b"),
        second,
    ]
