"""Narration and parsing of events in English, with one table of sentences, so that both have the same grammar."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields

from terrarium.models.tiny_world import lexicon
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

Sentences = Mapping[type[WorldEvent], tuple[str, ...]]
"""Kind of event → its phrasings, as templates of the event's fields."""

PAST: Sentences = {
    Is: ("{person} was in the {place}.",),
    Lies: ("The {thing} was in the {place}.", "The {thing} lay in the {place}."),
    Moves: ("{person} went to the {place}.", "{person} walked to the {place}.", "{person} ran to the {place}."),
    Takes: ("{person} took the {thing}.", "{person} picked up the {thing}."),
    Drops: ("{person} dropped the {thing}.", "{person} put down the {thing}."),
    Gives: ("{person} gave the {thing} to {receiver}.", "{person} handed the {thing} to {receiver}."),
    Paints: ("{person} painted the {place} door {colour}.",),
    Feels: ("{person} was {mood}.", "{person} felt {mood}."),
    Holds: ("The {thing} was with {person}.",),
    DoorIs: ("The {place} door was {colour}.",),
    Thanks: ("{person} thanked {giver}.",),
}
"""Active sentences; each belongs to a single kind of event, so that it can be parsed."""
REPORT: Sentences = {
    **PAST,
    Takes: ("The {thing} was taken by {person}.", "The {thing} was found by {person}."),
    Gives: ("The {thing} was given to {receiver}.", "The {thing} was handed to {receiver}."),
    Paints: ("The {place} door was painted {colour}.",),
}
"""Like PAST, but about things and doors; without giver and painter, so it cannot be parsed back."""
PRESENT: dict[type[WorldEvent], str] = {
    Is: "{person} is in the {place}.",
    Lies: "The {thing} is in the {place}.",
    Feels: "{person} is a bit {mood}.",
    Holds: "The {thing} is now with {person}.",
    DoorIs: "The {place} door is now {colour}.",
}
"""Sentences about a state, for the events that describe one."""
_WORDS = {
    "person": lexicon.WOMEN + lexicon.MEN,
    "receiver": lexicon.WOMEN + lexicon.MEN,
    "giver": lexicon.WOMEN + lexicon.MEN,
    "place": lexicon.PLACES,
    "thing": lexicon.THINGS,
    "colour": lexicon.COLOURS,
    "mood": lexicon.MOODS,
}


def narrate(event: WorldEvent, rng: random.Random, sentences: Sentences = PAST) -> str:
    """Narrate an event as one sentence in the past tense, in one of its phrasings (`sentences`: PAST or REPORT)."""
    templates = sentences[type(event)]
    return (templates[0] if len(templates) == 1 else rng.choice(templates)).format_map(vars(event))


def describe(event: WorldEvent) -> str:
    """Describe a state (an event of PRESENT) as one sentence in the present tense."""
    return PRESENT[type(event)].format_map(vars(event))


def tell(events: Sequence[WorldEvent], rng: random.Random, sentences: Sentences = PAST) -> str:
    """Narrate a story: one sentence for each event, separated by spaces."""
    return " ".join([narrate(event, rng, sentences) for event in events])


def _pattern(template: str) -> str:
    return re.sub(r"\\{(\w+)\\}", lambda match: f"(?P<{match[1]}>{'|'.join(_WORDS[match[1]])})", re.escape(template))


_GRAMMAR = [(kind, re.compile(_pattern(template))) for kind, templates in PAST.items() for template in templates]
MAX_SENTENCE_LENGTH = max(
    len(template.format_map({field: max(words, key=len) for field, words in _WORDS.items()}))
    for templates in PAST.values()
    for template in templates
)
"""The maximum length of a sentence that `parse_sentence` accepts, in characters."""


def parse_sentence(sentence: str) -> WorldEvent | None:
    """Parse a past-tense sentence of Tiny World; None if it is not one."""
    for kind, pattern in _GRAMMAR:
        match = pattern.fullmatch(sentence)
        if match:
            return kind(**{field.name: match[field.name] for field in fields(kind)})
    return None


def parse_story(text: str) -> list[WorldEvent]:
    """Parse the events of a story, checking that each is possible when it happens.

    Raises:
        ValueError: naming the first sentence that is not one of Tiny World, or could not happen.
    """
    sentences = re.findall(r"[^.]+\.?", text.strip())
    if not sentences:
        raise ValueError("The story is empty.")
    state = WorldState()
    events = []
    for sentence in sentences:
        event = parse_sentence(sentence.strip())
        if event is None:
            raise ValueError(f"“{sentence.strip()}” is not a sentence of Tiny World.")
        problem = state.apply_if_possible(event)
        if problem:
            raise ValueError(f"“{sentence.strip()}” cannot happen: {problem}")
        events.append(event)
    return events
