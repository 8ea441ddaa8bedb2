"""tiktoken ranks: the same ids as tiktoken itself, with ranks trained here."""

from __future__ import annotations

import base64
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import tiktoken
import tiktoken_ext.openai_public
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from terrarium.models.tokenizers import TokenBytes, decode, train_tokenizer
from terrarium.models.tokenizers.foreign.foreign_files import read_foreign
from terrarium.models.tokenizers.foreign.merges import derive_merges
from terrarium.models.tokenizers.foreign.patterns import PATTERNS, PatternUnknownError
from terrarium.models.tokenizers.foreign.tiktoken_ranks import ranked_tokenizer, read_ranks
from tests.models.tokenizers.foreign.support import all_texts, ids_of, lines, mixed_texts, saved


@pytest.fixture(scope="module")
def ranks() -> dict[bytes, int]:
    """Single bytes, then what byte-level BPE learned: 900 tokens."""
    trained = train_tokenizer(list(lines()), "bpe", 905)
    table = TokenBytes(trained)
    return {table[id]: id - 5 for id in range(5, trained.get_vocab_size())}


def write(path: Path, ranks: dict[bytes, int]) -> Path:
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for token, rank in ranks.items()))
    return path


def published(name: str, ranks: dict[bytes, int], monkeypatch: pytest.MonkeyPatch) -> tiktoken.Encoding:
    """tiktoken's own encoding of that name, but with other ranks, and without the special tokens."""
    extension: Any = tiktoken_ext.openai_public
    for loader in ("load_tiktoken_bpe", "data_gym_to_mergeable_bpe_ranks"):
        monkeypatch.setattr(extension, loader, lambda *_, **__: ranks)
    made = extension.ENCODING_CONSTRUCTORS[name]()
    return tiktoken.Encoding(name, pat_str=made["pat_str"], mergeable_ranks=ranks, special_tokens={})


