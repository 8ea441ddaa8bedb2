"""Random stories in which every event is possible: for questions, on request, and the same ones in all languages."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.events import (
    Drops,
    Feels,
    Gives,
    Is,
    Lies,
    Moves,
    Paints,
    Takes,
    Thanks,
    WorldEvent,
    WorldState,
)
from terrarium.models.tiny_world.french import FRENCH
from terrarium.models.tiny_world.german import GERMAN
from terrarium.models.tiny_world.inflection import Language
from terrarium.models.tiny_world.lexicon import COLOURS, MOODS
from terrarium.models.tiny_world.spanish import SPANISH
from terrarium.models.tiny_world.world import World


class EventWeights(NamedTuple):
    """Relative frequencies of the kinds of events."""

    move: float = 0
    take: float = 0
    drop: float = 0
    give: float = 0
    paint: float = 0


MIXED = EventWeights(move=2, take=2, drop=1, give=2, paint=1)


@dataclass(frozen=True)
class Cast:
    """The people, places and things of a story."""

    people: tuple[str, ...]
    places: tuple[str, ...]
    things: tuple[str, ...]


def draw_cast(world: World, rng: random.Random, n_people: int, n_places: int, n_things: int) -> Cast:
    """Draw a random cast from the world, without repetition."""
    return Cast(
        tuple(rng.sample(world.people, n_people)),
        tuple(rng.sample(world.places, n_places)),
        tuple(rng.sample(world.things, n_things)),
    )


def simulate(cast: Cast, n_events: int, rng: random.Random, weights: EventWeights) -> list[WorldEvent]:
    """Simulate `n_events` possible events after an opening that states where everybody and everything is.

    A cast with two or more places that moves always finds an event; without any possible event, this loops forever.
    """
    state = WorldState()
    events: list[WorldEvent] = []
    for person in cast.people:
        events.append(Is(person, rng.choice(cast.places)))
        state.apply(events[-1])
    for thing in cast.things:
        events.append(Lies(thing, rng.choice(cast.places)))
        state.apply(events[-1])
    wanted = len(events) + n_events
    while len(events) < wanted:
        event = _propose(rng.choices(EventWeights._fields, weights)[0], cast, state, rng)
        if event is not None and state.apply_if_possible(event) is None:
            events.append(event)
    return events


def _propose(kind: str, cast: Cast, state: WorldState, rng: random.Random) -> WorldEvent | None:
    """Propose an event of that kind (a field of EventWeights), possible or not; None if there is no candidate."""
    if kind == "move":
        return Moves(rng.choice(cast.people), rng.choice(cast.places))
    if kind == "take":
        thing = rng.choice(cast.things)
        near = [p for p in cast.people if state.place_of[p] == state.lies_in.get(thing)]
        return Takes(rng.choice(near), thing) if near else None
    if kind == "paint":
        person = rng.choice(cast.people)
        return Paints(person, state.place_of[person], rng.choice(COLOURS))
    thing = rng.choice(cast.things)
    holder = state.holder_of.get(thing)
    if holder is None:
        return None
    if kind == "drop":
        return Drops(holder, thing)
    near = [p for p in cast.people if p != holder and state.place_of[p] == state.place_of[holder]]
    return Gives(holder, thing, rng.choice(near)) if near else None


def requested_story(world: World, person: str, thing: str, place: str, rng: random.Random) -> list[WorldEvent]:
    """Generate a short story in which `person`, coming from home, does something with `thing` in `place`, usually with
    a friend.

    Home and best friend are those of the world's facts, so that stories and facts agree.
    """
    friend, home = world.value("friend", person), world.value("home", person)
    elsewhere = home if home != place else next(p for p in world.places if p != place)
    carried = rng.random() < 0.5
    opening: list[WorldEvent] = [Is(person, elsewhere), Lies(thing, elsewhere if carried else place)]
    if carried:
        opening += [Takes(person, thing), Moves(person, place)]
    else:
        opening += [Moves(person, place), Takes(person, thing)]
    ending = rng.randrange(4)
    if ending == 0:
        return [*opening, Drops(person, thing), Feels(person, rng.choice(MOODS))]
    meeting: WorldEvent = Is(friend, place) if rng.random() < 0.5 else Moves(friend, place)
    opening.append(meeting)
    gift: list[WorldEvent] = [Gives(person, thing, friend), Thanks(friend, person)]
    if ending == 1:
        return [*opening, *gift, Feels(friend, rng.choice(MOODS))]
    if ending == 2:
        return [*opening, *gift, Moves(person, elsewhere), Feels(person, rng.choice(MOODS))]
    return [*opening, Gives(person, thing, friend), Feels(person, rng.choice(MOODS)), Drops(friend, thing)]


LANGUAGES: Mapping[str, Language] = MappingProxyType({"French": FRENCH, "German": GERMAN, "Spanish": SPANISH})
"""The languages other than English, by their English names."""
LANGUAGE_NAMES = ("English", *sorted(LANGUAGES))
"""All languages by their English names."""
N_STORIES = 2000
"""About a megabyte in each language."""


def stories(language: str, n: int = N_STORIES, seed: int = 0) -> Iterator[str]:
    """Generate `n` stories in one of LANGUAGE_NAMES. Equal `n` and `seed` give the same events in all languages."""
    assert language in LANGUAGE_NAMES, language
    world, happening, telling = World(seed), random.Random(f"parallel-{seed}"), random.Random(f"telling-{seed}")
    for _ in range(n):
        events = simulate(draw_cast(world, happening, 3, 4, 3), 8, happening, MIXED)
        if language == "English":
            yield english.tell(events, telling)
        else:
            yield " ".join(map(LANGUAGES[language].tell, events))
