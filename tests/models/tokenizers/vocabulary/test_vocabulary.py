"""The vocabulary table against the tokenizer itself, and counts against manual counting."""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as cores

from terrarium.models.events import result_of
from terrarium.models.tokenizers import (
    TokenBytes,
    TokenizerOptions,
    encode_text,
    pieces_of,
    read_tokenizer,
    train_tokenizer,
)
from terrarium.models.tokenizers.vocabulary.csv_file import write_vocabulary_csv
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, Counts, Usage, count_tokens
from terrarium.models.tokenizers.vocabulary.vocabulary import TYPE_NAMES, Vocabulary, read_vocabulary

TEXT = (
    "The internationalization of nations: unbelievable, believable! «Naïve café», Straße 1234 …\n"
    "def add(a, b):\n    return a + b\n\nПривет, мир. 東京 🌱 the the thing, then there; <|end|> is no end here.\n"
) * 30
KINDS = ("byte", "char", "bpe", "wordpiece", "unigram", "word")


@pytest.fixture(scope="module")
def trained() -> dict[str, Tokenizer]:
    sizes = {"byte": 0, "char": 400, "bpe": 460, "wordpiece": 300, "unigram": 400, "word": 60}
    return {kind: train_tokenizer([TEXT], kind, size) for kind, size in sizes.items()}


