"""Pronoun pairs: balanced in every way but the one that tells, and held out by noun and adjective."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache

import pytest

from terrarium.models.tiny_world.pronouns import (
    ADJECTIVES,
    BEINGS,
    NOUNS,
    SCENARIOS,
    MinimalPair,
    Reference,
    minimal_pairs,
    sentences,
)

SPLITS = pytest.mark.parametrize("held_out", [False, True])


def test_there_are_enough_nouns_and_adjectives() -> None:
    assert len(NOUNS) >= 30
    assert len(ADJECTIVES) >= 20
    assert not set(BEINGS) & {thing for scenario in SCENARIOS for thing in scenario.things}
    of_beings = {word for scenario in SCENARIOS for word in scenario.of_beings}
    of_things = {word for scenario in SCENARIOS for word in scenario.of_things}
    assert not of_beings & of_things


@SPLITS
def test_pairs_differ_in_the_adjective_alone_and_in_what_it_means(held_out: bool) -> None:
    pairs = list(minimal_pairs(held_out=held_out))
    assert len(pairs) > 5000
    for pair in pairs:
        one, other = pair.of_being.text.split(), pair.of_thing.text.split()
        assert [a == b for a, b in zip(one, other, strict=True)] == [True] * (len(one) - 1) + [False]
        assert (pair.of_being.gold, pair.of_being.other) == (pair.of_thing.other, pair.of_thing.gold)
        assert pair.of_being.held_out == pair.of_thing.held_out == held_out
        assert pair.of_being.gold in BEINGS
        assert one.index("it") < len(one) - 1


def test_held_out_are_nouns_with_adjectives() -> None:
    said = {split: {(s.gold, s.word) for s in sentences(held_out=split)} for split in (False, True)}
    together = {(noun, s.word) for s in sentences(held_out=False) for noun in (s.gold, s.other)}
    assert not said[True] & together  # in no place of a training sentence
    for split in (False, True):
        assert {noun for noun, _ in said[split]} == set(NOUNS)
        assert {word for _, word in said[split]} == set(ADJECTIVES)
    assert ("animal", "tired") in said[True]
    assert ("street", "wide") in said[True]


def first_noun(sentence: Reference) -> str:
    return min((sentence.gold, sentence.other), key=sentence.text.index)


@cache
def sentences_of_pairs(held_out: bool) -> list[tuple[MinimalPair, Reference, str]]:
    """Each sentence of each pair, in which it stands, and its first noun."""
    return [
        (pair, sentence, first_noun(sentence))
        for pair in minimal_pairs(held_out=held_out)
        for sentence in (pair.of_being, pair.of_thing)
    ]


@SPLITS
@pytest.mark.parametrize(
    "seen",
    [
        lambda pair, sentence, first: (),
        lambda pair, sentence, first: sentence.word,
        lambda pair, sentence, first: (id(pair.frame), first),
        lambda pair, sentence, first: (id(pair.frame), pair.of_being.gold, pair.of_thing.gold),
        lambda pair, sentence, first: (pair.frame.being_first, pair.frame.being_acts),
    ],
    ids=["nothing", "adjective", "first noun", "all but the adjective", "order and role"],
)
def test_no_shortcut_beats_chance(seen: Callable[[MinimalPair, Reference, str], object], held_out: bool) -> None:
    """What can be seen without the fit of noun and adjective says nothing of whether the first noun is meant."""
    is_first: dict[object, int] = defaultdict(int)
    acts: dict[object, int] = defaultdict(int)
    for pair, sentence, first in sentences_of_pairs(held_out):
        key = seen(pair, sentence, first)
        is_first[key] += 1 if first == sentence.gold else -1
        acts[key] += 1 if (sentence is pair.of_being) == pair.frame.being_acts else -1
    assert is_first
    assert not any(is_first.values())
    assert not any(acts.values())


def test_training_sentences_are_balanced_for_every_noun() -> None:
    golds = Counter(sentence.gold for sentence in sentences(held_out=False))
    others = Counter(sentence.other for sentence in sentences(held_out=False))
    assert golds == others
    texts = {sentence.text for held_out in (False, True) for sentence in sentences(held_out=held_out)}
    assert 3 * len(texts) == 4 * golds.total()
