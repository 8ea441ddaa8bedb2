"""Decoding pasted ids: all input formats, and a message for each invalid entry."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer, decoders, models

from terrarium.models.tokenizers import encode_prompt, encode_text, train_tokenizer
from terrarium.models.tokenizers.text.decoding import MAX_LISTED_PROBLEMS, decode_ids, ordinal


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer(["the cat and the hat sat on the mat. " * 20], "bpe", 270)


@pytest.mark.parametrize("form", ["{}", "[{}]", "({})", "\n {} \n"])
@pytest.mark.parametrize("between", [", ", " ", "\n", ",", ";\t"])
def test_ids_are_parsed_in_all_formats(bpe: Tokenizer, form: str, between: str) -> None:
    ids = encode_text(bpe, "the cat 🌱 sat")
    written = form.format(between.join(map(str, ids)))
    decoded = decode_ids(bpe, written)
    assert (decoded.tokens.ids.tolist(), decoded.text, decoded.problems) == (ids, "the cat 🌱 sat", ())
    assert [int(written[start:end]) for start, end in decoded.spans] == ids
    assert decoded.tile_the_text
    assert b"".join(piece.bytes for piece in decoded.tokens).decode() == "the cat 🌱 sat"


def test_json_objects_of_various_programs_are_parsed(bpe: Tokenizer) -> None:
    ids = encode_text(bpe, "the hat")
    for key in ("ids", "input_ids", "tokens"):
        written = json.dumps({"mask": [1, 1, 999999], key: ids, "n": 3})
        assert decode_ids(bpe, written).text == "the hat"
    assert decode_ids(bpe, json.dumps({"ids": ids, "tokens": ["the", " hat"]})).problems == ()
    assert decode_ids(bpe, '{"ids": [5, 6').n_problems == 1  # no whole object: “{"ids":” is named
    assert decode_ids(bpe, json.dumps({"a": 1})).n_problems == 2


def test_invalid_ids_are_reported_with_their_position_and_the_others_decoded(bpe: Tokenizer) -> None:
    the = encode_text(bpe, "the")[0]
    written = f"{the} 12x 1.5 -3 99999 {'9' * 5000} {the}"
    decoded = decode_ids(bpe, written)
    assert decoded.text == "thethe"
    assert [written[problem.start : problem.end] for problem in decoded.problems[:4]] == ["12x", "1.5", "-3", "99999"]
    assert [problem.sentence for problem in decoded.problems] == [
        "“12x” (2nd) is not a whole number.",
        "“1.5” (3rd) is not a whole number.",
        "There is no token -3 (4th): ids range from 0 to 269.",
        "There is no token 99,999 (5th): ids range from 0 to 269.",
        f"There is no token {'9' * 24}… (6th): ids range from 0 to 269.",
    ]
    many = decode_ids(bpe, "x " * (MAX_LISTED_PROBLEMS + 50))
    assert (len(many.problems), many.n_problems, many.text) == (MAX_LISTED_PROBLEMS, MAX_LISTED_PROBLEMS + 50, "")
    for nothing in ("", " [] \n"):
        decoded = decode_ids(bpe, nothing)
        assert (len(decoded.tokens), decoded.text, decoded.n_problems) == (0, "", 0)
    assert "٣" in decode_ids(bpe, "٣").problems[0].sentence  # a digit, but none of ours


def test_gaps_in_a_vocabulary_are_reported() -> None:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 7}, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    decoded = decode_ids(tokenizer, "0 3 7 8")
    assert decoded.text == "ab"
    assert [problem.sentence for problem in decoded.problems] == [
        "There is no token 3 (2nd): this vocabulary skips that id.",
        "There is no token 8 (4th): ids range from 0 to 7.",
    ]
    assert decode_ids(Tokenizer(models.BPE()), "0").problems[0].sentence.endswith("this vocabulary is empty.")


def test_incomplete_characters_decode_to_the_replacement_character(bpe: Tokenizer) -> None:
    half = encode_text(bpe, "🌱")[:2]
    decoded = decode_ids(bpe, str(half))
    assert decoded.text == "�"
    assert not decoded.tile_the_text
    assert [piece.display for piece in decoded.tokens] == ["⟨F0⟩", "⟨9F⟩"]


def test_special_tokens_can_be_left_out_of_the_text(bpe: Tokenizer) -> None:
    written = " ".join(map(str, encode_prompt(bpe, "<|user|> the cat<|end|>")))
    assert decode_ids(bpe, written).text == "<|user|> the cat<|end|>"
    decoded = decode_ids(bpe, written, skip_special=True)
    assert (decoded.text, decoded.n_left_out) == (" the cat", 2)
    assert not decoded.tile_the_text
    assert [piece.special for piece in decoded.tokens].count(True) == 2


def test_ordinals() -> None:
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 1123)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th", "1,123rd"]
    )
