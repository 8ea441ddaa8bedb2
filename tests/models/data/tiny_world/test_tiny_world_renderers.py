"""What else comes out of the same events: summaries, entities, moods and code."""

from __future__ import annotations

import random
import re
from collections import Counter
from typing import Any

import pytest

from models.data.tiny_world import english, lexicon
from models.data.tiny_world.code import FAMILIES, draw_code_task
from models.data.tiny_world.entities import LABELS, draw_tagged_story, tag
from models.data.tiny_world.events import DoorIs, Drops, Gives, Holds, Is, Lies, Moves, Paints, Takes, Thanks
from models.data.tiny_world.moods import IMPLIED, draw_mood
from models.data.tiny_world.summaries import draw_summary, summarise
from models.data.tiny_world.world import World

WORLD = World(0)


def test_a_summary_says_who_ended_where_with_what() -> None:
    opening = [Is("Anna", "garden"), Is("Ben", "mill"), Lies("key", "garden"), Lies("ball", "garden")]
    events = [*opening, Takes("Anna", "key"), Takes("Anna", "ball")]
    assert summarise(opening) == "In the end, Anna was in the garden, and Ben was in the mill."
    assert summarise(events) == (
        "In the end, Anna was in the garden with the ball and the key, and Ben was in the mill."
    )
    events += [Moves("Anna", "mill"), Gives("Anna", "ball", "Ben"), Thanks("Ben", "Anna"), Moves("Ben", "barn")]
    events += [Drops("Anna", "key"), Is("Zoe", "attic")]
    assert summarise(events) == (
        "In the end, Anna was in the mill, Ben was in the barn with the ball, and Zoe was in the attic."
    )
    assert summarise([Holds("Anna", "key")]) == "In the end, Anna had the key."


@pytest.mark.parametrize("seed", range(5))
def test_summaries_agree_with_their_stories(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(40):
        summary = draw_summary(WORLD, rng)
        place: dict[str, str] = {}
        holder: dict[str, str] = {}
        for sentence in re.findall(r"[^.]+\.", summary.story):
            words = sentence.strip(" .").split()
            if words[0] in WORLD.people and words[-2] == "the" and words[-1] in WORLD.places:
                place[words[0]] = words[-1]
            elif words[1] in ("took", "picked"):
                holder[words[-1]] = words[0]
            elif words[1] in ("dropped", "put"):
                del holder[words[-1]]
            elif words[1] in ("gave", "handed"):
                holder[words[3]] = words[-1]
        clauses = dict(re.findall(r"(\w+) was in the (\w+)", summary.gold))
        assert clauses == place
        for clause in re.split(r", (?:and )?", summary.gold.removeprefix("In the end, ").rstrip(".")):
            person = clause.split()[0]
            held = re.findall(r"the (\w+)", clause)[1:]
            assert held == sorted(thing for thing, who in holder.items() if who == person), summary


def test_spans_are_exact_and_complete() -> None:
    rng = random.Random(0)
    known = {
        "PERSON": set(WORLD.people),
        "PLACE": set(WORLD.places),
        "THING": set(WORLD.things) | {f"{place} door" for place in WORLD.places},
        "COLOUR": set(lexicon.COLOURS),
        "MOOD": set(lexicon.MOODS),
    }
    seen = Counter[str]()
    for _ in range(100):
        story = draw_tagged_story(WORLD, rng)
        assert english.parse_story(story.text)
        for span in story.spans:
            assert story.text[span.start : span.end] in known[span.label]
            seen[span.label] += 1
        assert list(story.spans) == sorted(story.spans, key=lambda span: span.start)
        covered = {i for span in story.spans for i in range(span.start, span.end)}
        for match in re.finditer(r"\w+", story.text):
            named = match[0] in WORLD.people + WORLD.places + WORLD.things + lexicon.COLOURS + lexicon.MOODS
            assert not named or match.start() in covered, (match[0], story.text)
    assert set(seen) == set(LABELS)


def test_tags_say_the_same_as_spans() -> None:
    story = tag([Is("Anna", "barn"), Paints("Anna", "barn", "red")], random.Random(0))
    assert story.text == "Anna was in the barn. Anna painted the barn door red."
    assert list(zip(story.words, story.tags, strict=True)) == [
        ("Anna", "B-PERSON"), ("was", "O"), ("in", "O"), ("the", "O"), ("barn", "B-PLACE"), (".", "O"),
        ("Anna", "B-PERSON"), ("painted", "O"), ("the", "O"), ("barn", "B-THING"), ("door", "I-THING"),
        ("red", "B-COLOUR"), (".", "O"),
    ]  # fmt: skip
    assert [(span.start, span.end) for span in story.spans] == [(0, 4), (16, 20), (22, 26), (39, 48), (49, 52)]
    assert tag([DoorIs("mill", "blue")], random.Random(0)).tags == ("O", "B-THING", "I-THING", "O", "B-COLOUR", "O")


def test_moods_are_implied_and_never_named() -> None:
    assert set(IMPLIED) == set(lexicon.MOODS)
    everything = [sentence for sentences in IMPLIED.values() for sentence in sentences]
    assert len(set(everything)) == len(everything)
    rng = random.Random(0)
    seen = Counter[str]()
    splits = Counter[bool]()
    for _ in range(600):
        example = draw_mood(WORLD, rng)
        assert not set(re.findall(r"\w+", example.text.lower())) & set(lexicon.MOODS)
        assert example.person in example.text
        assert "{" not in example.text
        seen[example.mood] += 1
        splits[example.held_out] += 1
    assert set(seen) == set(lexicon.MOODS)
    assert 20 < splits[True] < 150


def test_the_sentence_before_a_mood_is_a_possible_story() -> None:
    rng = random.Random(1)
    n_stories = 0
    for _ in range(100):
        example = draw_mood(WORLD, rng)
        sentences = re.findall(r"[^.]+\.", example.text)
        told = [s.strip() for s in sentences if english.parse_sentence(s.strip()) is not None]
        if told:
            assert english.parse_story(" ".join(told))
            n_stories += 1
    assert n_stories > 30


def run(source: str, name: str, argument: Any) -> Any:
    """What the function `name` of the source returns: only here is generated code ever executed."""
    scope: dict[str, Any] = {}
    exec(compile(source, name, "exec"), scope)
    return scope[name](argument)


def test_code_is_right_and_documented() -> None:
    rng = random.Random(0)
    parameters: set[str] = set()
    trivial = n_cases = 0
    splits = Counter[bool]()
    by_name: dict[str, bool] = {}
    for _ in range(500):
        task = draw_code_task(WORLD, rng)
        assert task.name.isidentifier()
        assert len(task.cases) == 4
        for case in task.cases:
            assert run(task.source, task.name, case.argument) == case.expected, task
            trivial += case.expected in (0, [], None, False)
            n_cases += 1
        assert '"""' in task.prompt
        assert "{" not in task.prompt
        parameters.add(task.prompt.split("(")[1].split(")")[0])
        splits[task.held_out] += 1
        assert by_name.setdefault(task.name, task.held_out) == task.held_out
    assert parameters == {family.parameter for family in FAMILIES}
    assert trivial < n_cases / 2
    assert 20 < splits[True] < 120
    assert draw_code_task(WORLD, random.Random(3)) == draw_code_task(WORLD, random.Random(3))
