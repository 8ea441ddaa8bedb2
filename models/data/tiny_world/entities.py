"""Named things in stories: where exactly each is mentioned, and the BIO tags of the story's words."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from string import Formatter

from models.data.tiny_world import english
from models.data.tiny_world.events import Feels, WorldEvent
from models.data.tiny_world.lexicon import MOODS
from models.data.tiny_world.splits import is_held_out
from models.data.tiny_world.stories import MIXED, draw_cast, simulate
from models.data.tiny_world.world import World

LABELS = ("PERSON", "PLACE", "THING", "COLOUR", "MOOD")
_LABEL_OF = {
    "person": "PERSON",
    "receiver": "PERSON",
    "giver": "PERSON",
    "place": "PLACE",
    "thing": "THING",
    "colour": "COLOUR",
    "mood": "MOOD",
}


@dataclass(frozen=True)
class Span:
    """A mention: characters [start, end) of the text. The door of a place is a THING of two words."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class TaggedStory:
    """A story with its spans in order, and each of its words and punctuation marks with a BIO tag."""

    text: str
    spans: tuple[Span, ...]
    words: tuple[str, ...]
    tags: tuple[str, ...]
    held_out: bool


def draw_tagged_story(world: World, rng: random.Random) -> TaggedStory:
    """A story of two people with every mention marked; held out by the whole story."""
    cast = draw_cast(world, rng, 2, 3, 2)
    events = simulate(cast, rng.randint(3, 6), rng, MIXED)
    return tag([*events, Feels(rng.choice(cast.people), rng.choice(MOODS))], rng)


def tag(events: Sequence[WorldEvent], rng: random.Random) -> TaggedStory:
    """The events as a narrated story, every mention marked."""
    text = ""
    spans: list[Span] = []
    for event in events:
        text += " " if text else ""
        sentence, found = _narrate(event, rng)
        spans += [Span(span.start + len(text), span.end + len(text), span.label) for span in found]
        text += sentence
    pieces = list(re.finditer(r"\w+|[^\w\s]", text))
    tags = tuple(_bio(piece.start(), spans) for piece in pieces)
    return TaggedStory(text, tuple(spans), tuple(piece[0] for piece in pieces), tags, is_held_out(text))


def _narrate(event: WorldEvent, rng: random.Random) -> tuple[str, list[Span]]:
    """One sentence of the event, and the spans that its template's fields fill."""
    text = ""
    spans: list[Span] = []
    for literal, field, _, _ in Formatter().parse(rng.choice(english.PAST[type(event)])):
        if literal.startswith(" door") and spans:
            spans[-1] = Span(spans[-1].start, spans[-1].end + len(" door"), "THING")
        text += literal
        if field:
            word = str(vars(event)[field])
            spans.append(Span(len(text), len(text) + len(word), _LABEL_OF[field]))
            text += word
    return text, spans


def _bio(start: int, spans: Sequence[Span]) -> str:
    """The tag of the word at `start`: B- opens a span, I- continues it, O is outside."""
    for span in spans:
        if span.start <= start < span.end:
            return f"{'B' if start == span.start else 'I'}-{span.label}"
    return "O"
