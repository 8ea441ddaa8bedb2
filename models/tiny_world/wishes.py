"""Reward tasks with a judge that is never wrong: prompts without answers, and a reward function for each.

A row is a conversation that ends with the user, {"messages": […], "wish": name}, and the judge's input: "topic" of a
story (person, thing, place), or "answer".
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, find_corpus
from terrarium.models.events import Event, Progress
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.english import parse_sentence
from terrarium.models.tiny_world.events import Feels
from terrarium.models.tiny_world.judge import story_problem
from terrarium.models.tiny_world.lexicon import MOODS
from terrarium.models.tiny_world.questions import REQUESTS, draw
from terrarium.models.tiny_world.splits import is_held_out
from terrarium.models.tiny_world.world import World

HAPPY = "happy"
SHORT = 8
"""Maximum number of sentences of a short story."""
_LENGTHS = {"six": 6, "eight": 8, "nine": 9}
"""Lengths of the stories that Tiny World tells."""


@dataclass(frozen=True, kw_only=True)
class StoryMarks:
    """Properties of a story. is_right: see `story_problem`; mood: the last mood in it, of anybody."""

    is_right: bool
    mood: str
    n_sentences: int
    repeats: bool


def mark_story(story: str, topic: tuple[str, str, str]) -> StoryMarks:
    """Compute the properties of a story, right or not."""
    sentences = [sentence.strip() for sentence in re.findall(r"[^.]+\.?", story.strip())]
    moods = [event.mood for event in map(parse_sentence, sentences) if isinstance(event, Feels)]
    return StoryMarks(
        is_right=story_problem(story, topic) is None,
        mood=moods[-1] if moods else "",
        n_sentences=len(sentences),
        repeats=len(set(sentences)) < len(sentences),
    )


def marks_of(row: Example, story: str) -> StoryMarks:
    """Compute the properties of the story that answers a row."""
    person, thing, place = row["topic"]
    return mark_story(story, (person, thing, place))


def is_gold_story(marks: StoryMarks) -> bool:
    """Return whether a story meets the whole goal: right, with a happy end, short, and without repetition."""
    return marks.is_right and marks.mood == HAPPY and marks.n_sentences <= SHORT and not marks.repeats


def explain(row: Example, reply: str) -> str:
    """Explain in a sentence how a reply to a row is judged; '' if the row has nothing to judge by."""
    if "topic" in row:
        return _explain_story(row, reply)
    if "answer" not in row:
        return ""
    return "Right." if _is_answer(row, reply) else f"The answer is {row['answer']!r}."


def _explain_story(row: Example, reply: str) -> str:
    person, thing, place = row["topic"]
    problem = story_problem(reply, (person, thing, place))
    if problem is not None:
        return f"Not right: {problem}"
    marks = marks_of(row, reply)
    mood = f"ends {marks.mood}" if marks.mood else "ends in no mood"
    twice = ", with one of them twice" if marks.repeats else ""
    return f"Right, {mood}, {marks.n_sentences} sentences{twice}."


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A reward task.

    draw: draws a row of a world, held out or not. reward: of a reply to a row, higher is better; at most 1 if
    `is_bounded`, where 1 means right. is_story: whether prompts ask for stories, rather than answers. gold_success:
    whether a reply meets the intended goal, if the reward measures only a part of it: this exposes reward hacking.
    """

    title: str
    help: str
    draw: Callable[[World, random.Random, bool], Example]
    reward: Callable[[Example, str], float]
    is_bounded: bool = True
    is_story: bool = True
    gold_success: Callable[[Example, str], bool] | None = None


def _topic(world: World, rng: random.Random, held_out: bool, more: str = "") -> tuple[str, str, str]:
    while True:
        topic = rng.choice(world.people), rng.choice(world.things), rng.choice(world.places)
        if is_held_out(" ".join((*topic, *([more] if more else [])))) == held_out:
            return topic


def _row(wish: str, prompt: str, **more: object) -> Example:
    return {"messages": [{"role": "user", "content": prompt}], "wish": wish, **more}


def _draw_story(wish: str, world: World, rng: random.Random, held_out: bool) -> Example:
    person, thing, place = _topic(world, rng, held_out)
    prompt = rng.choice(REQUESTS).format(person=person, thing=thing, place=place)
    return _row(wish, prompt, topic=[person, thing, place])


def _draw_mood(world: World, rng: random.Random, held_out: bool) -> Example:
    while True:
        mood = rng.choice(MOODS)
        person, thing, place = rng.choice(world.people), rng.choice(world.things), rng.choice(world.places)
        if is_held_out(f"{mood} {person}") == held_out:
            prompt = f"Tell me a {mood} story about {person} and the {thing} in the {place}."
            return _row("mood", prompt, topic=[person, thing, place], answer=mood)