@pytest.mark.parametrize(
    ("pattern", "name"),
    [("gpt2", "gpt2"), ("gpt2", "r50k_base"), ("cl100k", "cl100k_base"), ("o200k", "o200k_base")],
)
def test_ids_are_those_of_tiktoken(
    pattern: str, name: str, ranks: dict[bytes, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = published(name, ranks, monkeypatch)
    ours = saved(read_ranks(write(tmp_path / "any.tiktoken", ranks), pattern)[0])
    for text in all_texts():
        assert ids_of(ours, text) == theirs.encode_ordinary(text), repr(text)
        assert ours.decode(ids_of(ours, text)) == text


@pytest.mark.parametrize("name", ["qwen", "qwen3.5", "tekken"])
def test_ids_are_those_of_tiktoken_with_patterns_of_others(name: str, ranks: dict[bytes, int], tmp_path: Path) -> None:
    pattern = PATTERNS[name]
    theirs = tiktoken.Encoding(name, pat_str=pattern.regex, mergeable_ranks=ranks, special_tokens={})
    ours = saved(read_ranks(write(tmp_path / "any.tiktoken", ranks), name)[0])
    for text in [*all_texts(), *mixed_texts(300)]:
        normal = unicodedata.normalize("NFC", text) if pattern.nfc else text
        assert ids_of(ours, text) == theirs.encode_ordinary(normal), repr(text)


def test_an_empty_token(ranks: dict[bytes, int], tmp_path: Path) -> None:
    """As in the last line of Whisper's multilingual ranks: its id is taken, and no text has it."""
    path = write(tmp_path / "my_gpt2.tiktoken", ranks)
    path.write_bytes(path.read_bytes() + b"= %d\n" % len(ranks))
    theirs = tiktoken.Encoding("x", pat_str=PATTERNS["gpt2"].regex, mergeable_ranks=ranks, special_tokens={})
    ours = saved(read_foreign(path).tokenizer)
    assert ours.get_vocab_size() == len(ranks) + 1
    assert TokenBytes(ours)[len(ranks)] == b""
    assert decode(ours, [ranks[b"a"], len(ranks), ranks[b"b"]]) == "ab"
    for text in all_texts():
        assert ids_of(ours, text) == theirs.encode_ordinary(text), repr(text)


def test_a_special_token_that_is_an_ordinary_one_too(ranks: dict[bytes, int]) -> None:
    with pytest.raises(
        ValueError, match=r"it\.tiktoken cannot be read: 'a' is both a special token and an ordinary one"
    ):
        ranked_tokenizer(ranks, PATTERNS["gpt2"], {"a": 5000}, "it.tiktoken")


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_ids_of_any_text(text: str) -> None:
    theirs, ours = small_pair()
    assert ids_of(ours, text) == theirs.encode_ordinary(text)


def small_pair(_made: list[tuple[tiktoken.Encoding, Tokenizer]] = []) -> tuple[tiktoken.Encoding, Tokenizer]:  # noqa: B006
    if not _made:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            small = {bytes([b]): b for b in range(256)} | {b"ab": 256, b" a": 257, b"  ": 258, "é".encode(): 259}
            ours = read_ranks(write(Path(folder) / "x.tiktoken", small), "cl100k")[0]
        pattern = PATTERNS["cl100k"].regex
        _made.append((tiktoken.Encoding("x", pat_str=pattern, mergeable_ranks=small, special_tokens={}), ours))
    return _made[0]


def invented_ranks(n: int) -> dict[bytes, int]:
    """The single bytes, then pairs and triples of bytes, so that the size is that of a published encoding."""
    ranks = {bytes([b]): b for b in range(256)}
    pairs = (bytes([a, b]) for a in range(97, 123) for b in range(256))
    ranks |= {pair: 256 + i for i, pair in enumerate(pairs)}
    for triple in (bytes([a, b, c]) for a in range(65, 91) for b in range(97, 123) for c in range(256)):
        for token in (triple[:2], triple):
            if len(ranks) < n:
                ranks.setdefault(token, len(ranks))
    return ranks


def test_special_tokens_of_a_known_size(tmp_path: Path) -> None:
    ranks = invented_ranks(50_256)
    found = read_foreign(write(tmp_path / "mine.txt", ranks))
    assert found.form == "tiktoken ranks"
    assert "match gpt2" in found.assumptions[0]
    assert ids_of(found.tokenizer, "a<|endoftext|>b") == [ranks[b"a"], 50_256, ranks[b"b"]]


def test_special_tokens_of_whisper(tmp_path: Path) -> None:
    """Those whose ids are the same in all of its multilingual models: 99 languages; version 3 has one more."""
    path = write(tmp_path / "multilingual.tiktoken", invented_ranks(50_256))
    path.write_bytes(path.read_bytes() + b"= 50256\n")
    found = read_foreign(path)
    spelled = ("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|su|>", "<|yue|>", "<|translate|>")
    ids = [found.tokenizer.token_to_id(token) for token in spelled]
    assert ids == [50_257, 50_258, 50_259, 50_357, None, None]
    assert "after the 99 languages were left out" in found.assumptions[2]


def test_ranks_in_unusual_order() -> None:
    """“abc” comes before “ab”, without which it is never made: tiktoken makes it all the same."""
    ranks = {bytes([b]): b for b in range(256)} | {b"abc": 256, b"ab": 257, b"xyz": 258}
    assert derive_merges(ranks) == [(b"ab", b"c"), (b"a", b"b")]


def test_the_pattern_is_needed_only_if_unknown(ranks: dict[bytes, int], tmp_path: Path) -> None:
    unknown, known = write(tmp_path / "mine.tiktoken", ranks), write(tmp_path / "my_cl100k.tiktoken", ranks)
    with pytest.raises(PatternUnknownError, match=r"mine\.tiktoken does not say how text is split"):
        read_foreign(unknown)
    with pytest.raises(ValueError, match="no word pattern 'nothing'"):
        read_foreign(unknown, "nothing")
    assert read_foreign(known).assumptions == (
        "Text is split into words with the pattern cl100k, as the file's name says.",
    )
    with pytest.raises(PatternUnknownError):  # two patterns have that name
        read_foreign(write(tmp_path / "qwen.tiktoken", ranks))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda data: data + b"!!! 7\n", "not a token in base64"),
        (lambda data: data + b"YWI= x\n", "not a token in base64"),
        (lambda data: data + data.split(b"\n")[0] + b"\n", "duplicate token or rank"),
        (lambda data: b"\n".join(data.split(b"\n")[:100]), "it has no token for the byte"),
        (lambda data: data[:-30] + b"\x00\xff\x00", "not a token in base64"),
    ],
)
def test_damaged_files_give_an_error_message(
    change: Any, sentence: str, ranks: dict[bytes, int], tmp_path: Path
) -> None:
    path = write(tmp_path / "cl100k.tiktoken", ranks)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match=r"cl100k\.tiktoken is damaged") as caught:
        read_foreign(path)
    assert sentence in str(caught.value)
