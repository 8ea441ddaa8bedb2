"""Small Python functions about Tiny World, each with its docstring, a right solution and test cases.

Nothing is executed here: what a case expects is computed beside the text of the solution, and tests run the solutions.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from models.data.tiny_world import lexicon
from models.data.tiny_world.splits import is_held_out
from models.data.tiny_world.world import World

N_CASES = 4


@dataclass(frozen=True)
class CodeCase:
    """The function called with `argument` must return `expected`."""

    argument: Any
    expected: Any


@dataclass(frozen=True)
class CodeTask:
    """`prompt` is the function's head with its docstring, `gold` a correct body; together they are the source."""

    name: str
    prompt: str
    gold: str
    cases: tuple[CodeCase, ...]
    held_out: bool

    @property
    def source(self) -> str:
        """The whole function."""
        return self.prompt + self.gold


@dataclass(frozen=True)
class TaskSetting:
    """The words and the number that fill a task family's templates."""

    person: str
    thing: str
    place: str
    colour: str
    n: int


@dataclass(frozen=True)
class TaskFamily:
    """Tasks that differ only in their setting. `reference` computes the right result; `argument` draws a test input."""

    name: str
    parameter: str
    docstring: str
    body: str
    argument: Callable[[World, TaskSetting, random.Random], Any]
    reference: Callable[[TaskSetting, Any], Any]


def _things(world: World, setting: TaskSetting, rng: random.Random) -> list[str]:
    return rng.choices([setting.thing, *rng.sample(world.things, 2)], k=rng.randint(0, 6))


def _names(world: World, _setting: TaskSetting, rng: random.Random) -> list[str]:
    return rng.sample(world.people, rng.randint(0, 6))


def _numbers(_world: World, setting: TaskSetting, rng: random.Random) -> list[int]:
    return [rng.choice((rng.randrange(20), setting.n * rng.randrange(4))) for _ in range(rng.randint(0, 7))]


def _holders(world: World, setting: TaskSetting, rng: random.Random) -> dict[str, str]:
    things = dict.fromkeys([setting.thing, *rng.sample(world.things, 4)])
    holders = [setting.person, *rng.sample(world.people, 2)]
    return {thing: rng.choice(holders) for thing in things if rng.random() < 0.8}


def _places(world: World, setting: TaskSetting, rng: random.Random) -> dict[str, str]:
    people = dict.fromkeys([setting.person, *rng.sample(world.people, 4)])
    places = [setting.place, *rng.sample(world.places, 2)]
    return {person: rng.choice(places) for person in people if rng.random() < 0.8}


def _doors(world: World, setting: TaskSetting, rng: random.Random) -> dict[str, str]:
    colours = [setting.colour, *rng.sample(lexicon.COLOURS, 2)]
    return {place: rng.choice(colours) for place in rng.sample(world.places, rng.randint(1, 5))}


def _moves(world: World, setting: TaskSetting, rng: random.Random) -> list[tuple[str, str]]:
    people = [setting.person, *rng.sample(world.people, 2)]
    return [(rng.choice(people), rng.choice(world.places)) for _ in range(rng.randint(0, 6))]


def _keys(mapping: dict[str, str], wanted: str) -> list[str]:
    return sorted(key for key, value in mapping.items() if value == wanted)


