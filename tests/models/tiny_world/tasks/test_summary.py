"""Summaries: right, judged by their facts, and not to be had by copying sentences."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from terrarium.models.corpora.corpus import Example
from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.events import Drops, Gives, Holds, Is, Lies, Moves, Takes, Thanks, WorldEvent
from terrarium.models.tiny_world.tasks.summary import (
    ALL,
    MOST_IMPORTANT,
    PROMPTS,
    are_all_facts_right,
    facts_of,
    most_important,
    summarise,
)
from tests.models.tiny_world.tasks.conftest import Splits

OPENING: list[WorldEvent] = [Is("Anna", "garden"), Is("Ben", "mill"), Lies("key", "garden"), Lies("ball", "garden")]


def test_a_summary_says_who_ended_where_with_what() -> None:
    events = [*OPENING, Takes("Anna", "key"), Takes("Anna", "ball")]
    assert summarise(OPENING) == "In the end, Anna was in the garden, and Ben was in the mill."
    assert summarise(events) == (
        "In the end, Anna was in the garden, Ben was in the mill, the ball was with Anna, and the key was with Anna."
    )
    events += [Moves("Anna", "mill"), Gives("Anna", "ball", "Ben"), Thanks("Ben", "Anna"), Moves("Ben", "barn")]
    events += [Drops("Anna", "key"), Is("Zoe", "attic")]
    assert summarise(events) == (
        "In the end, Anna was in the mill, Ben was in the barn, Zoe was in the attic, and the ball was with Ben."
    )
    assert summarise([Holds("Anna", "key")]) == "In the end, the key was with Anna."


def test_most_important_is_what_changed_hands_most_often() -> None:
    assert most_important(OPENING) is None
    events = [*OPENING, Takes("Anna", "key")]
    assert most_important(events) == "The key lay in the garden at first, and ended up with Anna in the garden."
    events += [Takes("Anna", "ball")]
    assert most_important(events) is None
    events += [Moves("Anna", "mill"), Gives("Anna", "ball", "Ben"), Moves("Ben", "barn")]
    assert most_important(events) == "The ball lay in the garden at first, and ended up with Ben in the barn."
    events += [Drops("Ben", "ball"), Moves("Ben", "mill")]
    assert most_important(events) == "The ball lay in the garden at first, and ended up in the barn."


def story(row: Example) -> str:
    text: str = row["source"]
    return text.removeprefix(PROMPTS[row["group"]])


def test_summaries_agree_with_their_stories(rows: Callable[[str], Splits]) -> None:
    for row in rows("summary")["test"]:
        place: dict[str, str] = {}
        holder: dict[str, str] = {}
        people = []
        for sentence in re.findall(r"[^.]+\.", story(row)):
            words = sentence.strip(" .").split()
            if words[0] != "The" and words[-2] == "the" and words[1] in ("was", "went", "walked", "ran"):
                place[words[0]] = words[-1]
                people.append(words[0])
            elif words[1] in ("took", "picked"):
                holder[words[-1]] = words[0]
            elif words[1] in ("dropped", "put"):
                place[words[-1]] = place[words[0]]
                del holder[words[-1]]
            elif words[1] in ("gave", "handed"):
                holder[words[3]] = words[-1]
            else:
                place[words[1]] = words[-1]
        if row["group"] == ALL:
            right = {(person, "in", place[person]) for person in people}
            right |= {(person, "had", thing) for thing, person in holder.items()}
        else:
            thing = row["target"].split()[1]
            where = place[holder[thing]] if thing in holder else place[thing]
            first = re.search(rf"The {thing} (?:was|lay) in the (\w+)\.", story(row))
            assert first is not None
            right = {(thing, "from", first[1]), (thing, "to", where), (thing, "with", holder.get(thing, "nobody"))}
        assert facts_of(row["target"]) == right, row
        assert are_all_facts_right(row["target"], row["facts"])


PLACES = "In the end, Anna was in the garden, Ben was in the mill"


@pytest.mark.parametrize(
    ("summary", "right"),
    [
        (f"{PLACES}, the ball was with Anna, and the key was with Anna.", True),
        (
            " In the end, the key was with Anna, the ball was with Anna, Ben was in the mill, Anna was in the garden. ",
            True,
        ),
        ("In the end, Anna was in the garden, the ball was with Anna, and the key was with Anna.", False),
        (f"{PLACES}, and the ball was with Anna.", False),
        (f"{PLACES}, the ball was with Anna, the key was with Anna, and the cup was with Ben.", False),
        (f"{PLACES}, the ball was with Anna, and the key was with Ben.", False),
        (f"{PLACES}, the ball was with Anna, and the key was with Anna. And so on.", False),
        ("In the end, Anna had the ball, and so on.", False),
        ("Anna was in the garden.", False),
        ("", False),
    ],
)
def test_facts_decide_not_words(summary: str, right: bool) -> None:
    facts = [["Anna", "in", "garden"], ["Anna", "had", "ball"], ["Anna", "had", "key"], ["Ben", "in", "mill"]]
    assert are_all_facts_right(summary, facts) == right


def test_stories_of_the_test_are_new(rows: Callable[[str], Splits]) -> None:
    splits = rows("summary")
    stories = {split: {story(row) for row in examples} for split, examples in splits.items()}
    assert not stories["train"] & stories["test"]
    assert not stories["val"] & (stories["train"] | stories["test"])
    assert all(english.parse_story(text) for text in stories["test"])


def rouge_l(summary: str, gold: str) -> float:
    """F1 of the longest common subsequence of words."""
    one, other = re.findall(r"\w+", summary.lower()), re.findall(r"\w+", gold.lower())
    row = [0] * (len(other) + 1)
    for word in one:
        before = row[:]
        for j, right in enumerate(other):
            row[j + 1] = before[j] + 1 if word == right else max(row[j], before[j + 1])
    return 2 * row[-1] / (len(one) + len(other))


@pytest.mark.parametrize("group", [ALL, MOST_IMPORTANT])
@pytest.mark.parametrize("chosen", [slice(0, 1), slice(-3, None)], ids=["lead-1", "last-3"])
def test_sentences_of_the_story_are_no_summary(rows: Callable[[str], Splits], group: str, chosen: slice) -> None:
    own = [row for row in rows("summary")["test"] if row["group"] == group]
    copied = [" ".join(re.findall(r"[^.]+\.", story(row))[chosen]).strip() for row in own]
    assert not any(are_all_facts_right(text, row["facts"]) for text, row in zip(copied, own, strict=True))
    assert sum(rouge_l(text, row["target"]) for text, row in zip(copied, own, strict=True)) < 0.6 * len(own)


def test_the_most_important_is_no_majority(rows: Callable[[str], Splits]) -> None:
    targets = [row["target"] for row in rows("summary")["test"] if row["group"] == MOST_IMPORTANT]
    assert 0.25 < sum(" with " in target for target in targets) / len(targets) < 0.75
    moved = [re.findall(r"in the (\w+)", target) for target in targets]
    assert 0.25 < sum(first != last for first, last in moved) / len(targets) < 0.75
