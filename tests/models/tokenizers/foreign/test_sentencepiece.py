"""SentencePiece models trained here: the same ids as the library itself."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import Normalizer

from terrarium.models.tokenizers.foreign.charsmap import make_charsmap, read_charsmap, replace_longest
from terrarium.models.tokenizers.foreign.foreign_files import read_foreign
from terrarium.models.tokenizers.foreign.gguf_tokenizer import make_tokenizer
from terrarium.models.tokenizers.foreign.merges import derive_merges, find_undecided
from terrarium.models.tokenizers.foreign.replacing import replacement_steps
from terrarium.models.tokenizers.foreign.sentencepiece import sentencepiece_tokenizer
from terrarium.models.tokenizers.foreign.sentencepiece_file import PieceKind, parse_sentencepiece
from tests.models.tokenizers.foreign.support import all_texts, ids_of, lines, mixed_texts, saved

CONTROLS = ("<unk>", "<s>", "</s>")
"""SentencePiece encodes these as characters; we, like transformers, parse them."""


def train(**options: Any) -> bytes:
    """A model of 400 pieces, in the file's form."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines(),
        model_writer=out,
        minloglevel=2,
        hard_vocab_limit=False,
        **{"vocab_size": 400, "character_coverage": 1.0, **options},
    )
    return out.getvalue()


def pair(data: bytes) -> tuple[sentencepiece.SentencePieceProcessor, Tokenizer]:
    """SentencePiece's own, and ours, written and read."""
    ours, _ = sentencepiece_tokenizer(parse_sentencepiece(data, "it.model"))
    return sentencepiece.SentencePieceProcessor(model_proto=data), saved(ours)


SYMBOLS = {"user_defined_symbols": ["<sep>", "▁▁", "▁▁▁▁", "\n"], "normalization_rule_name": "identity"}
OPTIONS: dict[str, dict[str, Any]] = {
    "bpe identity": {"model_type": "bpe", "normalization_rule_name": "identity"},
    "bpe nmt_nfkc": {"model_type": "bpe"},
    "bpe nfkc bytes": {
        "model_type": "bpe",
        "normalization_rule_name": "nfkc",
        "byte_fallback": True,
        "vocab_size": 600,
    },
    "bpe as Llama's": {
        "model_type": "bpe",
        "normalization_rule_name": "identity",
        "byte_fallback": True,
        "remove_extra_whitespaces": False,
        "allow_whitespace_only_pieces": True,
        "split_digits": True,
        "vocab_size": 600,
    },
    "bpe symbols": {
        "model_type": "bpe",
        "byte_fallback": True,
        "vocab_size": 600,
        **SYMBOLS,
        "remove_extra_whitespaces": False,
    },
    "bpe over words": {"model_type": "bpe", "split_by_whitespace": False},
    "unigram identity": {"model_type": "unigram", "normalization_rule_name": "identity"},
    "unigram nmt_nfkc": {"model_type": "unigram"},
    "unigram bytes": {"model_type": "unigram", "byte_fallback": True, "vocab_size": 600},
    "unigram symbols": {
        "model_type": "unigram",
        "user_defined_symbols": ["<sep>", "the"],
        "byte_fallback": True,
        "vocab_size": 600,
    },
    "unigram spaces kept": {"model_type": "unigram", "remove_extra_whitespaces": False},
    "unigram bare": {"model_type": "unigram", "remove_extra_whitespaces": False, "add_dummy_prefix": False},
    "char": {"model_type": "char"},
}


@pytest.fixture(scope="module", autouse=True)
def rules_worked_out_once() -> Iterator[None]:
    """Most of these models change texts by the same 28,000 rules, which take seconds to turn into steps."""
    read = cache(read_charsmap)
    known: dict[object, list[Normalizer] | None] = {}

    def steps(rules: Mapping[str, str], symbols: Sequence[str] = ()) -> list[Normalizer] | None:
        key = id(rules), tuple(symbols)  # rules are read but once
        if key not in known:
            known[key] = replacement_steps(rules, symbols)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("terrarium.models.tokenizers.foreign.sentencepiece.read_charsmap", read)
        patch.setattr("terrarium.models.tokenizers.foreign.sentencepiece.replacement_steps", steps)
        yield