FAMILIES = (
    TaskFamily("count_{thing}", "things", "Count how often the {thing} is in a list of things.",
           'return things.count("{thing}")', _things, lambda s, things: things.count(s.thing)),
    TaskFamily("without_{thing}", "things", "Return the list of things without the {thing}.",
           'return [thing for thing in things if thing != "{thing}"]', _things,
           lambda s, things: [t for t in things if t != s.thing]),
    TaskFamily("things_of_{person}", "holder_of", "List in alphabetical order the things that {person} has.",
           'return sorted(thing for thing, holder in holder_of.items() if holder == "{person}")', _holders,
           lambda s, holder_of: _keys(holder_of, s.person)),
    TaskFamily("count_things_of_{person}", "holder_of", "Count how many things {person} has.",
           'return list(holder_of.values()).count("{person}")', _holders,
           lambda s, holder_of: len(_keys(holder_of, s.person))),
    TaskFamily("has_{person}_the_{thing}", "holder_of", "Say whether {person} has the {thing}.",
           'return holder_of.get("{thing}") == "{person}"', _holders,
           lambda s, holder_of: s.thing in _keys(holder_of, s.person)),
    TaskFamily("people_in_{place}", "place_of", "List in alphabetical order who is in the {place}.",
           'return sorted(person for person, place in place_of.items() if place == "{place}")', _places,
           lambda s, place_of: _keys(place_of, s.place)),
    TaskFamily("count_people_with_{person}", "place_of", "Count who else is where {person} is, or 0 if nobody knows.",
           'if "{person}" not in place_of:\n'
           "    return 0\n"
           'return list(place_of.values()).count(place_of["{person}"]) - 1', _places,
           lambda s, place_of: max(0, len(_keys(place_of, place_of.get(s.person, ""))) - 1)),
    TaskFamily("last_place_of_{person}", "moves", "Return where {person} went last, or None.",
           "last = None\n"
           "for person, place in moves:\n"
           '    if person == "{person}":\n'
           "        last = place\n"
           "return last", _moves,
           lambda s, moves: dict(moves).get(s.person)),
    TaskFamily("count_moves_of_{person}", "moves", "Count how often {person} went anywhere.",
           "count = 0\n"
           "for person, place in moves:\n"
           '    if person == "{person}":\n'
           "        count += 1\n"
           "return count", _moves,
           lambda s, moves: len([who for who, _ in moves if who == s.person])),
    TaskFamily("{colour}_doors", "door_colour", "List in alphabetical order the places with a {colour} door.",
           'return sorted(place for place, colour in door_colour.items() if colour == "{colour}")', _doors,
           lambda s, door_colour: _keys(door_colour, s.colour)),
    TaskFamily("add_{n}", "numbers", "Add {n} to every number.",
           "return [number + {n} for number in numbers]", _numbers, lambda s, numbers: [x + s.n for x in numbers]),
    TaskFamily("above_{n}", "numbers", "Return the numbers that are greater than {n}.",
           "return [number for number in numbers if number > {n}]", _numbers,
           lambda s, numbers: [x for x in numbers if x > s.n]),
    TaskFamily("multiples_of_{n}", "numbers", "Count the numbers that can be divided by {n}.",
           "return len([number for number in numbers if number % {n} == 0])", _numbers,
           lambda s, numbers: len([x for x in numbers if x % s.n == 0])),
    TaskFamily("cost_of_{n}_each", "prices", "Return what {n} of everything costs, given the prices of one.",
           "return {n} * sum(prices)", _numbers, lambda s, prices: sum(s.n * x for x in prices)),
    TaskFamily("names_longer_than_{n}", "names", "Return the names with more than {n} letters.",
           "return [name for name in names if len(name) > {n}]", _names,
           lambda s, names: [name for name in names if len(name) > s.n]),
)  # fmt: skip


def draw_code_task(world: World, rng: random.Random) -> CodeTask:
    """A function to write, held out by its name: the family together with its words and number."""
    family = rng.choice(FAMILIES)
    setting = TaskSetting(
        rng.choice(world.people),
        rng.choice(world.things),
        rng.choice(world.places),
        rng.choice(lexicon.COLOURS),
        rng.randint(2, 12),
    )
    fields = vars(setting)
    name = family.name.format_map({**fields, "person": setting.person.lower()})
    docstring = family.docstring.format_map(fields)
    body = family.body.format_map(fields).replace("\n", "\n    ")
    arguments = [family.argument(world, setting, rng) for _ in range(N_CASES)]
    return CodeTask(
        name,
        f'def {name}({family.parameter}):\n    """{docstring}"""\n',
        f"    {body}\n",
        tuple(CodeCase(argument, family.reference(setting, argument)) for argument in arguments),
        is_held_out(f"code {name}"),
    )
