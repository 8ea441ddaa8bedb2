"""Summaries of stories in a line: all of the end, or only what mattered most. Neither is a sentence of the story."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from models.data.tiny_world import english
from models.data.tiny_world.events import Drops, Gives, Lies, Takes, WorldEvent, WorldState
from models.data.tiny_world.splits import split_of
from models.data.tiny_world.stories import EventWeights, draw_cast, simulate
from models.data.tiny_world.tasks.rows import Drawn
from models.data.tiny_world.world import World

ALL, MOST_IMPORTANT = "all of the end", "most important"
PROMPTS = {ALL: "Summarise: ", MOST_IMPORTANT: "Most important: "}
NOBODY = "nobody"

Fact = tuple[str, str, str]
"""(subject, relation, value): who was "in" a place or "had" a thing; where a thing came "from" and went "to", and who
"had" it."""


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """A story of two or three people with both of its summaries; held out by the whole story.

    `facts` are what a summary must say, and nothing else: see `are_all_facts_right`.
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


def most_important(events: Sequence[WorldEvent]) -> str | None:
    """What became of the thing that changed hands most often; None where no thing did so more often than the others.

    "The key ended up with Ben, and went from the garden to the mill.", "The key ended up with nobody, and stayed in the
    garden." Who has it comes before where it is: from the one a model can look up the other. With the place first, two
    layers have to find both at once, and four errors in five were that place.
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
    way = f"stayed in the {place}" if place == origin[thing] else f"went from the {origin[thing]} to the {place}"
    return f"The {thing} ended up with {holder or NOBODY}, and {way}."


def facts_of(summary: str) -> set[Fact] | None:
    """What a summary of either kind says; None where it is no such sentence."""
    found = re.fullmatch(
        r"The (\w+) ended up with (\w+), and (?:stayed in the (\w+)|went from the (\w+) to the (\w+))\.", summary.strip()
    )
    if found:
        thing, holder, only, origin, end = found.groups()
        return {(thing, "from", origin or only), (thing, "to", end or only), (thing, "with", holder)}
    found = re.fullmatch(r"In the end, (.+)\.", summary.strip())
    clauses = re.split(r", (?:and )?", found[1]) if found else []
    facts: set[Fact] = set()
    for clause in clauses:
        parts = re.fullmatch(r"(\w+) was in the (\w+)(?: with ((?:the \w+(?:, | and )?)+))?", clause)
        if parts is None:
            return None
        facts.add((parts[1], "in", parts[2]))
        facts |= {(parts[1], "had", thing) for thing in re.findall(r"the (\w+)", parts[3] or "")}
    return facts or None


def are_all_facts_right(summary: str, facts: Iterable[Sequence[str]]) -> bool:
    """Whether a summary says all of the `facts` of a row, in any order, and nothing else."""
    return facts_of(summary) == {tuple(fact) for fact in facts}


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
