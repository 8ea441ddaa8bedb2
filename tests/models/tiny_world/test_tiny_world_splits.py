"""What is held out never occurs in training, and what is needed to answer it does."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import defaultdict
from functools import cache

import pytest

from terrarium.models.chat.own_template import Message
from terrarium.models.evaluation.held_out_questions import held_out_questions
from terrarium.models.events import Progress, TextsShown
from terrarium.models.library.library import Library
from terrarium.models.tiny_world import corpus as tiny_world
from terrarium.models.tiny_world.corpus import EDITION, N_TRAIN, N_VAL, SHARES, conversations
from terrarium.models.tiny_world.questions import KINDS, Question, held_out_phrasing
from terrarium.models.tiny_world.splits import is_held_out
from terrarium.models.tiny_world.world import World
from tests.models.training.support import result_of

WORLD = World(0)
N_CONVERSATIONS = 3000


@cache
def unseen_questions(kind: str) -> list[Question]:
    return held_out_questions(WORLD, kind, 60)


@pytest.fixture(scope="module")
def training() -> list[list[Message]]:
    return list(conversations(WORLD, N_CONVERSATIONS, random.Random("splits")))


@pytest.fixture(scope="module")
def asked(training: list[list[Message]]) -> set[str]:
    return {message["content"] for row in training for message in row if message["role"] == "user"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_evaluation_item_occurs_in_training(kind: str, asked: set[str], training: list[list[Message]]) -> None:
    questions = unseen_questions(kind)
    assert not {question.text for question in questions} & asked
    if questions[0].story:
        everything = "\n".join(message["content"] for row in training for message in row)
        assert not any(question.story in everything for question in questions)


def test_requests_share_words_with_training_but_no_combination(asked: set[str]) -> None:
    def topic(text: str) -> tuple[str, ...] | None:
        found = re.search(r"story about (\w+) and the (\w+) in the (\w+)[.?]", text)
        return found.groups() if found else None

    trained = {found for text in asked if (found := topic(text))}
    unseen = {topic(question.text) for question in unseen_questions("requests")}
    assert len(trained) > 300
    assert not trained & unseen
    words = [{combination[i] for combination in trained} for i in range(3)]
    assert all(combination is not None and all(combination[i] in words[i] for i in range(3)) for combination in unseen)


def test_sums_are_held_out_in_either_order(asked: set[str]) -> None:
    pairs = {frozenset(numbers) for text in asked if (numbers := re.findall(r"\d+", text))}
    assert pairs
    for question in unseen_questions("sums"):
        assert frozenset(re.findall(r"\d+", question.text)) not in pairs


def test_each_fact_is_taught_in_all_phrasings_but_one() -> None:
    """Of a world's facts, by their own rule: the held-out phrasing of a fact is taught with other facts."""
    taught: dict[tuple[str, int], int] = defaultdict(int)
    held_out: set[tuple[str, int]] = set()
    for fact in WORLD.facts:
        index = held_out_phrasing(WORLD, fact)
        assert 0 <= index < len(fact.questions)
        held_out.add((fact.relation, index))
        for other in set(range(len(fact.questions))) - {index}:
            taught[fact.relation, other] += 1
    assert all(taught[phrasing] >= 2 for phrasing in held_out)


def test_held_out_phrasings_are_never_taught(asked: set[str]) -> None:
    n_taught = 0
    for fact in WORLD.facts:
        index = held_out_phrasing(WORLD, fact)
        assert fact.questions[index] not in asked
        n_taught += any(question in asked for question in fact.questions)
    assert n_taught > 0.98 * len(WORLD.facts)


def test_a_tenth_is_held_out_whatever_the_process() -> None:
    share = sum(is_held_out(f"item {i}") for i in range(10_000)) / 10_000
    assert 0.08 < share < 0.12
    assert [f"{a}+8" for a in range(9) if is_held_out(f"{a}+8")] == ["0+8", "8+8"]  # for ever
    assert 0.45 < sum(is_held_out(f"item {i}", 2) for i in range(10_000)) / 10_000 < 0.55


def test_conversations_alternate_and_answer_what_is_asked(training: list[list[Message]]) -> None:
    for row in training:
        assert [message["role"] for message in row] == ["user", "assistant"] * (len(row) // 2)
        assert all(message["content"].strip() == message["content"] != "" for message in row)
        assert sum(len(message["content"].split()) for message in row) < 260
    taught = {fact.answer for fact in WORLD.facts}
    facts = {question: fact for fact in WORLD.facts for question in fact.questions}
    answered = 0
    for row in training:
        for user, assistant in zip(row[::2], row[1::2], strict=True):
            if user["content"] in facts:
                assert assistant["content"] == facts[user["content"]].answer
                assert assistant["content"] in taught
                answered += 1
    assert answered > 1000


def test_the_corpus_is_that_of_its_edition() -> None:
    """Recipes are tuned on this very text. Whoever changes it raises EDITION, and tries the quick start again."""
    rows = json.dumps([list(conversations(World(seed), 300, random.Random(seed))) for seed in (0, 1)]).encode()
    assert (EDITION, hashlib.sha256(rows).hexdigest()[:16]) == (2, "94d99a3d2ac42824")


def test_a_corpus_is_generated_once(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_world, "N_TRAIN", 1990)
    monkeypatch.setattr(tiny_world, "N_VAL", 20)
    building = tiny_world.build_tiny_world_corpus(library, 5)
    assert isinstance(next(building), TextsShown)
    assert next(building) == Progress(done=2000, total=2010)
    corpus = result_of(building)
    assert (corpus.seed, corpus.has_chats) == (5, True)
    train, val = corpus.read_examples("train"), corpus.read_examples("val")
    assert (len(train), len(val)) == (1990, 20)
    assert not {json.dumps(row) for row in train} & {json.dumps(row) for row in val}
    with pytest.raises(StopIteration) as done:
        next(tiny_world.build_tiny_world_corpus(library, 5))
    assert done.value.value == corpus
    monkeypatch.setattr(tiny_world, "EDITION", EDITION + 1)
    monkeypatch.setattr(tiny_world, "N_TRAIN", 30)
    assert result_of(tiny_world.build_tiny_world_corpus(library, 5)).sha != corpus.sha
    world = tiny_world.world_of(corpus)  # of an earlier edition
    assert world is not None
    assert world.seed == 5


def test_the_corpus_is_the_same_for_a_seed() -> None:
    assert list(conversations(WORLD, 40, random.Random(1))) == list(conversations(World(0), 40, random.Random(1)))
    assert list(conversations(WORLD, 40, random.Random(1))) != list(conversations(WORLD, 40, random.Random(2)))
    assert sum(SHARES.values()) == pytest.approx(1)
    assert N_VAL * 10 < N_TRAIN
