"""What is wrong with the pairs of a dataset is found."""

from __future__ import annotations

import random
from typing import Any

import pytest

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus
from terrarium.models.library.library import Library
from terrarium.models.preferences import examining
from terrarium.models.preferences.examining import ExaminedPairs, examine


def row(chosen: str, rejected: str, prompt: str = "Who?", **more: Any) -> Example:
    return {"messages": [{"role": "user", "content": prompt}], "chosen": chosen, "rejected": rejected, **more}


def corpus_of(library: Library, train: list[Example], val: list[Example]) -> Corpus:
    return build_examples_corpus(library, train, val, "pairs", None, task="preference")


def against(found: ExaminedPairs) -> list[int]:
    return [pair.n_against for pair in found.pairs]


def test_pairs_that_contradict_one_another_are_counted(library: Library) -> None:
    train = [
        row("a", "b"),
        row("a", "b", source="person"),
        row("b", "a"),
        row("a", "b", choice="tie"),
        row("a", "b", "Another prompt"),
        row("x", "y", "Round"),
        row("y", "z", "Round"),
        row("z", "x", "Round"),
        row("z", "w", "Round"),
    ]
    found = examine(corpus_of(library, train, [row("a", "c", "Val")]))
    assert against(found) == [2, 2, 3, 3, 0, 1, 1, 1, 0, 0]
    assert (found.n_contradicted, found.n_ties) == (7, 1)
    assert found.sources == {"person": 1}


def leads(start: str, end: str, said: set[tuple[str, str]]) -> bool:
    """Whether what was said leads from one reply to another, by a slow search."""
    reached, todo = set[str](), [start]
    while todo:
        node = todo.pop()
        if node == end:
            return True
        new = {worse for better, worse in said if better == node} - reached
        reached |= new
        todo += new
    return False


def test_circles_are_those_of_a_slow_search(library: Library) -> None:
    rng, rows, expected = random.Random(0), list[Example](), list[bool]()
    for trial in range(60):
        names = "abcdefg"[: rng.randrange(2, 8)]
        some = [row(*rng.sample(names, 2), f"Prompt {trial}") for _ in range(rng.randrange(1, 12))]
        said = {(each["chosen"], each["rejected"]) for each in some}
        expected += [leads(each["rejected"], each["chosen"], said) for each in some]
        rows += some
    found = examine(corpus_of(library, rows, []))
    assert [n > 0 for n in against(found)] == expected
    assert {True, False} == set(expected)


def test_lengths_likeness_and_shared_prompts(library: Library) -> None:
    train = [
        row("one two three", "one"),
        row("one", "one two"),
        row("one two", "three four"),
        row("a b c d e f g h i j.", "a b c d e f g h i k."),
        row("more words", "less", choice="tie"),
    ]
    found = examine(corpus_of(library, train, [row("a", "b"), row("a", "b", "New")]))
    assert [pair.longer for pair in found.pairs] == [2, -1, 0, 0, 1, 0, 0]
    assert (found.longer_wins.n_yes, found.longer_wins.n) == (1, 2)
    assert (found.n_alike, found.n_shared) == (1, 1)
    assert [(pair.split, pair.index) for pair in found.pairs][-2:] == [("val", 0), ("val", 1)]


def test_of_a_large_dataset_the_first_rows_are_examined(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "MAX_ROWS", 5)
    found = examine(corpus_of(library, [row(f"a{i}", "b") for i in range(7)], [row("c", "d")]))
    assert (len(found.pairs), found.n_left_out) == (5, 3)
