"""A new reply format to learn from examples: after “Say it twice.” the whole answer is repeated.

The format leaks into questions that do not ask for it, unless replayed rows are mixed in: as many, balanced by kind.
(“Answer in one word.” would not work as a format: a model of this size looks a value up while it writes the sentence.)
"""

from __future__ import annotations

import random
import re
from collections.abc import Generator

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, find_corpus
from terrarium.models.events import Event, Progress
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.questions import KINDS, Question, draw
from terrarium.models.tiny_world.world import World

TWICE, TWICE_ONLY = "say it twice", "say it twice without old rows"
SUFFIX = "Say it twice."
ASKED_KINDS = ("knowledge", "reading", "state")
"""Kinds of questions that are asked with SUFFIX: their answers are one sentence."""
SIZES = {TWICE: 1000, TWICE_ONLY: 1000}
"""Rows with SUFFIX, by dataset; TWICE has as many replayed rows."""
_N_VAL = 60
_NAME = re.compile(rf"Tiny World (\d+), ({TWICE_ONLY}|{TWICE})")


def formatted_question(question: Question) -> str:
    """Return the question with the request to say the answer twice."""
    return f"{question.text} {SUFFIX}"


def formatted_answer(question: Question) -> str:
    """Return the right answer in the format, compared as a whole."""
    return f"{question.gold} {question.gold}"


def parse_format_name(dataset: str) -> tuple[str, int] | None:
    """Parse a dataset's name into a name (of SIZES) and the world's seed; None if it is another name."""
    found = _NAME.fullmatch(dataset)
    return (found[2], int(found[1])) if found else None


def format_rows(name: str, world: World, rng: random.Random, n: int, *, held_out: bool) -> list[Example]:
    """Draw the conversations of a dataset (of SIZES): `n` in the format, and the replayed ones, shuffled."""
    rows = []
    for i in range(n):
        question = draw(world, ASKED_KINDS[i % len(ASKED_KINDS)], rng, held_out=held_out)
        rows.append(_row(formatted_question(question), formatted_answer(question), "formatted"))
    for i in range(n if name == TWICE else 0):
        question = draw(world, KINDS[i % len(KINDS)], rng, held_out=held_out)
        rows.append(_row(question.text, question.gold, "ordinary"))
    rng.shuffle(rows)
    return rows


def _row(asked: str, answer: str, cell: str) -> Example:
    messages = [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
    return {"messages": messages, "cell": cell}


def build_format_corpus(library: Library, name: str, seed: int) -> Generator[Event, None, Corpus]:
    """Return the dataset `name` (of SIZES) of the world with that seed; built if missing. Yields Progress."""
    label = f"Tiny World {seed}, {name}"
    if (known := find_corpus(library, label, "chat")) is not None:
        return known
    world, rng = World(seed), random.Random(f"format-{name}-{seed}")
    train = format_rows(name, world, rng, SIZES[name], held_out=False)
    yield Progress(done=1, total=2)
    val = format_rows(name, world, rng, _N_VAL, held_out=True)
    yield Progress(done=2, total=2)
    return build_examples_corpus(library, train, val, label, seed, task="chat")