def counted(tokenizer: Tokenizer, *texts: str) -> Counts:
    return result_of(count_tokens(tokenizer, texts, sum(len(text.encode()) for text in texts)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_is_listed_as_displayed_elsewhere(trained: dict[str, Tokenizer], kind: str) -> None:
    tokenizer = trained[kind]
    table = read_vocabulary(tokenizer)
    assert len(table) == tokenizer.get_vocab_size()
    known = TokenBytes(tokenizer)
    for row, id in enumerate(table.ids.tolist()):
        token = table[row]
        assert table.row_of(id) == row
        assert token.bytes == known[id]
        if token.type != "special":
            assert token.shown == pieces_of(tokenizer, [id])[0].display
        assert token.text is None or (token.text.encode(), len(token.text)) == (token.bytes, token.n_characters)
    assert table.row_of(len(table)) == -1


def types_of(tokenizer: Tokenizer) -> dict[str, str]:
    table = read_vocabulary(tokenizer)
    return {token: table[table.row_of(id)].type for token, id in tokenizer.get_vocab().items()}


def test_types(trained: dict[str, Tokenizer]) -> None:
    bpe = types_of(trained["bpe"])
    assert {bpe["<|end|>"]} == {"special"}
    assert [bpe[token] for token in ("Ġthe", "nation", "a")] == ["word start", "continuation", "character"]
    assert [bpe[token] for token in ("Ã", "ĠĠ", "Ġ+")] == ["byte", "space", "sign"]
    assert "fragment" in bpe.values()
    pieces = types_of(trained["wordpiece"])
    assert (pieces["the"], pieces["##ation"], pieces["<|unk|>"]) == ("word start", "continuation", "special")
    words = types_of(trained["word"])
    assert (words[" the"], words["a"]) == ("word", "character")
    unigram = types_of(trained["unigram"])
    assert (unigram["<0x41>"], unigram["<0xE2>"]) == ("byte", "byte")
    plain = train_tokenizer([TEXT], "bpe", 460, TokenizerOptions(pre_tokenizer="whitespace"))
    assert "piece" in types_of(plain).values()
    assert {"word start", "continuation"}.isdisjoint(types_of(plain).values())


def test_scripts(trained: dict[str, Tokenizer]) -> None:
    table = read_vocabulary(trained["char"])
    scripts = {token.text: token.script for token in map(table.__getitem__, range(len(table)))}
    assert [scripts[c] for c in ("a", "П", "東", "1", " ")] == ["Latin", "Cyrillic", "Han", "", ""]


def test_merges_are_those_that_make_the_token(trained: dict[str, Tokenizer]) -> None:
    table = read_vocabulary(trained["bpe"])
    merged = np.flatnonzero(table.rank >= 0)
    assert len(merged) == table.n_merges > 100
    for row in merged.tolist():
        token = table[row]
        left, right = table[table.row_of(token.left)], table[table.row_of(token.right)]
        assert left.bytes + right.bytes == token.bytes
        assert row in table.merged_from(left.id).tolist()
    assert not np.any(table.rank[table.types == TYPE_NAMES.index("special")] >= 0)


def test_scores_are_those_of_the_file(trained: dict[str, Tokenizer]) -> None:
    table = read_vocabulary(trained["unigram"])
    assert table.scores is not None
    assert table.scores[table.types == TYPE_NAMES.index("continuation")].max() < 0
    assert read_vocabulary(trained["bpe"]).scores is None


def by_hand(vocab: list[str], merges: list[tuple[str, str]]) -> Tokenizer:
    tokenizer = Tokenizer(cores.BPE(vocab={token: id for id, token in enumerate(vocab)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.Fuse()
    return tokenizer


def test_the_merge_that_applies_is_chosen_with_word_suffixes() -> None:
    """“c” ends the word, and goes together with “b” before that does with “a”."""
    merges = [("b", "c</w>"), ("a", "b"), ("ab", "c</w>"), ("a", "bc</w>")]
    ids = {token: id for id, token in enumerate(("a", "b", "c</w>", "bc</w>", "ab", "abc</w>"))}
    table = read_vocabulary(Tokenizer(cores.BPE(vocab=ids, merges=merges, end_of_word_suffix="</w>")))
    token = table[ids["abc</w>"]]
    assert (token.left, token.right, token.rank) == (ids["a"], ids["bc</w>"], 3)


def test_the_merge_that_applies_is_chosen_of_two() -> None:
    tokenizer = by_hand(["a", "b", "c", "ab", "bc", "abc"], [("b", "c"), ("a", "b"), ("ab", "c"), ("a", "bc")])
    token = read_vocabulary(tokenizer)[5]
    assert (token.left, token.right, token.rank) == (0, 4, 3)  # bc is merged first, so ab never is
    assert tokenizer.encode("abc").ids == [5]


def test_tokens_that_no_text_yields_are_unreachable() -> None:
    tokenizer = by_hand(["a", "b", "c", "ab", "bc", "abc", "ca"], [("a", "b"), ("b", "c"), ("a", "bc")])
    table = read_vocabulary(tokenizer)
    assert [table.shown[row] for row in np.flatnonzero(~table.reachable)] == ["abc", "ca"]
    texts = ("".join(letters) for n in range(1, 8) for letters in itertools.product("abc", repeat=n))
    seen = {id for text in texts for id in tokenizer.encode(text).ids}
    assert seen == {0, 1, 2, 3, 4}
    pieces = Tokenizer(cores.Unigram([("a", -1.0), ("b", -1.0), ("ab", -3.0), ("ba", -1.5)], None, False))
    assert read_vocabulary(pieces).reachable.tolist() == [True, True, False, True]


def test_an_empty_token_is_unreachable() -> None:
    """Whisper's multilingual vocabulary has one."""
    core = cores.BPE(vocab={"a": 0, "": 1}, merges=[], ignore_merges=True)
    assert read_vocabulary(Tokenizer(core)).reachable.tolist() == [True, False]


def test_bytes_never_in_utf8_are_unreachable(trained: dict[str, Tokenizer]) -> None:
    for kind in ("byte", "bpe", "unigram"):
        table = read_vocabulary(trained[kind])
        never = {table.data[row][0] for row in np.flatnonzero(~table.reachable) if table.n_bytes[row] == 1}
        assert never == {0xC0, 0xC1, *range(0xF5, 0x100)}


@pytest.mark.parametrize("kind", KINDS)
def test_counts_equal_encoding(trained: dict[str, Tokenizer], kind: str) -> None:
    tokenizer, texts = trained[kind], [TEXT, "", "the end <|end|> of the thing", TEXT[:100]]
    wanted = Counter(id for text in texts for id in encode_text(tokenizer, text))
    counts = counted(tokenizer, *texts)
    assert dict(enumerate(counts.by_id.tolist())) == {id: wanted[id] for id in range(len(counts.by_id))}
    table = read_vocabulary(tokenizer)
    assert not counts.by_id[table.ids[~table.reachable]].any()
    assert (counts.n_bytes, counts.n_characters) == (len("".join(texts).encode()), len("".join(texts)))


def test_truncation_and_padding_are_ignored(trained: dict[str, Tokenizer], tmp_path: Path) -> None:
    limited = Tokenizer.from_str(trained["wordpiece"].to_str())
    limited.enable_truncation(4)
    limited.enable_padding(length=9)
    limited.save(str(tmp_path / "tokenizer.json"))
    read = read_tokenizer(tmp_path / "tokenizer.json")
    assert counted(read, TEXT, "a").by_id.tolist() == counted(trained["wordpiece"], TEXT, "a").by_id.tolist()


def test_a_long_text_is_counted_in_batches_and_can_be_cancelled(trained: dict[str, Tokenizer]) -> None:
    asked: list[int] = []

    def texts() -> Iterator[str]:
        for i in range(100):
            asked.append(i)
            yield TEXT * 30

    work = count_tokens(trained["bpe"], texts(), 100 * len((TEXT * 30).encode()))
    assert next(work).done == 0
    first, second = next(work), next(work)
    assert 0 < first.done < second.done < second.total
    assert second.seconds_left is not None
    work.close()
    assert len(asked) < 20


def test_no_text_gives_an_error_message(trained: dict[str, Tokenizer]) -> None:
    with pytest.raises(ValueError, match="The corpus contains no text"):
        counted(trained["bpe"], "", "")


def replayed(table: Vocabulary, words: list[bytes]) -> tuple[Counter[bytes], Counter[bytes]]:
    """(tokens, parts that were merged) of words, by doing the merges one by one."""
    ranks = {}
    for row in np.flatnonzero(table.rank >= 0).tolist():
        token = table[row]
        ranks[table.data[table.row_of(token.left)], table.data[table.row_of(token.right)]] = token.rank
    tokens: Counter[bytes] = Counter()
    steps: Counter[bytes] = Counter()
    for word in words:
        parts = [bytes([byte]) for byte in word]
        while True:
            known = [pair for pair in itertools.pairwise(parts) if pair in ranks]
            if not known:
                break
            best = min(known, key=ranks.__getitem__)
            at = list(itertools.pairwise(parts)).index(best)
            steps.update(best)
            parts[at : at + 2] = [best[0] + best[1]]
        tokens.update(parts)
    return tokens, steps


def test_intermediate_counts_equal_manual_merging(trained: dict[str, Tokenizer]) -> None:
    tokenizer, text = trained["bpe"], "the nations then; unbelievable café in nation"
    table = read_vocabulary(tokenizer)
    usage = Usage(table, counted(tokenizer, text))
    words = [text.encode()[a:b] for a, b in (m.span() for m in re.finditer(rb" ?[^ ;]+|;", text.encode()))]
    tokens, steps = replayed(table, words)
    for row, data in enumerate(table.data):
        if TYPE_NAMES[table.types[row]] != "special":
            assert (int(usage.counts[row]), int(usage.as_steps[row])) == (tokens[data], steps[data]), data
            wanted = "once" if tokens[data] == 1 else "repeated" if tokens[data] else "step" if steps[data] else "never"
            if not tokens[data] and not table.reachable[row]:
                wanted = "unreachable"
            assert USE_NAMES[usage.uses[row]] == wanted, data
        else:
            assert USE_NAMES[usage.uses[row]] == "special"


def test_statistics_follow_from_counts(trained: dict[str, Tokenizer]) -> None:
    tokenizer = trained["bpe"]
    table = read_vocabulary(tokenizer)
    usage = Usage(table, counted(tokenizer, TEXT, "zq"))
    counts = sorted((count for count in usage.counts.tolist() if count), reverse=True)
    assert usage.frequencies.tolist() == counts
    assert usage.n_tokens == sum(counts)
    assert usage.n("once") == counts.count(1) > 0
    assert usage.n(*USE_NAMES) == len(table)
    for share in (0.1, 0.5, 0.9, 1.0):
        n = usage.n_for(share)
        assert sum(counts[:n]) >= share * sum(counts) > sum(counts[: n - 1])
    first = int(np.flatnonzero(usage.ranks == 1)[0])
    assert usage.counts[first] == counts[0]
    assert sorted(usage.ranks[usage.counts > 0]) == list(range(1, len(counts) + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_csv_has_every_token_exactly(trained: dict[str, Tokenizer], kind: str, tmp_path: Path) -> None:
    tokenizer, path = trained[kind], tmp_path / "vocabulary.csv"
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.add_tokens(['"quoted", with\ncommas\r\n and \t'])
    table = read_vocabulary(tokenizer)
    usage = Usage(table, counted(tokenizer, TEXT))
    write_vocabulary_csv(path, table, usage, range(len(table)))
    with path.open(encoding="utf-8", newline="") as file:
        lines: list[dict[str, Any]] = list(csv.DictReader(file))
    assert len(lines) == len(table)
    for row, line in enumerate(lines):
        token = table[row]
        assert (int(line["id"]), line["token"], line["text"]) == (token.id, token.shown, token.text or "")
        assert bytes.fromhex(line["bytes"]) == token.bytes
        assert (line["type"], int(line["count"])) == (token.type, usage.counts[row])
        assert float(line["share"]) == usage.counts[row] / usage.n_tokens
        if kind == "bpe":
            made = tuple(int(line[name] or -1) for name in ("left", "right", "rank"))
            assert made == (token.left, token.right, token.rank)
        if kind == "unigram" and token.type != "added":
            assert float(line["score"]) == token.score
    write_vocabulary_csv(path, table, None, [3, 1])
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["id"]) for line in lines] == [table.ids[3], table.ids[1]]
    assert "count" not in lines[0]