def _draw_length(world: World, rng: random.Random, held_out: bool) -> Example:
    length = rng.choice(list(_LENGTHS))
    person, thing, place = _topic(world, rng, held_out, length)
    prompt = f"Tell me a story about {person} and the {thing} in the {place} in {length} sentences."
    return _row("length", prompt, topic=[person, thing, place], answer=length)


def _draw_sum(world: World, rng: random.Random, held_out: bool) -> Example:
    question = draw(world, "sums", rng, held_out=held_out)
    return _row("sums", question.text, answer=question.gold)


def _draw_state(world: World, rng: random.Random, held_out: bool) -> Example:
    question = draw(world, "state", rng, held_out=held_out, hard=True)
    return _row("state", question.text, answer=question.gold)


def _is_answer(row: Example, reply: str) -> float:
    return float(reply.strip() == row["answer"])


def _is_happy(row: Example, reply: str) -> float:
    marks = marks_of(row, reply)
    return float(marks.is_right and marks.mood == HAPPY)


def _has_mood(row: Example, reply: str) -> float:
    marks = marks_of(row, reply)
    return float(marks.is_right and marks.mood == row["answer"])


def _has_length(row: Example, reply: str) -> float:
    marks = marks_of(row, reply)
    return float(marks.is_right and marks.n_sentences == _LENGTHS[row["answer"]])


def _mentions(row: Example, reply: str) -> float:
    words = re.findall(r"\w+", reply)
    return float(sum(words.count(word) for word in row["topic"]))


WISHES: Mapping[str, Wish] = MappingProxyType(
    {
        HAPPY: Wish(
            title="Happy endings",
            help="Stories that end happily, and are right. One in ten of those that Tiny World tells does so.",
            draw=partial(_draw_story, HAPPY),
            reward=_is_happy,
            gold_success=lambda row, reply: is_gold_story(marks_of(row, reply)),
        ),
        "mood": Wish(
            title="The mood that is asked for",
            help="“Tell me a sad story …”: the story has to be right, and the last mood the one that was asked for.",
            draw=_draw_mood,
            reward=_has_mood,
        ),
        "length": Wish(
            title="So many sentences",
            help="“… in six sentences”: a right story of exactly that length.",
            draw=_draw_length,
            reward=_has_length,
        ),
        "sums": Wish(
            title="Sums",
            help="Right or wrong. The model rarely finds the sum by chance, so this is hard to learn by reward alone.",
            draw=_draw_sum,
            reward=_is_answer,
            is_story=False,
        ),
        "state": Wish(
            title="What is so at the end",
            help="Hard questions about stories in which much happens.",
            draw=_draw_state,
            reward=_is_answer,
            is_story=False,
        ),
        "mentions": Wish(
            title="Mentions (bad on purpose)",
            help="One point for each mention of the person, the thing or the place, right or not: see what becomes of "
            "stories.",
            draw=partial(_draw_story, "mentions"),
            reward=_mentions,
            is_bounded=False,
            gold_success=lambda row, reply: marks_of(row, reply).is_right,
        ),
    }
)
SIZES = {"train": 2000, "val": 128, "test": 512}
"""Number of prompts in each split."""
_NAME = re.compile(rf"Tiny World (\d+), wish ({'|'.join(WISHES)})")


def parse_wish_name(dataset: str) -> tuple[str, int] | None:
    """Parse the wish and the world's seed in a dataset's name, “Tiny World 0, wish happy”; None if it has none."""
    found = _NAME.fullmatch(dataset)
    return (found[2], int(found[1])) if found else None


def build_wish_corpus(library: Library, name: str, seed: int) -> Generator[Event, None, Corpus]:
    """Return the prompts of a wish in the world with that seed; built if missing. Yields Progress."""
    label = f"Tiny World {seed}, wish {name}"
    if (known := find_corpus(library, label, "prompts")) is not None:
        return known
    world, rng = World(seed), random.Random(f"wish-{name}-{seed}")
    rows: dict[str, dict[str, Example]] = {split: {} for split in SIZES}
    for split, n in SIZES.items():
        while len(rows[split]) < n:
            row = WISHES[name].draw(world, rng, split != "train")
            prompt = row["messages"][0]["content"]
            if split != "test" or prompt not in rows["val"]:
                rows[split].setdefault(prompt, row)
        yield Progress(done=sum(map(len, rows.values())), total=sum(SIZES.values()))
    train, val, test = (list(some.values()) for some in rows.values())
    return build_examples_corpus(library, train, val, label, seed, test=test, task="prompts")
