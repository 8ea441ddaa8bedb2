"""What can happen, how it is told and parsed back, and what the judge makes of stories."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import fields

import pytest

from terrarium.models.tiny_world import english, lexicon
from terrarium.models.tiny_world.events import (
    DoorIs,
    Drops,
    Feels,
    Gives,
    Holds,
    Is,
    Lies,
    Moves,
    Paints,
    Takes,
    Thanks,
    WorldEvent,
    WorldState,
)
from terrarium.models.tiny_world.judge import is_right, story_problem
from terrarium.models.tiny_world.questions import draw, request
from terrarium.models.tiny_world.stories import MIXED, draw_cast, simulate
from terrarium.models.tiny_world.world import World

WORLD = World(0)
ALL_EVENTS: tuple[WorldEvent, ...] = (
    Is("Anna", "garden"),
    Lies("ball", "garden"),
    Holds("Anna", "ball"),
    DoorIs("barn", "red"),
    Moves("Ben", "garden"),
    Takes("Anna", "ball"),
    Drops("Anna", "ball"),
    Gives("Anna", "ball", "Ben"),
    Paints("Anna", "barn", "blue"),
    Feels("Anna", "sad"),
    Thanks("Ben", "Anna"),
)


def test_the_examples_are_all_there_is() -> None:
    assert {type(event) for event in ALL_EVENTS} == set(WorldEvent.__subclasses__())


@pytest.mark.parametrize("event", ALL_EVENTS, ids=lambda event: type(event).__name__)
def test_every_sentence_parses_back_to_its_event(event: WorldEvent) -> None:
    for template in english.PAST[type(event)]:
        assert english.parse_sentence(template.format_map(vars(event))) == event


@pytest.mark.parametrize("sentence", ["", "Anna was in the garden", "Anna was in the sea.", "Bo was sad.", "Anna ran."])
def test_what_is_no_sentence_has_no_event(sentence: str) -> None:
    assert english.parse_sentence(sentence) is None


@pytest.mark.parametrize("seed", range(20))
def test_simulated_stories_parse_back(seed: int) -> None:
    rng = random.Random(seed)
    story = simulate(draw_cast(WORLD, rng, 3, 4, 3), 12, rng, MIXED)
    assert len(story) == 3 + 3 + 12
    assert english.parse_story(english.tell(story, rng)) == story


@pytest.mark.parametrize(
    ("story", "words"),
    [
        ("Anna was in the garden. Anna gave the ball to Ben.", "Anna does not have the ball"),
        ("Anna was in the garden. Anna dropped the ball.", "Anna does not have the ball"),
        ("Anna was in the garden. The ball was in the barn. Anna took the ball.", "not where Anna is"),
        ("Anna was in the garden. Anna took the ball.", "not where Anna is"),
        ("The ball was in the barn. Anna took the ball.", "Nobody knows where Anna is"),
        ("The ball was with Anna. Anna dropped the ball.", "Nobody knows where Anna is"),
        ("Anna was in the garden. Anna was in the barn.", "Anna is in the garden, not in the barn"),
        ("Anna was in the garden. Anna ran to the garden.", "already"),
        ("The ball was with Anna. The ball was in the barn.", "Anna has the ball"),
        ("The ball was in the barn. The ball lay in the mill.", "not in the mill"),
        ("The ball was in the barn. The ball was with Anna.", "somewhere else"),
        ("The ball was with Anna. Anna was in the barn. Ben was in the barn. Ben took the ball.", "Anna has the ball"),
        ("The ball was with Anna. Anna gave the ball to Anna.", "themselves"),
        ("The ball was with Anna. Anna was in the barn. Anna gave the ball to Ben.", "not in the same place"),
        ("The barn door was red. The barn door was blue.", "is red, not blue"),
        ("Anna painted the barn door red.", "not at the barn door"),
        ("Anna was in the barn. Anna painted the barn door red. Anna painted the barn door red.", "already"),
        ("Anna thanked Ben.", "has not just given"),
        ("Anna was in the garden. Anna flew to the moon.", "“Anna flew to the moon.” is not a sentence"),
        ("Anna was in the garden. Anna", "“Anna” is not a sentence"),
        ("", "empty"),
        ("  \n", "empty"),
    ],
)
def test_impossible_stories_are_refused_with_the_reason(story: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        english.parse_story(story)


def test_whatever_a_model_says_is_judged() -> None:
    """Sentences in any order, possible or not: the judge finds the problem, and never fails itself."""
    rng = random.Random(0)
    words = {"person": ("Anna", "Ben"), "place": ("barn", "mill"), "thing": ("ball",), "colour": ("red", "blue")}
    words |= {"receiver": words["person"], "giver": words["person"], "mood": ("sad",)}
    verdicts = Counter[bool]()
    for _ in range(3000):
        kinds = rng.choices(WorldEvent.__subclasses__(), k=4)
        events = [kind(**{field.name: rng.choice(words[field.name]) for field in fields(kind)}) for kind in kinds]
        try:
            verdicts[english.parse_story(english.tell(events, rng)) == events] += 1
        except ValueError:
            verdicts[False] += 1
    assert min(verdicts[True], verdicts[False]) > 100


def test_things_travel_with_those_who_hold_them() -> None:
    state = WorldState()
    for event in english.parse_story(
        "Anna was in the garden. The ball was in the garden. Anna took the ball. Anna went to the mill. Ben was in the "
        "mill. Anna gave the ball to Ben. Ben thanked Anna. Ben went to the barn. Ben dropped the ball. Ben felt sad."
    ):
        state.apply(event)
    assert state.place_of == {"Anna": "mill", "Ben": "barn"}
    assert state.lies_in == {"ball": "barn"}
    assert state.holder_of == {}
    assert state.mood_of == {"Ben": "sad"}


def test_an_impossible_event_cannot_be_applied() -> None:
    with pytest.raises(AssertionError, match="does not have"):
        WorldState().apply(Drops("Anna", "ball"))


@pytest.mark.parametrize("seed", range(3))
def test_requested_stories_are_always_right(seed: int) -> None:
    rng = random.Random(seed)
    world = World(seed)
    for _ in range(200):
        question = request(world, rng)
        assert question.topic is not None
        assert story_problem(question.gold, question.topic) is None, question.gold
        assert is_right(question, f"  {question.gold}\n")


def test_requested_stories_follow_the_facts_of_the_world() -> None:
    rng = random.Random(1)
    for _ in range(100):
        question = request(WORLD, rng)
        assert question.topic is not None
        person, _, place = question.topic
        opening, *_ = english.parse_story(question.gold)
        home = WORLD.value("home", person)
        assert isinstance(opening, Is)
        assert opening.place == home or home == place
        others = {name for name in lexicon.WOMEN + lexicon.MEN if name in question.gold.replace(".", " ").split()}
        assert others <= {person, WORLD.value("friend", person)}


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        (("Anna", "ball", "mill"), "Anna is never in the mill"),
        (("Anna", "kite", "garden"), "Anna does nothing with the kite"),
        (("Ben", "ball", "garden"), "Ben is never in the garden"),
        (("Clara", "ball", "garden"), "Clara is never"),
    ],
)
def test_stories_off_the_topic_are_wrong(topic: tuple[str, str, str], words: str) -> None:
    story = "Anna was in the garden. The ball was in the garden. Anna took the ball. Ben was in the mill."
    assert story_problem(story, ("Anna", "ball", "garden")) is None
    problem = story_problem(story, topic)
    assert problem is not None
    assert words in problem


def test_leaving_out_where_the_thing_is_makes_a_story_wrong() -> None:
    rng = random.Random(5)
    for _ in range(50):
        question = request(WORLD, rng)
        assert question.topic is not None
        sentences = question.gold.split(". ")
        broken = ". ".join(sentences[:1] + sentences[2:])  # the thing is nowhere
        assert story_problem(broken, question.topic) is not None, broken


def test_answers_are_compared_whole() -> None:
    question = draw(WORLD, "knowledge", random.Random(0), held_out=True)
    assert is_right(question, f" {question.gold}\n")
    assert not is_right(question, question.gold.rstrip("."))
    assert not is_right(question, f"{question.gold} {question.gold}")
    assert not is_right(question, question.value)
    assert not is_right(question, "")


def test_events_are_told_in_the_present_where_a_question_asks_for_them() -> None:
    assert english.describe(Holds("Anna", "ball")) == "The ball is now with Anna."
    assert english.describe(DoorIs("barn", "red")) == "The barn door is now red."
