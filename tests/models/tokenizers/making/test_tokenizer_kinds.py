"""Kinds and options: each does what it says, and rejects impossible combinations."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from terrarium.models.settings.tokenizer_options import UNKNOWN, pre_tokenizers_of, used_options
from terrarium.models.tokenizers import (
    KINDS,
    SPECIAL_TOKENS,
    CutCounter,
    IncrementalDecoder,
    TokenizerOptions,
    decode,
    encode_text,
    token_pieces,
    tokenizer_kind,
    train_tokenizer,
    write_tokenizer,
)
from terrarium.models.tokenizers.making.texts import MAX_RUN_LENGTH

TEXT = "The unbelievable cat sat on the mats, and 1234 believable cats didn't.\n\tNaïve Café?\n" * 40
STRANGE = "The unbelievable  Café 日本 🌱 don't 1234!\n\tcats x"


def combinations() -> list[tuple[str, TokenizerOptions]]:
    """Every kind with all words and fallbacks that it goes with, and with each normaliser."""
    found = []
    for kind in KINDS:
        used = used_options(kind)
        words = pre_tokenizers_of(kind) if "pre_tokenizer" in used else ("digits",)
        fallback = (True, False) if "byte_fallback" in used else (True,)
        found += [
            (kind, TokenizerOptions(pre_tokenizer=word, byte_fallback=bytes))
            for word, bytes in itertools.product(words, fallback)
        ]
        if "normalizer" in used:
            found += [(kind, TokenizerOptions(normalizer=name)) for name in ("nfc", "nfkc", "lowercase", "bert")]
    return found


@pytest.mark.parametrize(("kind", "options"), combinations(), ids=str)
def test_every_combination_works_and_can_be_saved(kind: str, options: TokenizerOptions, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    options = dataclasses.replace(options, special_tokens=("<|mine|>",))
    tokenizer = train_tokenizer([TEXT], kind, 400, options)
    assert [tokenizer.token_to_id(token) for token in (*SPECIAL_TOKENS, "<|mine|>")] == [0, 1, 2, 3, 4, 5]
    assert tokenizer.get_vocab_size() <= 400
    assert tokenizer_kind(tokenizer) == kind
    write_tokenizer(tokenizer, tmp_path, {})
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ids = encode_text(tokenizer, STRANGE)
    assert encode_text(again, STRANGE) == ids
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"))
    assert theirs.encode(STRANGE, add_special_tokens=False) == ids
    text = decode(again, ids)
    decoder = IncrementalDecoder(again)
    assert "".join(map(decoder.add, ids)) + decoder.finish() == text
    keeps = options.normalizer == "none" and options.pre_tokenizer != "whitespace" and kind not in ("wordpiece", "word")
    if keeps and options.byte_fallback:
        assert text == STRANGE
    data = STRANGE.encode()
    for piece in token_pieces(again, STRANGE):
        assert 0 <= piece.start <= piece.end <= len(data)
        if not piece.special and options.normalizer == "none" and piece.bytes.isascii() and kind != "unigram":
            assert data[piece.start : piece.end] == piece.bytes
    assert [piece.id for piece in token_pieces(again, STRANGE)] == ids


def test_wordpiece_takes_the_longest_piece_and_marks_continuations() -> None:
    tokenizer = train_tokenizer([TEXT], "wordpiece", 120)
    pieces = token_pieces(tokenizer, "unbelievable zz")
    assert all(piece.display.startswith("##") for piece in pieces[1:-1])
    assert "".join(piece.bytes.decode() for piece in pieces[:-1]) == "unbelievable"
    assert (pieces[-1].display, STRANGE[:0]) == ("⟨unk⟩", "")
    assert (pieces[-1].start, pieces[-1].end) == (13, 15)


def test_pieces_have_the_offsets_of_the_original_text() -> None:
    tokenizer = train_tokenizer([TEXT.lower()], "bpe", 400, TokenizerOptions(normalizer="lowercase"))
    text = "日 THE CAT"
    pieces = token_pieces(tokenizer, text)
    assert decode(tokenizer, [piece.id for piece in pieces]) == text.lower()
    covered = [text.encode()[piece.start : piece.end].decode().lower() for piece in pieces if piece.bytes.isascii()]
    assert covered == [piece.bytes.decode() for piece in pieces if piece.bytes.isascii()]
    assert {(piece.start, piece.end) for piece in pieces if not piece.bytes.isascii()} == {(0, 3)}


def test_typed_special_tokens_stay_text_with_library_offsets() -> None:
    tokenizer = train_tokenizer([TEXT], "wordpiece", 200)
    pieces = token_pieces(tokenizer, "cat <|end|> cat", parse_special=False)
    assert tokenizer.token_to_id("<|end|>") not in [piece.id for piece in pieces]
    assert (pieces[0].start, pieces[0].end, pieces[-1].start, pieces[-1].end) == (0, 3, 12, 15)


def test_unknown_characters_are_unknown_without_byte_fallback() -> None:
    for kind in ("char", "unigram"):
        tokenizer = train_tokenizer([TEXT], kind, 300, TokenizerOptions(byte_fallback=False))
        assert decode(tokenizer, encode_text(tokenizer, "cat 日")) == f"cat {UNKNOWN}"


def test_minimum_frequency_drops_rare_words() -> None:
    text = ["often " * 50 + "seldom " * 3]
    kept = train_tokenizer(text, "word", 300, TokenizerOptions(min_frequency=3))
    left = train_tokenizer(text, "word", 300, TokenizerOptions(min_frequency=4))
    assert kept.token_to_id(" seldom") is not None
    assert left.token_to_id(" seldom") is None
    assert train_tokenizer(text, "bpe", 400, TokenizerOptions(min_frequency=60)).get_vocab_size() == 261


def test_long_runs_are_split_and_counted() -> None:
    cut = CutCounter()
    text = "cat " * 100 + "x" * (3 * MAX_RUN_LENGTH) + " cat " + "y" * MAX_RUN_LENGTH
    assert train_tokenizer([text], "unigram", 300, cut=cut).get_vocab_size() > 261
    assert cut.n_runs == 1
    assert cut.sentence is not None
    assert "1 run of more than 1,000 characters" in cut.sentence


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_text_without_spaces_trains(kind: str) -> None:
    letters = torch.randint(97, 123, (15_000,), generator=torch.Generator().manual_seed(0))
    cut = CutCounter()
    tokenizer = train_tokenizer([bytes(letters.tolist()).decode()], kind, 400, cut=cut)
    assert tokenizer.get_vocab_size() > 300
    assert cut.n_runs == 1


@pytest.mark.parametrize(
    ("kind", "size", "options", "sentence"),
    [
        ("wordpiece", 5, {}, "use 6 "),
        ("unigram", 262, {"special_tokens": ("a",)}, "use 263 "),
        ("word", 300, {"pre_tokenizer": "none"}, "word does not work with words of kind 'none'"),
        ("wordpiece", 300, {"pre_tokenizer": "gpt2"}, "use digits or whitespace"),
        ("bpe", 300, {"special_tokens": ("<|end|>",)}, "always a special token"),
        ("bpe", 300, {"special_tokens": ("a", "a")}, "empty or a duplicate"),
        ("bpe", 300, {"special_tokens": ("",)}, "empty or a duplicate"),
        ("wordpiece", 20, {}, "too many distinct characters for a vocabulary of 20: use at least"),
    ],
)
def test_impossible_settings_are_rejected(kind: str, size: int, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        train_tokenizer([TEXT], kind, size, TokenizerOptions(**options))  # type: ignore[arg-type]


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_unigram_says_how_many_tokens_all_characters_need(byte_fallback: bool) -> None:
    options = TokenizerOptions(byte_fallback=byte_fallback)
    text = " ".join(chr(0x4E00 + i) for i in range(500)) + "\n"
    with pytest.raises(ValueError, match="too many distinct characters for a vocabulary of 300") as refused:
        train_tokenizer([text], "unigram", 300, options)
    found = re.search(r"at least (\d+)", str(refused.value))
    assert found is not None
    assert int(found[1]) - 2 <= train_tokenizer([text], "unigram", int(found[1]), options).get_vocab_size()
