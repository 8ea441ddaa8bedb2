"""Moods: never named, held out by sentence, and not to be guessed from words that were seen."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable

from terrarium.models.tiny_world import english, lexicon
from terrarium.models.tiny_world.tasks.mood import IMPLIED, LABELS, draw, is_unseen
from terrarium.models.tiny_world.world import World
from tests.models.tiny_world.tasks.conftest import Splits


def test_a_quarter_of_each_moods_sentences_is_never_in_training(rows: Callable[[str], Splits]) -> None:
    assert set(IMPLIED) == set(LABELS) == set(lexicon.MOODS)
    everything = [sentence for sentences in IMPLIED.values() for sentence in sentences]
    assert len(set(everything)) == len(everything) == 80
    unseen = {s for mood, all_of_it in IMPLIED.items() for i, s in enumerate(all_of_it) if is_unseen(mood, i)}
    assert Counter(mood for mood, own in IMPLIED.items() for s in own if s in unseen) == dict.fromkeys(LABELS, 2)
    splits = rows("mood")
    assert {row["sentence"] for row in splits["train"]} == {*everything, "(a gift)"} - unseen
    for row in splits["test"]:
        assert (row["sentence"] in unseen) == (row["group"] == "unseen")


def test_moods_are_implied_and_never_named(rows: Callable[[str], Splits]) -> None:
    for row in rows("mood")["test"]:
        assert not set(re.findall(r"\w+", row["text"].lower())) & set(lexicon.MOODS)
        assert "{" not in row["text"]
        assert row["sentence"] == "(a gift)" or row["sentence"] in IMPLIED[row["label"]]


def test_the_sentences_before_a_mood_are_a_possible_story() -> None:
    rng = random.Random(1)
    n_stories = 0
    for _ in range(100):
        (drawn,) = draw(World(0), rng)
        sentences = re.findall(r"[^.]+\.", drawn.row["text"])
        told = [s.strip() for s in sentences if english.parse_sentence(s.strip()) is not None]
        if told:
            assert english.parse_story(" ".join(told))
            n_stories += 1
    assert n_stories > 40


def test_word_counts_know_the_seen_sentences_but_not_the_others(rows: Callable[[str], Splits]) -> None:
    """Naive Bayes, and the commonest label."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    priors = Counter[str]()
    for row in rows("mood")["train"]:
        priors[row["label"]] += 1
        counts[row["label"]].update(re.findall(r"\w+", row["text"].lower()))
    n_words = len({word for count in counts.values() for word in count})

    def score(text: str, label: str) -> float:
        total = counts[label].total() + n_words
        words = re.findall(r"\w+", text.lower())
        return math.log(priors[label]) + sum(math.log((counts[label][word] + 1) / total) for word in words)

    right: dict[str, list[bool]] = {"seen": [], "unseen": []}
    for row in rows("mood")["test"]:
        best = max(priors, key=lambda label: score(row["text"], label))
        right[row["group"]].append(best == row["label"])
    assert sum(right["seen"]) > 0.85 * len(right["seen"])
    assert sum(right["unseen"]) < 0.25 * len(right["unseen"])
    assert priors.most_common(1)[0][1] < 0.25 * priors.total()