@pytest.mark.parametrize("name", OPTIONS)
def test_ids_are_those_of_sentencepiece(name: str) -> None:
    theirs, ours = pair(train(**OPTIONS[name]))
    for text in all_texts():
        if not any(control in text for control in CONTROLS):
            assert ids_of(ours, text) == theirs.encode(text), repr(text)
            ids = theirs.encode(text)
            if theirs.unk_id() not in ids:
                assert ours.decode(ids) == theirs.decode(ids), repr(text)


@cache
def two_pairs() -> tuple[tuple[sentencepiece.SentencePieceProcessor, Tokenizer], ...]:
    return pair(train(**OPTIONS["bpe nmt_nfkc"])), pair(train(**OPTIONS["unigram bytes"]))


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_ids_of_any_text(text: str) -> None:
    if any(kept in text for kept in "\ufff0\ufff1"):  # unassigned; see models.tokenizers.foreign.replacing
        return
    for theirs, ours in two_pairs():
        spelled_out = any(token.content in text for token in ours.get_added_tokens_decoder().values())
        assert spelled_out or ids_of(ours, text) == theirs.encode(text)  # of those see the next test


def test_control_symbols_are_parsed() -> None:
    theirs, ours = pair(train(model_type="bpe", control_symbols=["<ctl>"]))
    ids = ids_of(ours, "<ctl>the cat</s>")
    assert ids == [theirs.piece_to_id("<ctl>"), *theirs.encode("the cat"), theirs.eos_id()]


def test_hidden_pieces_never_match() -> None:
    """“＜s＞” becomes “<s>” when normalised, and bytes can be spelled out."""
    for name in ("unigram bytes", "bpe nfkc bytes"):
        theirs, ours = pair(train(**OPTIONS[name]))
        for text in ("＜s＞", "<0x41><0x0A>", "a<0x41>b"):
            assert ids_of(ours, text) == theirs.encode(text)


