"""Searching, filtering and sorting a vocabulary, against a check of each token."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import pytest
from tokenizers import Tokenizer

from terrarium.app.tokenizer.vocabulary import token_finder
from terrarium.app.tokenizer.vocabulary.token_finder import USE_FILTERS, Found, Query, TokenFinder
from terrarium.models.events import Event, Progress
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, Counts, Usage, count_tokens
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary, VocabularyEntry, read_vocabulary

TEXT = "The unbelievable nations believe; naïve café 1234 the then there 東京.\n" * 30


def finish(work: Generator[Event, None, Found]) -> Found:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Found = end.value
            return result


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer([TEXT], "bpe", 330)


@pytest.fixture(scope="module")
def table(bpe: Tokenizer) -> Vocabulary:
    return read_vocabulary(bpe)


@pytest.fixture(scope="module")
def usage(bpe: Tokenizer, table: Vocabulary) -> Usage:
    work = count_tokens(bpe, ["the then then naïve; nation"], 30)
    while True:
        try:
            next(work)
        except StopIteration as end:
            counts: Counts = end.value
            return Usage(table, counts)


@pytest.fixture
def finder(table: Vocabulary, usage: Usage) -> TokenFinder:
    return TokenFinder(table, usage)


def found(finder: TokenFinder, query: Query) -> list[VocabularyEntry]:
    result = finish(finder.find(query))
    assert not result.problem
    return [finder.vocabulary[row] for row in result.rows.tolist()]


def texts(tokens: list[VocabularyEntry]) -> list[str | None]:
    return [token.text for token in tokens]


def test_search_matches_the_text_and_its_display_form(finder: TokenFinder, table: Vocabulary) -> None:
    every = [table[row] for row in range(len(table))]
    assert found(finder, Query()) == every
    assert found(finder, Query(text="th")) == [token for token in every if "th" in (token.text or "")]
    assert " the" in texts(found(finder, Query(text=" the")))
    assert found(finder, Query(text="·the")) == found(finder, Query(text=" the"))
    assert found(finder, Query(text="⟨E6⟩"))[0].bytes == b"\xe6"
    assert found(finder, Query(text="TH")) == []  # tokens differ by their capitals


def test_ids(finder: TokenFinder) -> None:
    assert [token.id for token in found(finder, Query(text="#300"))] == [300]
    assert [token.id for token in found(finder, Query(text="# 300"))] == [300]
    both = found(finder, Query(text="1"))
    assert both[0].id == 1
    assert all(token.id == 1 or "1" in token.shown for token in both)
    assert len(both) > 1
    assert found(finder, Query(text="#999999")) == []
    assert texts(found(finder, Query(text="#"))) == ["#"]


def test_regular_expressions_match_the_text(finder: TokenFinder, table: Vocabulary) -> None:
    wanted = [token for token in map(table.__getitem__, range(len(table))) if (token.text or "").startswith(" ")]
    assert found(finder, Query(text="/^ /")) == wanted
    assert set(texts(found(finder, Query(text="/^[0-9]$/")))) == set("0123456789")
    assert "ï" in "".join(filter(None, texts(found(finder, Query(text=r"/^\w+$/")))))  # of any script
    assert texts(found(finder, Query(text="//"))) == []


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("/(a/", "Invalid regular expression: missing"),
        ("/[z-a]/", "Invalid regular expression"),
        (r"/(.*)*\d\d/", "too long on"),
    ],
)
def test_invalid_or_endless_expressions_give_an_error_message(pattern: str, problem: str) -> None:
    tokenizer = Tokenizer.from_str(train_tokenizer(["a"], "byte", 0).to_str())
    tokenizer.add_tokens(["é" * 60])
    result = finish(TokenFinder(read_vocabulary(tokenizer), None).find(Query(text=pattern)))
    assert problem in result.problem
    assert len(result.rows) == 0


def test_a_search_can_be_cancelled(finder: TokenFinder, table: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_finder, "POLL_S", 0.0)
    work = finder.find(Query(text="/a/"))
    first, second = next(work), next(work)
    assert isinstance(first, Progress)
    assert isinstance(second, Progress)
    assert first.done < second.done < second.total == len(table)
    work.close()


def test_filters_combine(finder: TokenFinder, usage: Usage) -> None:
    starts = found(finder, Query(type="word start"))
    assert starts
    assert {token.type for token in starts} == {"word start"}
    assert found(finder, Query(type="word start", text="th")) == [t for t in starts if "th" in (t.text or "")]
    for use, covers in USE_FILTERS.items():
        tokens = found(finder, Query(use=use))
        uses = {USE_NAMES[usage.uses[finder.vocabulary.row_of(token.id)]] for token in tokens}
        assert uses == set(covers) & {USE_NAMES[i] for i in usage.uses.tolist()}
        assert len(tokens) == usage.n(*covers)
    uncounted = finder.with_usage(None)
    unreachable = found(uncounted, Query(use="unreachable"))
    assert unreachable
    assert not any(token.reachable for token in unreachable)


@pytest.mark.parametrize("column", ["id", "token", "bytes", "length", "type", "count", "made"])
def test_sorting_is_stable_by_id(finder: TokenFinder, table: Vocabulary, usage: Usage, column: str) -> None:
    def key(token: VocabularyEntry) -> object:
        return {
            "id": token.id,
            "token": token.shown,
            "bytes": token.bytes,
            "length": (len(token.bytes), token.n_characters),
            "type": table.types[table.row_of(token.id)],
            "count": usage.counts[table.row_of(token.id)],
            "made": token.rank,
        }[column]

    every = [table[row] for row in range(len(table))]
    last = [token for token in every if column == "made" and token.rank < 0]
    ranked = [token for token in every if token not in last]
    for descending in (False, True):
        order: list[VocabularyEntry] = sorted(ranked, key=key, reverse=descending)  # type: ignore[arg-type, type-var]
        if descending:  # Python's reverse keeps equals in order
            assert [key(token) for token in order] == sorted(map(key, ranked), reverse=True)  # type: ignore[type-var]
        assert found(finder, Query(column=column, descending=descending)) == order + last


def test_tokens_without_a_score_sort_last() -> None:
    tokenizer = train_tokenizer([TEXT], "unigram", 320)
    tokenizer.add_tokens(["added by hand"])
    finder = TokenFinder(read_vocabulary(tokenizer), None)
    for descending in (False, True):
        tokens = found(finder, Query(column="made", descending=descending))
        scores = np.array([token.score for token in tokens], np.float64)
        known = scores[~np.isnan(scores)]
        assert np.isnan(scores[len(known) :]).all()
        assert (np.diff(known) <= 0 if descending else np.diff(known) >= 0).all()
        assert tokens[-1].text == "added by hand"
