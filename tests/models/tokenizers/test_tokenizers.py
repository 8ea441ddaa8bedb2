"""Tokenizers: every kind is lossless; plain text never becomes a special token; pieces tile the text."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, pre_tokenizers

from terrarium.models.tokenizers import (
    KINDS,
    MIN_VOCAB_SIZE,
    SPECIAL_TOKENS,
    IncrementalDecoder,
    decode,
    describe_shortfall,
    encode_prompt,
    encode_text,
    read_texts,
    token_pieces,
    tokenizer_kind,
    train_tokenizer,
)
from terrarium.models.tokenizers.codec import words_of

LOSSLESS = ("byte", "char", "bpe")
TEXT = "The cat sat on the mat, and the other cat sat on 1234 mats.\n\tNaïve café, don't you think?\n" * 20


@pytest.fixture(scope="module", params=LOSSLESS)
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return train_tokenizer([TEXT], request.param, 320)


def test_special_tokens_come_first(tokenizer: Tokenizer) -> None:
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4]


@given(text=st.text() | st.binary().map(lambda data: data.decode("utf-8", errors="replace")))
@settings(max_examples=50, deadline=None)
def test_any_text_is_restored(tokenizer: Tokenizer, text: str) -> None:
    ids = encode_text(tokenizer, text)
    assert decode(tokenizer, ids) == text
    assert tokenizer.decode(ids) == text
    assert decode(tokenizer, encode_prompt(tokenizer, text)) == text


@given(parts=st.lists(st.sampled_from([*SPECIAL_TOKENS, "<|e<|end|>nd|>", "<|", "end|>", "hello ", "é"]), max_size=8))
@settings(max_examples=50, deadline=None)
def test_plain_text_never_becomes_a_special_token(tokenizer: Tokenizer, parts: list[str]) -> None:
    text = "".join(parts)
    ids = encode_text(tokenizer, text)
    assert min(ids, default=5) >= 5
    assert decode(tokenizer, ids) == text


def test_prompt_parses_special_tokens(tokenizer: Tokenizer) -> None:
    ids = encode_prompt(tokenizer, "<|user|> Hi<|end|>")
    assert (ids[0], ids[-1]) == (2, 1)
    assert min(ids[1:-1]) >= 5


@given(text=st.text())
@settings(deadline=None)
def test_pieces_tile_the_text(tokenizer: Tokenizer, text: str) -> None:
    pieces = token_pieces(tokenizer, text)
    assert b"".join(piece.bytes for piece in pieces) == text.encode()
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces)][:-1]
    assert all(piece.end - piece.start == len(piece.bytes) for piece in pieces)
    assert all(piece.display and " " not in piece.display for piece in pieces)


def test_pieces_show_invisible_characters() -> None:
    tokenizer = train_tokenizer([], "byte", MIN_VOCAB_SIZE)
    shown = [piece.display for piece in token_pieces(tokenizer, "a \t\n\x07é<|end|>")]
    assert shown == ["a", "·", "⇥", "⏎", "⟨07⟩", "⟨C3⟩", "⟨A9⟩", "⟨end⟩"]
    written = token_pieces(tokenizer, "<|end|>", parse_special=False)
    assert "".join(piece.display for piece in written) == "<|end|>"
    assert not any(piece.special for piece in written)


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_a_text_are_its_letters_and_digits(kind: str) -> None:
    """Each word is one range, in however many tokens; a mark, a space or a special token is none of a word."""
    tokenizer = train_tokenizer(["Adam sang songs. ", "the dog sang, ", "in the dog's songs "] * 9, kind, 290)
    end = tokenizer.token_to_id("<|end|>")
    ids = [end, *encode_text(tokenizer, "Adam sang, dog songs."), end]
    words = words_of(tokenizer, ids)
    assert [at for word in words for at in word] == list(range(len(ids)))
    shown = [tokenizer.decode([ids[at] for at in word]).strip() for word in words]
    assert [word for word in shown if word.isalnum()] == ["Adam", "sang", "dog", "songs"]
    assert words[0] == range(1)
    assert words[-1] == range(len(ids) - 1, len(ids))


@given(text=st.text())
@settings(deadline=None, max_examples=50)
def test_words_are_found_in_any_text(tokenizer: Tokenizer, text: str) -> None:
    ids = encode_text(tokenizer, text)
    assert [at for word in words_of(tokenizer, ids) for at in word] == list(range(len(ids)))


@given(text=st.text())
@settings(deadline=None)
def test_streaming_never_breaks_a_character(tokenizer: Tokenizer, text: str) -> None:
    decoder = IncrementalDecoder(tokenizer)
    chunks = [decoder.add(id) for id in encode_text(tokenizer, text)]
    assert "".join(chunks) == text
    assert decoder.finish() == ""


def test_streaming_an_incomplete_character() -> None:
    tokenizer = train_tokenizer([], "byte", MIN_VOCAB_SIZE)
    decoder = IncrementalDecoder(tokenizer)
    assert [decoder.add(id) for id in encode_text(tokenizer, "日")[:2]] == ["", ""]
    assert decoder.finish() == "�"


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_split_without_changing_a_token(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("terrarium.models.tokenizers.codec._CUT_ABOVE", 20_000)
    monkeypatch.setattr("terrarium.models.tokenizers.codec._CUT_EVERY", 5_000)
    tokenizer = train_tokenizer([TEXT], kind, 400)
    text = ("A line. \nAnother  one\n\nand\r\n more 12 \n" + TEXT[:1000]) * 40  # so long that it is cut
    assert encode_text(tokenizer, text) == encode_prompt(tokenizer, text)


def test_long_texts_are_not_split_if_each_part_would_get_a_space() -> None:
    tokenizer = train_tokenizer([TEXT], "bpe", 400)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)  # as some foreign tokenizers do
    text = "A line\nAnother one\n" * 11_000
    assert encode_text(tokenizer, text) == encode_prompt(tokenizer, text)


def test_digits_are_separate_tokens() -> None:
    tokenizer = train_tokenizer(["1234 1234 12 34 " * 100], "bpe", 400)
    assert [piece.display for piece in token_pieces(tokenizer, "1234 12")] == ["1", "2", "3", "4", "·", "1", "2"]


def test_char_keeps_the_most_frequent() -> None:
    tokenizer = train_tokenizer(["aaabbc"], "char", MIN_VOCAB_SIZE + 2)
    assert [tokenizer.id_to_token(id) for id in range(MIN_VOCAB_SIZE, MIN_VOCAB_SIZE + 2)] == ["a", "b"]
    assert len(encode_text(tokenizer, "日a")) == 4


def test_bpe_is_the_same_every_time() -> None:
    assert train_tokenizer([TEXT], "bpe", 400).to_str() == train_tokenizer([TEXT], "bpe", 400).to_str()


def test_kind_survives(tokenizer: Tokenizer) -> None:
    again = Tokenizer.from_str(tokenizer.to_str())
    assert tokenizer_kind(again) == tokenizer_kind(tokenizer)
    assert encode_text(again, TEXT) == encode_text(tokenizer, TEXT)


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_a_shortfall_is_described(kind: str) -> None:
    tokenizer = train_tokenizer(["x" * 100], kind, 5000)
    sentence = describe_shortfall(tokenizer, kind, 5000)
    assert sentence is not None
    assert f"{tokenizer.get_vocab_size()} tokens instead of 5,000" in sentence
    assert decode(tokenizer, encode_text(tokenizer, "anything é")) == "anything é"
    assert describe_shortfall(tokenizer, kind, tokenizer.get_vocab_size()) is None


def test_invalid_settings_are_rejected() -> None:
    with pytest.raises(ValueError, match="use 261 "):
        train_tokenizer([TEXT], "bpe", 260)
    with pytest.raises(ValueError, match="choose one of byte, char, bpe, wordpiece, unigram, word"):
        train_tokenizer([TEXT], "syllable", 300)
    for kind in ("char", "bpe"):
        with pytest.raises(ValueError, match="The text is empty"):
            train_tokenizer([" \n"], kind, 300)
    with pytest.raises(ValueError, match="has no token 9999"):
        decode(train_tokenizer([], "byte", MIN_VOCAB_SIZE), [9999])


def test_the_position_of_invalid_utf8_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "latin.txt"
    file.write_bytes(b"a line\n" * 200_000 + "un café\n".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin\.txt is not UTF-8 text \(line 200,001, byte 7: E9\): save"):
        list(read_texts([file]))
