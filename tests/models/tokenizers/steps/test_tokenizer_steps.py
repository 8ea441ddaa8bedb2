"""The steps of every word end in the tokens of the tokenizer itself, for all kinds and settings."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from terrarium.models.settings.tokenizer_options import KINDS, TokenizerOptions
from terrarium.models.tokenizers import TokenBytes, encode_prompt, train_tokenizer
from terrarium.models.tokenizers.steps.bpe import BpeSteps
from terrarium.models.tokenizers.steps.steps import TokenizerSteps, find_mismatches
from terrarium.models.tokenizers.steps.unigram import UnigramSteps
from terrarium.models.tokenizers.steps.wordpiece import WordPieceSteps

CORPUS = [
    "the cat and the hat sat on the mat, unbelievable! believable able table stable. " * 30,
    "internationalization of the nation, national stations. Straße groß naïve café 日本語 日本 🌱🌱 " * 20,
    "banana bandana aaaa aaa aa a abab ababab 1984 2024 3.14159 def add(a, b):\n    return a + b\n" * 20,
]
WORDS = "the cat unbelievable internationalization Straße 🌱 日本語 banana aaaaaaa ababa <|end|> <x> [M] # ##a ▁a a</w>"


def _trained(core: models.Model, trainer: trainers.Trainer, **parts: object) -> Tokenizer:
    tokenizer = Tokenizer(core)
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def _gpt2() -> Tokenizer:
    trainer = trainers.BpeTrainer(
        vocab_size=500, show_progress=False, initial_alphabet=sorted(TokenBytes.alphabet()), special_tokens=["<x>"]
    )
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return _trained(models.BPE(), trainer, pre_tokenizer=byte_level, decoder=decoders.ByteLevel())


def _llama3() -> Tokenizer:
    # Its words are looked up first; some of its tokens no merge makes.
    tokenizer = _gpt2()
    tokenizer.model.ignore_merges = True
    return tokenizer


def _llama2() -> Tokenizer:
    core = models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        special_tokens=["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))],
        limit_alphabet=60,
    )
    normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return _trained(core, trainer, normalizer=normalizer)


def _bpe(limit: int = 100, **options: Any) -> Tokenizer:
    marks = {name: options[name] for name in ("continuing_subword_prefix", "end_of_word_suffix") if name in options}
    trainer = trainers.BpeTrainer(
        vocab_size=300, show_progress=False, special_tokens=["<unk>"], limit_alphabet=limit, **marks
    )
    return _trained(models.BPE(**options), trainer, pre_tokenizer=pre_tokenizers.WhitespaceSplit())


def _bert() -> Tokenizer:
    trainer = trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=["[UNK]", "[M]"])
    core = models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=12)
    tokenizer = _trained(
        core, trainer, normalizer=normalizers.BertNormalizer(), pre_tokenizer=pre_tokenizers.BertPreTokenizer()
    )
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=9)
    return tokenizer


def _t5(**options: Any) -> Tokenizer:
    trainer = trainers.UnigramTrainer(
        vocab_size=220, show_progress=False, special_tokens=["<unk>", "<x>"], unk_token="<unk>"
    )
    return _trained(
        models.Unigram(),
        trainer,
        normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]),
        pre_tokenizer=pre_tokenizers.Metaspace(**options),
    )


def _with_added_tokens() -> Tokenizer:
    tokenizer = _t5(prepend_scheme="first")
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.add_tokens(
        [
            AddedToken("[M]", lstrip=True, normalized=False),
            AddedToken("CAT", single_word=True, normalized=True),
            AddedToken("hat", rstrip=True, normalized=True),
            AddedToken("##", normalized=False),
        ]
    )
    return tokenizer


def _with_dropout() -> Tokenizer:
    tokenizer = _bpe(unk_token="<unk>")
    tokenizer.model.dropout = 0.5
    return tokenizer


FOREIGN = {
    "gpt2": _gpt2,
    "llama3": _llama3,
    "llama2": _llama2,
    "suffix": lambda: _bpe(20, end_of_word_suffix="</w>", unk_token="<unk>"),
    "prefix": lambda: _bpe(20, continuing_subword_prefix="##", unk_token="<unk>", fuse_unk=True),
    "both marks": lambda: _bpe(continuing_subword_prefix="@@", end_of_word_suffix="$"),
    "bert": _bert,
    "t5": lambda: _t5(prepend_scheme="always"),
    "t5 in one": lambda: _t5(prepend_scheme="first", split=False),
    "added tokens": _with_added_tokens,
    "dropout": _with_dropout,
}
OURS = {
    **{kind: (kind, TokenizerOptions()) for kind in KINDS},
    "bpe, one word": ("bpe", TokenizerOptions(pre_tokenizer="none", normalizer="bert")),
    "bpe, gpt4": ("bpe", TokenizerOptions(pre_tokenizer="gpt4", special_tokens=("cat", "<x>"))),
    "char, unknown": ("char", TokenizerOptions(byte_fallback=False, normalizer="nfkc")),
    "unigram, unknown": ("unigram", TokenizerOptions(byte_fallback=False, normalizer="lowercase")),
    "unigram, marked words": ("unigram", TokenizerOptions(pre_tokenizer="whitespace")),
    "word, gpt2": ("word", TokenizerOptions(pre_tokenizer="gpt2")),
}


@cache
def _steps(name: str) -> TokenizerSteps:
    if name in FOREIGN:
        return TokenizerSteps(FOREIGN[name]())
    kind, options = OURS[name]
    size = {"char": 300 if options.byte_fallback else 40, "word": 60}.get(kind, 600)
    return TokenizerSteps(train_tokenizer(CORPUS, kind, size, options))


_pieces = st.sampled_from([*WORDS.split(), " ", "  ", "\n", "A", "é", "e\u0301", "ﬁ", "١", "שלום", "\0", "\u200d"])
texts = st.one_of(st.text(max_size=60), st.lists(_pieces, max_size=30).map("".join), st.text("ab ", max_size=80))


@pytest.mark.parametrize("name", [*OURS, *FOREIGN])
@settings(max_examples=25, deadline=None)
@example(WORDS)
@example("")
@example("  the\0cat\n\n")
@example("\u0300CAT \x1ccat²")
@given(texts)
def test_every_word_ends_in_the_tokens_of_the_tokenizer(name: str, text: str) -> None:
    steps = _steps(name)
    split = steps.split(text)
    assert split.agrees
    assert find_mismatches(steps, split.words) == []
    assert sum(word.count for word in split.words) == split.n_words
    total = sum(word.count * len(word.encoded) for word in split.words)
    assert total == len(steps.encoder.encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", ["bpe", "gpt2", "llama2", "suffix", "prefix", "bpe, one word"])
@settings(max_examples=20, deadline=None)
@given(texts)
def test_each_merge_joins_two_neighbours(name: str, text: str) -> None:
    steps = _steps(name)
    for word in steps.split(text).words:
        if word.added_id is not None:
            continue
        found = steps.steps(word.text)
        assert isinstance(found, BpeSteps)
        for step in range(1, found.n_steps + 1):
            before, after = found.state(step - 1), found.state(step)
            made = found.merge(step)
            at = before.index(made.left)
            assert before[at + 1] == made.right
            assert after == [*before[:at], found.n_symbols + step - 1, *before[at + 2 :]]
            assert steps.bpe is not None
            assert steps.bpe.rank(found.nodes[made.left].id, found.nodes[made.right].id) == made.rank
            # Nothing that could have been merged before had a lower rank.
            ranks = [steps.bpe.rank(found.nodes[a].id, found.nodes[b].id) for a, b in itertools.pairwise(before)]
            assert made.rank == min(rank for rank in ranks if rank is not None)


def test_a_token_is_always_made_by_the_same_merges() -> None:
    for name in ("gpt2", "llama2", "suffix", "prefix", "both marks"):
        steps = _steps(name)
        for text in CORPUS:
            for word in steps.split(text[:2000]).words:
                found = steps.steps(word.text)
                assert isinstance(found, BpeSteps)
                in_words = Counter(node.rank for node in found.nodes if node.rank is not None)
                in_tokens: Counter[int | None] = Counter()
                for id in found.ids:
                    assert steps.bpe is not None
                    token = steps.bpe.token_steps(steps.tokenizer.id_to_token(id) or "")
                    if token is not None:
                        in_tokens.update(node.rank for node in token.nodes if node.rank is not None)
                assert in_words == in_tokens


def test_the_merges_of_unbelievable() -> None:
    merges = [("l", "e"), ("u", "n"), ("a", "b"), ("ab", "le"), ("e", "v"), ("un", "b")]
    letters = sorted(set("unbelievable"))
    tokens = [*letters, *(left + right for left, right in merges)]
    tokenizer = Tokenizer(models.BPE(vocab={token: id for id, token in enumerate(tokens)}, merges=merges))
    steps = TokenizerSteps(tokenizer)
    found = steps.steps("unbelievable")
    assert isinstance(found, BpeSteps)
    states = [[steps.show_token(found.nodes[i].id) for i in found.state(k)] for k in range(found.n_steps + 1)]
    assert states[0] == list("unbelievable")
    assert states[1] == ["u", "n", "b", "e", "l", "i", "e", "v", "a", "b", "le"]
    assert states[-1] == ["unb", "e", "l", "i", "ev", "able"]
    assert [found.merge(k).rank for k in range(1, found.n_steps + 1)] == [0, 1, 2, 3, 4, 5]
    assert list(found.ids) == encode_prompt(tokenizer, "unbelievable")


def test_a_looked_up_word_is_not_merged() -> None:
    (word,) = _steps("llama3").split("the").words
    found = _steps("llama3").steps(word.text)
    assert isinstance(found, BpeSteps)
    assert found.looked_up
    assert found.n_steps == 0
    assert _steps("gpt2").steps(word.text).n_steps != 0


def test_dropped_characters_are_reported() -> None:
    found = _steps("both marks").steps("a☃b")
    assert isinstance(found, BpeSteps)
    assert found.dropped == "☃"


def test_the_scan_tries_from_long_to_short() -> None:
    vocabulary = {token: id for id, token in enumerate(["[UNK]", "un", "##believ", "##able", "u", "##x"])}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=20))
    steps = TokenizerSteps(tokenizer)
    found = steps.steps("unbelievable")
    assert isinstance(found, WordPieceSteps)
    tries = [found.tried(k) for k in range(1, found.n_steps + 1)]
    first = [t.piece for t in tries if t.start == 0]
    assert first == ["unbelievable"[:end] for end in range(12, 1, -1)]
    assert [t.piece for t in tries if t.id is not None] == ["un", "##believ", "##able"]
    assert found.ids == (1, 2, 3)
    failing = steps.steps("unbe")
    assert isinstance(failing, WordPieceSteps)
    assert failing.is_unknown
    assert [failing.tried(k).piece for k in range(1, failing.n_steps + 1)] == ["unbe", "unb", "un", "##be", "##b"]
    assert failing.ids == (0,)
    too_long = steps.steps("u" * 21)
    assert isinstance(too_long, WordPieceSteps)
    assert too_long.is_too_long
    assert (too_long.n_steps, too_long.ids) == (0, (0,))


@settings(max_examples=60, deadline=None)
@given(st.text("abcé🌱", min_size=1, max_size=7))
def test_the_lattice_has_every_segmentation(word: str) -> None:
    scored = [("<unk>", 0.0), ("a", -2.0), ("b", -2.5), ("ab", -3.0), ("ba", -3.2), ("aba", -4.0), ("c", -3.0)]
    scored += [("bc", -3.5), ("cab", -6.0), ("éa", -4.0)]
    steps = TokenizerSteps(Tokenizer(models.Unigram(scored, unk_id=0, byte_fallback=False)))
    found = steps.steps(word)
    assert isinstance(found, UnigramSteps)
    scores: list[float] = []
    known = dict(scored[1:])
    for cuts in itertools.product((False, True), repeat=len(word) - 1):
        edges = [0, *(i + 1 for i, cut in enumerate(cuts) if cut), len(word)]
        parts = [word[start:end] for start, end in itertools.pairwise(edges)]
        if all(part in known or (len(part) == 1) for part in parts):
            scores.append(sum(known.get(part, -16.0) for part in parts))
    scores.sort(reverse=True)
    assert math.isclose(found.score, scores[0], abs_tol=1e-9)
    ways = found.segmentations(5)
    assert ways[0].pieces == found.best
    assert [way.score for way in ways] == pytest.approx(scores[:5])
    total = sum(math.exp(score) for score in scores)
    assert [way.probability for way in ways] == pytest.approx([math.exp(score) / total for score in scores[:5]])
    assert len({way.pieces for way in ways}) == len(ways)


def test_long_words_are_fast() -> None:
    for name in ("bpe, one word", "unigram", "t5 in one", "bert", "llama2"):
        steps = _steps(name)
        split = steps.split("ab" * 5000)
        assert find_mismatches(steps, split.words) == []


@pytest.mark.parametrize(
    ("core", "word"),
    [
        (models.WordPiece(vocab={"a": 0}, unk_token="?"), "b"),
        (models.WordLevel(vocab={"a": 0}, unk_token="?"), "b"),
        (models.Unigram([("a", -1.0)]), "b"),
        (models.BPE(vocab={"a": 0}, merges=[], unk_token="?"), "b"),
    ],
)
def test_failures_of_the_tokenizer_are_reported(core: models.Model, word: str) -> None:
    steps = TokenizerSteps(Tokenizer(core))
    with pytest.raises(ValueError, match=r"unknown|does not know"):
        steps.steps(word)
