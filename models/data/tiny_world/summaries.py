"""One-line summaries of stories: who ended where, with what."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from models.data.tiny_world import english
from models.data.tiny_world.events import Gives, WorldEvent, WorldState
from models.data.tiny_world.splits import is_held_out
from models.data.tiny_world.stories import EventWeights, draw_cast, simulate
from models.data.tiny_world.world import World


@dataclass(frozen=True)
class Summary:
    """A story and its one right summary."""

    story: str
    gold: str
    held_out: bool


def draw_summary(world: World, rng: random.Random) -> Summary:
    """A story of two or three people with its summary; held out by the whole story."""
    cast = draw_cast(world, rng, rng.randint(2, 3), 4, 2)
    events = simulate(cast, rng.randint(5, 8), rng, EventWeights(move=3, take=3, drop=1, give=2))
    story = english.tell(events, rng)
    return Summary(story, summarise(events), is_held_out(story))


def summarise(events: Sequence[WorldEvent]) -> str:
    """The end of a story in one line, everybody in the order in which they came in.

    "In the end, Anna was in the garden with the ball and the key, and Ben was in the mill."
    """
    state = WorldState()
    people: dict[str, None] = {}
    for event in events:
        state.apply(event)
        people.update(dict.fromkeys(_people_in(event)))
    assert people, "a story without people has no summary"
    return f"In the end, {_join([_clause(person, state) for person in people], ', and ')}."


def _people_in(event: WorldEvent) -> list[str]:
    named = [event.person] if hasattr(event, "person") else []
    return [*named, event.receiver] if isinstance(event, Gives) else named


def _clause(person: str, state: WorldState) -> str:
    things = _join([f"the {thing}" for thing, holder in sorted(state.holder_of.items()) if holder == person], " and ")
    place = state.place_of.get(person)
    if place is None:
        return f"{person} had {things or 'nothing'}"
    return f"{person} was in the {place}" + (f" with {things}" if things else "")


def _join(parts: list[str], last: str) -> str:
    return last.join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