def test_files_beside_a_model_are_read(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(train(model_type="bpe"))
    said = {"tokenizer_class": "LlamaTokenizer", "chat_template": "{{ messages }}", "bos_token": {"content": "<s>"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(said))
    found = read_foreign(tmp_path)
    assert (found.template, found.named_tokens) == ("{{ messages }}", {"bos_token": "<s>"})


RUNS = {"model_type": "bpe", "normalization_rule_name": "identity", "byte_fallback": True, "vocab_size": 700}


def with_runs(scores: Mapping[str, float], **options: Any) -> bytes:
    """A model that keeps spaces, with some pieces more, whose scores are given."""
    changed = sentencepiece_model_pb2.ModelProto.FromString(
        train(**RUNS, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, **options)
    )
    for piece in changed.pieces:
        piece.score = scores.get(piece.piece, piece.score)
    known = {piece.piece for piece in changed.pieces}
    for text, score in scores.items():
        if text not in known:
            changed.pieces.add(piece=text, score=score)
    return changed.SerializeToString()


WHITE_SPACE = {"▁" * n: -1e9 for n in (*range(1, 15), 16)}
"""As in Llama and Mistral: 15 pieces share the lowest score, and there is none of 15."""


@pytest.mark.parametrize("symbols", [[], ["[REF]", "[/REF]"]])
def test_runs_of_equal_scores_are_merged_from_left_to_right(symbols: list[str]) -> None:
    theirs, ours = pair(with_runs(WHITE_SPACE, user_defined_symbols=symbols))
    runs = [
        before + " " * n + after for n in range(80) for before in ("", "a", "▁\n") for after in ("", "the", "\n", "9")
    ]
    assert [len(ids_of(ours, " " * n)) for n in (13, 14, 15, 30)] == [1, 2, 1, 3]  # and one before each text
    for text in [*runs, *all_texts(), *mixed_texts(300)]:
        if not any(control in text for control in CONTROLS):
            assert ids_of(ours, text) == theirs.encode(text), repr(text)
            assert ours.decode(theirs.encode(text)) == theirs.decode(theirs.encode(text)), repr(text)


def test_a_piece_that_no_merge_makes_is_not_found_beside_symbols() -> None:
    """As “▁YYYY” in Gemma: symbols are looked up, as whole words, and that would find it."""
    theirs, ours = pair(with_runs({"▁xqx": -1e6}, user_defined_symbols=["[REF]"]))
    id = theirs.piece_to_id("▁xqx")
    for text in ("xqx", "the xqx", "[REF] xqx", " xqx"):
        assert ids_of(ours, text) == theirs.encode(text)
        assert id not in ids_of(ours, text)
    assert ours.decode([id, id]) == theirs.decode([id, id])


@given(st.sets(st.integers(2, 12), min_size=1), st.integers(0, 60))
def test_runs_of_any_lengths(lengths: set[int], n: int) -> None:
    """What is merged first is what SentencePiece would: the leftmost pair, whichever piece it makes."""
    ranks = {"▁" * length: 1.0 for length in lengths}
    merges = derive_merges(ranks)
    assert find_undecided(ranks, merges) is None
    vocab = {"▁" * length: length for length in {1, *lengths}}
    known = Tokenizer(BPE(vocab=vocab, merges=merges)).encode("▁" * n).ids
    symbols = [1] * n
    while (
        at := next((i for i in range(len(symbols) - 1) if symbols[i] + symbols[i + 1] in lengths), None)
    ) is not None:
        symbols[at : at + 2] = [symbols[at] + symbols[at + 1]]
    assert known == symbols


@pytest.mark.parametrize(
    "scores",
    [
        {"th": -5e8, "at": -5e8},  # of “tha” and “ath”, say, the leftmost pair would be merged
        {**WHITE_SPACE, "▁▁▁▁a": -2e9},  # a run is part of another piece
        {**WHITE_SPACE, "▁▁▁": -5e8},  # not all runs have the same score
    ],
)
def test_other_equal_scores_are_refused(scores: dict[str, float], tmp_path: Path) -> None:
    path = tmp_path / "it.model"
    path.write_bytes(with_runs(scores))
    with pytest.raises(
        ValueError, match=r"it\.model cannot be read: pieces such as .* have equal scores, so which one"
    ):
        read_foreign(path)


def test_a_run_as_likely_as_its_parts_is_refused(tmp_path: Path) -> None:
    """As in Jurassic-2: four spaces have twice the score of two, so that rounding decides."""
    changed = sentencepiece_model_pb2.ModelProto.FromString(train(**OPTIONS["unigram spaces kept"]))
    for n in (2, 4):
        changed.pieces.add(piece="▁" * n, score=-2.25 * n)
    path = tmp_path / "it.model"
    path.write_bytes(changed.SerializeToString())
    with pytest.raises(ValueError, match=r"it\.model cannot be read: its piece '▁▁▁▁' is exactly as likely"):
        read_foreign(path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"model_type": "word"}, "of type word, which is not supported"),
        ({"model_type": "bpe", "treat_whitespace_as_suffix": True}, "as a suffix of words, which is not supported"),
        (
            {"model_type": "bpe", "normalization_rule_name": "nmt_nfkc_cf"},
            r"normaliser \(nmt_nfkc_cf\) cannot be converted",
        ),
        (
            {"model_type": "bpe", "user_defined_symbols": ["▁▁"]},
            "cannot be converted exactly together with its symbols",
        ),
    ],
)
def test_inexact_conversions_are_rejected(options: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "it.model"
    path.write_bytes(train(**options))
    with pytest.raises(ValueError, match=sentence) as caught:
        read_foreign(path)
    assert "it.model" in str(caught.value)


def test_a_truncated_model_is_damaged(tmp_path: Path) -> None:
    data, path = train(model_type="bpe"), tmp_path / "it.model"
    for n in (len(data) // 3, len(data) - 5, 40):
        path.write_bytes(data[:n])
        with pytest.raises(ValueError, match=r"it\.model is damaged"):
            read_foreign(path)
    middle = data[:-9000] + bytes(200) + data[-8800:]  # in the table of replacements, or before it
    path.write_bytes(middle)
    with pytest.raises(ValueError, match=r"it\.model"):
        read_foreign(path)


# The table of replacements


def test_a_charsmap_round_trips() -> None:
    rules = {"a": "bc", "ﬁ": "fi", "ab": "", "日": "本", "\U0001f600": "x", "a\u0301": "á"}
    assert read_charsmap(make_charsmap(rules)) == rules
    assert replace_longest(rules, "xabaﬁa\u0301a", 2) == "xbcfiábc"
    for blob in (b"\1", make_charsmap(rules)[:40], make_charsmap(rules)[:-8]):
        with pytest.raises(ValueError, match=r"table|substring|subsection"):
            read_charsmap(blob)


def test_context_dependent_rules_are_rejected() -> None:
    chain = {f"x{chr(97 + i)}": "?" for i in range(26)} | {f"{chr(97 + i)}x": "!" for i in range(26)}
    assert replacement_steps({**chain, **{f"y{chr(97 + i)}": "." for i in range(26)}}) is None
    assert replacement_steps({}) == []


# The same in a GGUF file


def test_a_gguf_file_keeps_the_same_model(tmp_path: Path) -> None:
    theirs, _ = pair(data := train(**OPTIONS["bpe as Llama's"]))
    model = parse_sentencepiece(data, "it.model")
    writer = gguf.GGUFWriter(tmp_path / "it.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_token_list([piece.text for piece in model.pieces])
    writer.add_token_scores([piece.score for piece in model.pieces])
    writer.add_token_types([int(piece.kind) for piece in model.pieces])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    ours = read_foreign(tmp_path / "it.gguf").tokenizer
    for text in all_texts():
        if not any(control in text for control in CONTROLS):
            assert ids_of(ours, text) == theirs.encode(text), repr(text)


def test_symbols_in_a_gguf_file_are_written_with_spaces() -> None:
    """As Gemma's, whose unknown token is among the control symbols besides."""
    theirs, _ = pair(data := train(**OPTIONS["bpe symbols"]))
    model = parse_sentencepiece(data, "it.model")
    kinds = [PieceKind.CONTROL if piece.kind == PieceKind.UNKNOWN else piece.kind for piece in model.pieces]
    about = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [
            piece.text.replace("▁", " ") if piece.kind == PieceKind.USER_DEFINED else piece.text
            for piece in model.pieces
        ],
        "tokenizer.ggml.scores": [piece.score for piece in model.pieces],
        "tokenizer.ggml.token_type": [int(kind) for kind in kinds],
        "tokenizer.ggml.unknown_token_id": theirs.unk_id(),
    }
    ours = make_tokenizer(about, "it.gguf")
    assert ours is not None
    for text in all_texts():
        if not any(control in text for control in CONTROLS):
            assert ids_of(ours, text) == theirs.encode(text), repr(text)


def test_a_gguf_file_keeps_unigram_and_its_table() -> None:
    theirs, _ = pair(data := train(model_type="unigram"))
    model = parse_sentencepiece(data, "it.model")
    about = {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": [piece.text for piece in model.pieces],
        "tokenizer.ggml.scores": [piece.score for piece in model.pieces],
        "tokenizer.ggml.token_type": [int(piece.kind) for piece in model.pieces],
        "tokenizer.ggml.precompiled_charsmap": [byte - 256 if byte > 127 else byte for byte in model.charsmap],
        "tokenizer.ggml.remove_extra_whitespaces": True,
    }
    ours = make_tokenizer(about, "it.gguf")
    assert ours is not None
    for text in all_texts():
        if not any(control in text for control in CONTROLS):
            assert ids_of(ours, text) == theirs.encode(text), repr(text)
