"""Round trips: the decoded text, where it differs, and that the named cause is right."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

from terrarium.models.tokenizers import KINDS, TokenizerOptions, decode, encode_prompt, encode_text, train_tokenizer
from terrarium.models.tokenizers.text.round_trip import MAX_DIFFERENCES, RoundTrip, round_trip
from terrarium.models.tokenizers.text.text_diff import differing_spans

TEXT = "The unbelievable cat sat on the mats, and 1234 believable cats didn't.\n\tNaïve Café?\n" * 40
STRANGE = "É don't  cat <|end|> x\0y\n\n日本 e\u0301 ﬁ. The 🌱"


def put_together(result: RoundTrip, text: str) -> str:
    """What comes back, made of the text and the differences alone."""
    made, end = "", 0
    for difference in result.differences:
        assert text[difference.start : difference.end] == difference.text
        assert result.back[difference.back_start : difference.back_end] == difference.back
        made += text[end : difference.start] + difference.back
        end = difference.end
    return made + text[end:]


@given(st.text("ab C", max_size=30), st.text("ab C", max_size=30))
def test_spans_turn_one_text_into_the_other(a: str, b: str) -> None:
    spans, complete = differing_spans(a, b, 1000)
    assert complete
    made, end, back = "", 0, 0
    for span in spans:
        assert a[end : span.start] == b[back : span.back_start]
        assert a[span.start : span.end] != b[span.back_start : span.back_end]
        made += a[end : span.start] + b[span.back_start : span.back_end]
        end, back = span.end, span.back_end
    assert made + a[end:] == b


def test_small_changes_all_over_a_long_text_stay_small() -> None:
    rng = random.Random(1)
    words = [rng.choice(["The", "cat", "Sat", "on", "mats"]) for _ in range(40_000)]
    text = " ".join(words)
    spans, complete = differing_spans(text, text.lower(), 100_000)
    assert complete
    assert len(spans) == sum(word in ("The", "Sat") for word in words)
    assert all(span.end - span.start == 1 for span in spans)
    assert differing_spans(text, text.lower(), 10)[1] is False


def test_longer_matches_are_preferred_to_chance_matches() -> None:
    spans, complete = differing_spans("XXabc--abcdefghij", "Yabcdefghij", 10)
    assert (spans, complete) == ([(0, 7, 0, 1)], True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("normalizer", ["none", "nfc", "nfkc", "lowercase", "bert"])
def test_every_kind_agrees_with_decoding_and_comparing(kind: str, normalizer: str) -> None:
    for words, fallback in itertools.product(("digits", "whitespace"), (True, False)):
        options = TokenizerOptions(normalizer=normalizer, pre_tokenizer=words, byte_fallback=fallback)
        tokenizer = train_tokenizer([TEXT], kind, 300, options)
        for text, parse_special in itertools.product((TEXT[:200], STRANGE, "", " "), (True, False)):
            encode = encode_prompt if parse_special else encode_text
            result = round_trip(tokenizer, text, parse_special=parse_special)
            ids = encode(tokenizer, text)
            assert result.back == decode(tokenizer, ids)
            assert round_trip(tokenizer, text, parse_special=parse_special, ids=ids) == result
            assert result.equal == (result.back == text) == (not result.differences)
            assert put_together(result, text) == result.back
            assert all(difference.causes and difference.sentence.endswith(".") for difference in result.differences)
            named = {cause for difference in result.differences for cause in difference.causes}
            assert "decoder" not in named
            assert "normaliser" not in named or tokenizer.normalizer is not None
            assert "unknown" not in named or "<|unk|>" in result.back


@pytest.mark.parametrize(
    ("kind", "options", "text", "cause", "sentence"),
    [
        (
            "bpe",
            {"normalizer": "lowercase"},
            "aÉb",
            "normaliser",
            "“É” becomes “é”: the normaliser lowercases text",
        ),
        ("bpe", {"normalizer": "nfc"}, "e\u0301", "normaliser", "composes letters and accents (NFC)."),
        ("bpe", {"normalizer": "nfkc"}, "ﬁ", "normaliser", "“ﬁ” becomes “fi”: the normaliser unifies accents and"),
        (
            "wordpiece",
            {"normalizer": "bert"},
            "Éa",
            "normaliser",
            "“É” becomes “e”: the normaliser drops accents (bert) and lowercases text (bert).",
        ),
        ("wordpiece", {"normalizer": "bert"}, "a\0t", "nul", "a NUL character is lost: the normaliser drops control"),
        ("char", {"byte_fallback": False}, "a日b", "unknown", "“日” becomes “<|unk|>”: “日” is not in the"),
        ("char", {"byte_fallback": False}, "a\0b", "nul", "a NUL character becomes “<|unk|>”"),
        ("word", {}, "The zoo", "unknown", "“ zoo” becomes “<|unk|>”: “ zoo” is not in the vocabulary"),
        ("word", {"pre_tokenizer": "whitespace"}, "cat.", "spaces", "without a decoder, tokens are joined with spaces"),
        ("word", {"pre_tokenizer": "whitespace"}, "cat  sat", "spaces", "drops spaces"),
        ("wordpiece", {}, "cat\n\ncat", "spaces", "2 line breaks become a space: the pre-tokenizer (Whitespace)"),
        ("wordpiece", {}, " cat", "spaces", "a space is lost: the pre-tokenizer (Whitespace) drops spaces."),
        ("unigram", {"pre_tokenizer": "whitespace"}, "a  b", "spaces", "the pre-tokenizer (WhitespaceSplit) drops"),
        ("byte", {}, "a\ud83db", "surrogate", "half a character (U+D83D) becomes “�”: half a character is not"),
    ],
)
def test_causes_are_described(kind: str, options: dict[str, str], text: str, cause: str, sentence: str) -> None:
    tokenizer = train_tokenizer([TEXT], kind, 300, TokenizerOptions(**options))  # type: ignore[arg-type]
    result = round_trip(tokenizer, text)
    assert [difference.causes[0] for difference in result.differences] == [cause]
    assert sentence in result.differences[0].sentence
    assert result.summary == f"Differs in 1 place: {result.differences[0].sentence}"


def test_special_tokens_strip_spaces_or_are_split() -> None:
    tokenizer = Tokenizer(models.BPE(vocab={character: i for i, character in enumerate("ab c")}, merges=[]))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True, normalized=False)])
    result = round_trip(tokenizer, "a <mask> b")
    assert result.back == "a<mask> b"
    assert result.differences[0].causes == ("special",)
    assert "<mask> includes adjacent spaces" in result.differences[0].sentence

    unigram = train_tokenizer([TEXT], "unigram", 300, TokenizerOptions(pre_tokenizer="whitespace"))
    cut = round_trip(unigram, "cat <|end|> cat", parse_special=False)
    assert cut.back == "cat < |end|> cat"
    assert cut.differences[0].causes == ("special",)
    assert "<|end|> is split after its first character" in cut.differences[0].sentence


def test_steps_of_imported_normalisers_are_named() -> None:
    tokenizer = train_tokenizer([TEXT], "bpe", 300)
    steps = [normalizers.NFD(), normalizers.StripAccents(), normalizers.Replace("x", "y"), normalizers.Strip()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    result = round_trip(tokenizer, " aéx")
    found = {difference.text: difference.sentence for difference in result.differences}
    assert "strips spaces at the ends" in found[" "]
    both = next(sentence for text, sentence in found.items() if "é" in text)
    assert "separates letters and accents (NFD) and drops accents" in both
    assert any("replaces “x” with “y”" in sentence for sentence in found.values())


def test_added_leading_spaces_and_dropped_characters() -> None:
    llama = Tokenizer(models.BPE(vocab={character: i for i, character in enumerate("▁ab")}, merges=[]))
    llama.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    llama.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    assert round_trip(llama, "a b").equal
    lost = round_trip(llama, "a日b")
    assert lost.back == "ab"
    assert lost.differences[0].causes == ("unknown",)
    assert "there is no unknown token" in lost.differences[0].sentence

    split = train_tokenizer([TEXT], "bpe", 300)
    split.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(" ", "removed"), split.pre_tokenizer])
    assert "the pre-tokenizer (Split) drops spaces" in round_trip(split, "a b").differences[0].sentence


def test_many_differences_are_counted_up_to_the_limit_and_summarised() -> None:
    tokenizer = train_tokenizer([TEXT], "wordpiece", 300, TokenizerOptions(normalizer="bert"))
    result = round_trip(tokenizer, "A cat É  sat. " * 2000)
    assert (len(result.differences), result.complete) == (MAX_DIFFERENCES, False)
    assert result.summary.startswith(f"Differs in more than {MAX_DIFFERENCES} places, because of the normaliser (")
    assert sum(times for _, times in result.sentences()) == MAX_DIFFERENCES
    assert len(result.sentences()) <= 4
    few = round_trip(tokenizer, "A cat\n\nsat É sat")
    assert few.summary == "Differs in 3 places, because of the normaliser (2), spaces (1)"
    assert round_trip(tokenizer, "a cat").summary == "Restored exactly"
