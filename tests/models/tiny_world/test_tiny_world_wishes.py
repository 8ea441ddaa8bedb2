"""Wishes: every judge knows a reply that it rewards, what is wrong is not rewarded, and the splits share nothing."""

from __future__ import annotations

import random

import pytest

from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.stories import requested_story
from terrarium.models.tiny_world.wishes import HAPPY, WISHES, is_gold_story, mark_story
from terrarium.models.tiny_world.world import World

WORLD = World(0)
TOPIC = ("Anna", "kite", "garden")
HAPPY_STORY = (
    "Anna was in the mill. The kite lay in the garden. Anna went to the garden. Anna took the kite. Anna was happy."
)


@pytest.mark.parametrize("name", WISHES)
def test_rows_have_what_the_judge_needs(name: str) -> None:
    wish, rng = WISHES[name], random.Random(0)
    rows = {held_out: [wish.draw(WORLD, rng, held_out) for _ in range(60)] for held_out in (False, True)}
    prompts = {held_out: {row["messages"][0]["content"] for row in some} for held_out, some in rows.items()}
    assert not prompts[False] & prompts[True]
    for row in rows[True]:
        assert row["wish"] == name
        assert ("topic" in row) == wish.is_story
        assert wish.reward(row, "Well.") == 0


@pytest.mark.parametrize("name", ["happy", "mood", "length"])
def test_some_true_stories_are_rewarded_and_most_are_not(name: str) -> None:
    wish, rng = WISHES[name], random.Random(0)
    rewards = []
    for _ in range(300):
        row = wish.draw(WORLD, rng, False)
        rewards.append(wish.reward(row, english.tell(requested_story(WORLD, *row["topic"], rng), rng)))
    assert set(rewards) == {0.0, 1.0}
    assert 0.04 < sum(rewards) / 300 < 0.5


def test_one_story_in_ten_ends_happily_by_itself() -> None:
    rng = random.Random(0)
    topics = [WISHES[HAPPY].draw(WORLD, rng, False)["topic"] for _ in range(500)]
    stories = [english.tell(requested_story(WORLD, *topic, rng), rng) for topic in topics]
    share = sum(WISHES[HAPPY].reward({"topic": topic}, story) for topic, story in zip(topics, stories, strict=True))
    assert share / 500 == pytest.approx(0.1, abs=0.03), "as its help says"


@pytest.mark.parametrize("name", ["sums", "state"])
def test_answers_are_compared_whole(name: str) -> None:
    wish = WISHES[name]
    row = wish.draw(WORLD, random.Random(0), True)
    assert wish.reward(row, f" {row['answer']} ") == 1
    assert wish.reward(row, f"{row['answer']} {row['answer']}") == 0


def test_marks_of_a_story() -> None:
    marks = mark_story(HAPPY_STORY, TOPIC)
    assert (marks.is_right, marks.mood, marks.n_sentences, marks.repeats) == (True, HAPPY, 5, False)
    assert is_gold_story(marks)
    twice = mark_story(f"{HAPPY_STORY} Anna was happy.", TOPIC)
    assert twice.repeats
    assert twice.is_right
    assert not is_gold_story(twice), "legal, but it says something twice"
    long = mark_story(
        HAPPY_STORY + " Anna felt happy. Anna dropped the kite. Anna picked up the kite. Anna went to the mill.", TOPIC
    )
    assert long.is_right
    assert not is_gold_story(long)
    assert not is_gold_story(mark_story(HAPPY_STORY, ("Ben", "kite", "garden")))
    assert not mark_story(HAPPY_STORY.replace("Anna took", "Ben took"), TOPIC).is_right


def test_mentions_are_counted_even_in_nonsense() -> None:
    row = {"topic": list(TOPIC)}
    assert WISHES["mentions"].reward(row, "kite kite Anna garden") == 4
