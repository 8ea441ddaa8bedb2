"""Extractive question answering: questions whose answer is a word of a text, or that the text does not answer.

Pairs of a subject and its value ("Anna" with "garden") are held out: no training text states them.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from terrarium.models.tiny_world.events import DoorIs, Feels, Holds, Is, Lies, WorldEvent
from terrarium.models.tiny_world.lexicon import COLOURS, MOODS
from terrarium.models.tiny_world.splits import Drawn, split_of
from terrarium.models.tiny_world.world import World

_MAX_ASKED = 3


@dataclass(frozen=True)
class Form:
    """How facts of a kind are stated and asked for: templates of their fields; questions ask for the field `value`."""

    subject: str
    value: str
    sentences: tuple[str, ...]
    questions: tuple[str, ...]


FORMS: dict[type[WorldEvent], Form] = {
    Is: Form("person", "place", (
        "{person} is in the {place}.", "{person} sits in the {place}.", "In the {place} one finds {person}."), (
        "Where is {person}?", "In which place is {person}?", "Where can one find {person}?")),
    Lies: Form("thing", "place", (
        "The {thing} is in the {place}.", "The {thing} lies in the {place}.", "In the {place} there is the {thing}."), (
        "Where is the {thing}?", "In which place is the {thing}?", "Where does the {thing} lie?")),
    Feels: Form("person", "mood", (
        "{person} is {mood}.", "{person} feels {mood}.", "Today {person} is {mood}."), (
        "How is {person}?", "How does {person} feel?", "What mood is {person} in?")),
    Holds: Form("thing", "person", (
        "{person} has the {thing}.", "The {thing} is with {person}.", "{person} carries the {thing}."), (
        "Who has the {thing}?", "Who carries the {thing}?", "With whom is the {thing}?")),
    DoorIs: Form("place", "colour", (
        "The {place} door is {colour}.", "The door of the {place} is {colour}.", "The {place} has the {colour} door."),
        (
        "What colour is the {place} door?", "Which colour does the {place} door have?",
        "How is the {place} door painted?")),
}  # fmt: skip


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """Draw questions about one text: up to three that it answers and one that it does not (group "unanswerable").

    A text belongs to the most held-out split among its facts. `kind` is the type of the fact, or the reason why there
    is no answer: "unsaid" for somebody in the text, or "absent". `last_mentioned` is the last value of the kind in the
    text.
    """
    facts = _facts(world, rng)
    splits = [split_of(_combination(fact)) for fact in facts]
    split = next(name for name in ("test", "val", "train") if name in splits)
    told = [rng.choice(FORMS[type(fact)].sentences).format_map(vars(fact)) for fact in facts]
    context = " ".join(told)
    asked = [i for i, own in enumerate(splits) if own == split]
    rows = []
    for i in rng.sample(asked, min(len(asked), _MAX_ASKED)):
        fact, value = facts[i], _value(facts[i])
        found = re.search(rf"\b{value}\b", told[i])
        assert found is not None, told[i]
        start = sum(len(sentence) + 1 for sentence in told[:i]) + found.start()
        answers = [{"text": value, "start": start}]
        rows.append(_row(fact, context, facts, answers, type(fact).__name__, rng))
    fact, why = _unanswerable(world, facts, rng)
    rows.append(_row(fact, context, facts, [], why, rng))
    return [Drawn(split, row) for row in rows]


def _row(
    fact: WorldEvent,
    context: str,
    facts: Sequence[WorldEvent],
    answers: list[dict[str, object]],
    kind: str,
    rng: random.Random,
) -> dict[str, object]:
    form = FORMS[type(fact)]
    values = [vars(other)[form.value] for other in facts if form.value in vars(other)]
    return {
        "question": rng.choice(form.questions).format_map(vars(fact)),
        "context": context,
        "answers": answers,
        "group": "answerable" if answers else "unanswerable",
        "kind": kind,
        "last_mentioned": values[-1] if values else "",
    }


def _facts(world: World, rng: random.Random) -> list[WorldEvent]:
    """Draw four to seven facts of two kinds, so that several could be the answer; a thing lies somewhere or is held."""
    people, things, places = rng.sample(world.people, 4), rng.sample(world.things, 4), rng.sample(world.places, 4)
    by_kind: dict[type[WorldEvent], list[WorldEvent]] = {
        Is: [Is(person, rng.choice(world.places)) for person in people],
        Feels: [Feels(person, rng.choice(MOODS)) for person in people],
        Lies: [Lies(thing, rng.choice(world.places)) for thing in things],
        Holds: [Holds(rng.choice(world.people), thing) for thing in things],
        DoorIs: [DoorIs(place, rng.choice(COLOURS)) for place in places],
    }
    one, other = rng.sample(list(by_kind), 2)
    facts = by_kind[one] + by_kind[other]
    if {one, other} == {Lies, Holds}:
        facts = [rng.choice(pair) for pair in zip(by_kind[one], by_kind[other], strict=True)]
    return rng.sample(facts, rng.randint(4, min(7, len(facts))))


def _unanswerable(world: World, facts: Sequence[WorldEvent], rng: random.Random) -> tuple[WorldEvent, str]:
    """Draw a fact that the text does not state, and why: its subject is in the text ("unsaid") or not ("absent").

    Usually of a kind that the text has for others, so that the kind does not reveal it. The place of a thing that
    somebody has is never asked for, since it can be inferred.
    """
    known = {(type(fact), _subject(fact)) for fact in facts}
    known |= {(Lies, fact.thing) for fact in facts if isinstance(fact, Holds)}
    in_text = {word for fact in facts for word in vars(fact).values()}
    people, things = [p for p in world.people if p in in_text], [t for t in world.things if t in in_text]
    places = [p for p in world.places if p in in_text]
    if rng.random() < 0.5:
        people = [p for p in world.people if p not in in_text]
        things, places = [t for t in world.things if t not in in_text], [p for p in world.places if p not in in_text]
    candidates: list[WorldEvent] = [kind(person, "") for kind in (Is, Feels) for person in people]
    candidates += [Lies(thing, "") for thing in things] + [Holds("", thing) for thing in things]
    candidates += [DoorIs(place, "") for place in places]
    by_kind: dict[type[WorldEvent], list[WorldEvent]] = {}
    for fact in candidates:
        if (type(fact), _subject(fact)) not in known:
            by_kind.setdefault(type(fact), []).append(fact)
    if not by_kind:  # the text states everything that can be asked about its subjects
        return Is(next(p for p in world.people if p not in in_text), ""), "absent"
    told = [kind for kind in by_kind if any(type(fact) is kind for fact in facts)]
    fact = rng.choice(by_kind[rng.choice(told if told and rng.random() < 0.7 else list(by_kind))])
    return fact, "unsaid" if _subject(fact) in in_text else "absent"


def _combination(fact: WorldEvent) -> str:
    return f"qa {type(fact).__name__} {_subject(fact)} {_value(fact)}"


def _subject(fact: WorldEvent) -> str:
    subject: str = vars(fact)[FORMS[type(fact)].subject]
    return subject


def _value(fact: WorldEvent) -> str:
    value: str = vars(fact)[FORMS[type(fact)].value]
    return value
