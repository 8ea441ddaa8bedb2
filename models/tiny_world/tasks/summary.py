"""One-line summaries of stories: the whole end, or the most important event. Neither is a sentence of the story."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.events import Drops, Gives, Lies, Takes, WorldEvent, WorldState
from terrarium.models.tiny_world.splits import Drawn, split_of
from terrarium.models.tiny_world.stories import EventWeights, draw_cast, simulate
from terrarium.models.tiny_world.world import World

ALL, MOST_IMPORTANT = "all of the end", "most important"
PROMPTS = {ALL: "Summarise: ", MOST_IMPORTANT: "Most important: "}
NOBODY = "nobody"

Fact = tuple[str, str, str]
"""(subject, relation, value): a person was "in" a place or "had" a thing; a thing came "from" and went "to" a place,
and ended up "with" a person or NOBODY."""


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """Draw a story of two or three people with both of its summaries; held out by the whole story.

    `facts` are what a summary must state, and nothing else: see `are_all_facts_right`.
    """
    cast = draw_cast(world, rng, rng.randint(2, 3), 4, 2)
    events = simulate(cast, rng.randint(5, 8), rng, EventWeights(move=3, take=3, drop=1, give=2))
    story = english.tell(events, rng)
    summaries = {ALL: summarise(events), MOST_IMPORTANT: most_important(events)}
    return [
        Drawn(
            split_of(story),
            {
                "source": f"{PROMPTS[group]}{story}",
                "target": summary,
                "group": group,
                "facts": sorted(facts_of(summary) or ()),
            },
        )
        for group, summary in summaries.items()
        if summary
    ]


def summarise(events: Sequence[WorldEvent]) -> str:
    """Summarise the end of a story in one line: the place of each person, by appearance, and the holders of things.

    "In the end, Anna was in the garden, Ben was in the mill, the ball was with Anna, and the key was with Anna." Each
    thing is named before its holder: a model can look up a thing's last holder, but not which things somebody still
    has.
    """
    state = WorldState()
    for event in events:
        state.apply(event)
    clauses = [f"{person} was in the {place}" for person, place in state.place_of.items()]
    clauses += [f"the {thing} was with {holder}" for thing, holder in sorted(state.holder_of.items())]
    assert clauses, "a story that puts nobody anywhere has no summary"
    *before, last = clauses
    return f"In the end, {', and '.join([', '.join(before), last] if before else [last])}."


def most_important(events: Sequence[WorldEvent]) -> str | None:
    """Summarise the way of the thing that changed hands most often; None if there is no single one.

    "The key lay in the garden at first, and ended up with Ben in the mill.", "The key lay in the garden at first, and
    ended up in the mill." Each decisive word can be looked up from those before it; with the place before the person, a
    model would have to find both at the same time.
    """
    state = WorldState()
    origin: dict[str, str] = {}
    changes = Counter[str]()
    for event in events:
        state.apply(event)
        match event:
            case Lies(thing, place):
                origin.setdefault(thing, place)
            case Takes(_, thing) | Drops(_, thing) | Gives(_, thing, _):
                changes[thing] += 1
    ranked = changes.most_common(2)
    if not ranked or (ranked[0][1] == ranked[-1][1] and len(ranked) > 1):
        return None
    thing = ranked[0][0]
    holder = state.holder_of.get(thing)
    place = state.place_of[holder] if holder else state.lies_in[thing]
    whose = f"with {holder} " if holder else ""
    return f"The {thing} lay in the {origin[thing]} at first, and ended up {whose}in the {place}."


def facts_of(summary: str) -> set[Fact] | None:
    """Parse the facts of a summary of either kind; None if it is not such a sentence."""
    found = re.fullmatch(
        r"The (\w+) lay in the (\w+) at first, and ended up (?:with (\w+) )?in the (\w+)\.", summary.strip()
    )
    if found:
        thing, origin, holder, end = found.groups()
        return {(thing, "from", origin), (thing, "to", end), (thing, "with", holder or NOBODY)}
    found = re.fullmatch(r"In the end, (.+)\.", summary.strip())
    facts: set[Fact] = set()
    for clause in re.split(r", (?:and )?", found[1]) if found else []:
        parts = re.fullmatch(r"(\w+) was in the (\w+)|the (\w+) was with (\w+)", clause)
        if parts is None:
            return None
        person, place, thing, holder = parts.groups()
        facts.add((person, "in", place) if person else (holder, "had", thing))
    return facts or None


def are_all_facts_right(summary: str, facts: Iterable[Sequence[str]]) -> bool:
    """Return whether a summary states all of the `facts` of a row, in any order, and nothing else."""
    return facts_of(summary) == {tuple(fact) for fact in facts}
