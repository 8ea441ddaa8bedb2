"""Generated Python functions, composed of a filter of items, a key of each item, and an aggregate of the keys.

A docstring names the three parts in one of several phrasings, so that a model that has learned each part in other
functions can write "Add up the squares of the numbers above 7." Whole compositions are held out, and separately the
words of a filter ("above 7"). Nothing is executed here: the parts compute the expected results of cases themselves.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from terrarium.models.tiny_world.splits import Drawn, split_of
from terrarium.models.tiny_world.world import World

SEEN, UNSEEN_COMPOSITION, UNSEEN_WORDS = "seen", "unseen composition", "unseen words"
NAME = "answer"
"""The name of every function: only its docstring says what it does."""
N_CASES = 5
_COMPOSITIONS_ONE_IN = 8
_CANDIDATES = 3


@dataclass(frozen=True)
class Filter:
    """Selects items: `phrases` name them, `code` is the condition ("" for all), {w} the word in both."""

    name: str
    phrases: tuple[str, ...]
    code: str
    keep: Callable[[Any, Any], bool]
    words: str = ""
    """The domain's list of words for {w}; "" for none."""


@dataclass(frozen=True)
class Key:
    """Computes a value of each item; {x} in `phrases` is the phrase of the items."""

    name: str
    phrases: tuple[str, ...]
    code: str
    value: Callable[[Any], Any]
    is_number: bool = False


@dataclass(frozen=True)
class Aggregate:
    """Combines all values; {x} in `phrases` is their phrase, {each} in `code` the comprehension over them."""

    name: str
    phrases: tuple[str, ...]
    code: str
    result: Callable[[list[Any]], Any]
    of_numbers: bool = False


@dataclass(frozen=True)
class Domain:
    """The input of a function: its parameter, the loop over it, and a generator of arguments for a word."""

    name: str
    parameter: str
    loop: str
    filters: tuple[Filter, ...]
    keys: tuple[Key, ...]
    argument: Callable[[World, Any, random.Random], Any]

    def items(self, argument: Any) -> list[Any]:
        """Return the items of the loop."""
        return list(argument.items()) if isinstance(argument, dict) else list(argument)


@dataclass(frozen=True)
class Composition:
    """A function without its word."""

    domain: Domain
    filter: Filter
    key: Key
    aggregate: Aggregate

    @property
    def name(self) -> str:
        """The names of its parts; its hash decides on the split."""
        return " ".join((self.domain.name, self.filter.name, self.key.name, self.aggregate.name))

    def body(self, word: Any) -> str:
        """Return its code, one indented line."""
        condition = f" if {self.filter.code}" if self.filter.code else ""
        each = f"{self.key.code} {self.domain.loop}{condition}"
        return f"    return {self.aggregate.code.replace('{each}', each).replace('{w}', str(word))}\n"

    def docstring(self, word: Any, rng: random.Random) -> str:
        """Return its description, in one of its phrasings."""
        items = rng.choice(self.filter.phrases).replace("{w}", str(word))
        values = rng.choice(self.key.phrases).replace("{x}", items)
        return rng.choice(self.aggregate.phrases).replace("{x}", values)

    def run(self, argument: Any, word: Any) -> Any:
        """Return the expected result."""
        return self.aggregate.result([self.key.value(item) for item in self._kept(argument, word)])

    def telling_argument(self, world: World, word: Any, rng: random.Random) -> Any:
        """Return the most informative of a few arguments: several items pass the filter, and others do not."""
        drawn = [self.domain.argument(world, word, rng) for _ in range(_CANDIDATES)]
        return max(drawn, key=lambda argument: self._worth(argument, word))

    def _worth(self, argument: Any, word: Any) -> int:
        n_kept = len(self._kept(argument, word))
        return min(n_kept, 3) + (n_kept < len(argument))

    def _kept(self, argument: Any, word: Any) -> list[Any]:
        return [item for item in self.domain.items(argument) if self.filter.keep(item, word)]


def _numbers(_world: World, word: Any, rng: random.Random) -> list[int]:
    near = word if isinstance(word, int) else 6
    draws = (lambda: rng.randint(-30, 40), lambda: near + rng.randint(-4, 4), lambda: near * rng.randint(0, 4))
    drawn = [rng.choice(draws)() for _ in range(rng.randint(4, 8))]
    return [*drawn, rng.choice(drawn)]


def _names(world: World, word: Any, rng: random.Random) -> list[str]:
    chosen = rng.choices(world.people, k=rng.randint(4, 7))
    chosen.append(word if word in world.people else rng.choice(chosen))
    rng.shuffle(chosen)
    return chosen


def _assignment(keys: str, values: str) -> Callable[[World, Any, random.Random], dict[str, str]]:
    """Return a generator of dicts from some of the world's `keys` (people, things) to some of its `values`."""

    def argument(world: World, word: Any, rng: random.Random) -> dict[str, str]:
        all_keys, all_values = list(getattr(world, keys)), list(getattr(world, values))
        chosen = rng.sample(all_keys, rng.randint(3, 6))
        if word in all_keys and word not in chosen:
            chosen[0] = word
        rng.shuffle(chosen)
        few = [*rng.sample(all_values, 2), word if word in all_values else rng.choice(all_values)]
        return {key: rng.choice(few) for key in chosen}

    return argument


AGGREGATES = (
    Aggregate("list", ("List {x}.", "Return a list of {x}.", "Give {x} as a list."), "[{each}]", lambda xs: xs),
    Aggregate("count", ("Count {x}.", "Return how many there are of {x}.", "Find the number of {x}."),
              "len([{each}])", len),
    Aggregate("distinct", ("Count the different ones among {x}.", "Return how many different ones there are of {x}.",
                           "Count {x}, each value once."), "len({{each}})", lambda xs: len(set(xs))),
    Aggregate("ascending", ("Sort {x}.", "Return {x} in ascending order.", "List {x} in ascending order."),
              "sorted({each})", sorted),
    Aggregate("descending", ("Sort {x} backwards.", "Return {x} in descending order.",
                             "List {x} in descending order."),
              "sorted(({each}), reverse=True)", lambda xs: sorted(xs, reverse=True)),
    Aggregate("first", ("Return the first of {x}, or None.", "Find the first of {x}; None if there is none."),
              "([{each}] + [None])[0]", lambda xs: xs[0] if xs else None),
    Aggregate("last", ("Return the last of {x}, or None.", "Find the last of {x}; None if there is none."),
              "([None] + [{each}])[-1]", lambda xs: xs[-1] if xs else None),
    Aggregate("sum", ("Add up {x}.", "Return the sum of {x}.", "Compute the total of {x}."), "sum({each})", sum,
              of_numbers=True),
    Aggregate("largest", ("Return the largest of {x}, or None.", "Find the maximum of {x}; None if there is none."),
              "max(({each}), default=None)", lambda xs: max(xs, default=None), of_numbers=True),
    Aggregate("smallest", ("Return the smallest of {x}, or None.", "Find the minimum of {x}; None if there is none."),
              "min(({each}), default=None)", lambda xs: min(xs, default=None), of_numbers=True),
)  # fmt: skip
NUMBERS = Domain("numbers", "numbers", "for number in numbers", (
    Filter("all", ("the numbers", "all numbers"), "", lambda x, w: True),
    Filter("above", ("the numbers above {w}", "the numbers greater than {w}", "the numbers that are more than {w}"),
           "number > {w}", lambda x, w: x > w, "numbers"),
    Filter("below", ("the numbers below {w}", "the numbers smaller than {w}", "the numbers that are less than {w}"),
           "number < {w}", lambda x, w: x < w, "numbers"),
    Filter("multiples", ("the multiples of {w}", "the numbers that can be divided by {w}"),
           "number % {w} == 0", lambda x, w: x % w == 0, "numbers"),
    Filter("other", ("the numbers other than {w}", "the numbers that are not {w}"), "number != {w}",
           lambda x, w: x != w, "numbers"),
    Filter("even", ("the even numbers", "the numbers that are even"), "number % 2 == 0", lambda x, w: x % 2 == 0),
    Filter("odd", ("the odd numbers", "the numbers that are odd"), "number % 2 == 1", lambda x, w: x % 2 == 1),
), (
    Key("itself", ("{x}",), "number", lambda x: x, is_number=True),
    Key("square", ("the squares of {x}", "the squared values of {x}"), "number * number", lambda x: x * x,
        is_number=True),
    Key("double", ("the doubles of {x}", "the doubled values of {x}"), "2 * number", lambda x: 2 * x, is_number=True),
    Key("half", ("the halves, rounded down, of {x}", "the rounded-down halves of {x}"), "number // 2",
        lambda x: x // 2, is_number=True),
    Key("size", ("the absolute values of {x}", "the magnitudes of {x}"), "abs(number)", abs, is_number=True),
    Key("negative", ("the negatives of {x}", "the opposites of {x}"), "-number", lambda x: -x,
        is_number=True),
), _numbers)  # fmt: skip
NAMES = Domain("names", "names", "for name in names", (
    Filter("all", ("the names", "all names"), "", lambda x, w: True),
    Filter("longer", ("the names with more than {w} letters", "the names longer than {w} letters"),
           "len(name) > {w}", lambda x, w: len(x) > w, "lengths"),
    Filter("shorter", ("the names with less than {w} letters", "the names shorter than {w} letters"),
           "len(name) < {w}", lambda x, w: len(x) < w, "larger lengths"),
    Filter("starting", ("the names that start with {w}", "the names beginning with {w}"), 'name[0] == "{w}"',
           lambda x, w: x[0] == w, "capitals"),
    Filter("ending", ("the names that end with {w}", "the names ending in {w}"), 'name[-1] == "{w}"',
           lambda x, w: x[-1] == w, "finals"),
    Filter("containing", ("the names that contain {w}", "the names with the letter {w} in them"), '"{w}" in name',
           lambda x, w: w in x, "letters"),
    Filter("other", ("the names other than {w}", "the names that are not {w}"), 'name != "{w}"',
           lambda x, w: x != w, "people"),
), (
    Key("itself", ("{x}",), "name", lambda x: x),
    Key("length", ("the lengths of {x}", "the numbers of letters of {x}"), "len(name)", len, is_number=True),
    Key("initial", ("the first letters of {x}", "the initials of {x}"), "name[0]", lambda x: x[0]),
    Key("final", ("the last letters of {x}", "the final letters of {x}"), "name[-1]", lambda x: x[-1]),
    Key("capitals", ("the upper-case forms of {x}", "the capital forms of {x}"), "name.upper()", str.upper),
    Key("reversed", ("the reversed forms of {x}", "the backward spellings of {x}"), "name[::-1]", lambda x: x[::-1]),
), _names)  # fmt: skip
PLACES = Domain("places", "place_of", "for person, place in place_of.items()", (
    Filter("all", ("the people", "all people"), "", lambda x, w: True),
    Filter("in", ("the people in the {w}", "the people who are in the {w}"), 'place == "{w}"',
           lambda x, w: x[1] == w, "places"),
    Filter("not in", ("the people outside the {w}", "the people who are not in the {w}"), 'place != "{w}"',
           lambda x, w: x[1] != w, "places"),
    Filter("other", ("the people other than {w}", "the people without {w}"), 'person != "{w}"',
           lambda x, w: x[0] != w, "people"),
), (
    Key("itself", ("{x}",), "person", lambda x: x[0]),
    Key("place", ("the places of {x}", "the whereabouts of {x}"), "place", lambda x: x[1]),
    Key("initial", ("the first letters of {x}", "the initials of {x}"), "person[0]", lambda x: x[0][0]),
    Key("length", ("the lengths of the names of {x}", "the name lengths of {x}"), "len(person)",
        lambda x: len(x[0]), is_number=True),
), _assignment("people", "places"))  # fmt: skip
HOLDERS = Domain("holders", "holder_of", "for thing, holder in holder_of.items()", (
    Filter("all", ("the things", "all things"), "", lambda x, w: True),
    Filter("of", ("the things of {w}", "the things that {w} has"), 'holder == "{w}"', lambda x, w: x[1] == w,
           "people"),
    Filter("not of", ("the things of others than {w}", "the things that {w} does not have"), 'holder != "{w}"',
           lambda x, w: x[1] != w, "people"),
    Filter("other", ("the things other than the {w}", "the things without the {w}"), 'thing != "{w}"',
           lambda x, w: x[0] != w, "things"),
), (
    Key("itself", ("{x}",), "thing", lambda x: x[0]),
    Key("holder", ("the holders of {x}", "the owners of {x}"), "holder", lambda x: x[1]),
    Key("initial", ("the first letters of {x}", "the initials of {x}"), "thing[0]", lambda x: x[0][0]),
    Key("length", ("the lengths of the names of {x}", "the name lengths of {x}"), "len(thing)",
        lambda x: len(x[0]), is_number=True),
), _assignment("things", "people"))  # fmt: skip
DOMAINS = (NUMBERS, NAMES, PLACES, HOLDERS)

COMPOSITIONS = tuple(
    Composition(domain, filter_, key, aggregate)
    for domain in DOMAINS
    for filter_ in domain.filters
    for key in domain.keys
    for aggregate in AGGREGATES
    if key.is_number or not aggregate.of_numbers
)


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """Draw a function: its signature with the docstring as source, its body as target, and cases to run.

    `cases` are {"arguments": [one], "expected"}; `kind` names the parts, `word` is the value of {w}.
    """
    composition = rng.choice(COMPOSITIONS)
    word = rng.choice(_words(composition.filter.words, world))
    by_parts = split_of(f"code {composition.name}", _COMPOSITIONS_ONE_IN)
    by_word = split_of(f"code {composition.domain.name} {composition.filter.name} {word}") if word != "" else "train"
    if by_parts != "train" and by_word != "train":
        return []  # a row has only one unseen aspect
    group = UNSEEN_COMPOSITION if by_parts != "train" else UNSEEN_WORDS if by_word != "train" else SEEN
    arguments = [composition.telling_argument(world, word, rng) for _ in range(N_CASES)]
    row = {
        "source": f'def {NAME}({composition.domain.parameter}):\n    """{composition.docstring(word, rng)}"""\n',
        "target": composition.body(word),
        "group": group,
        "kind": composition.name,
        "word": word,
        "name": NAME,
        "cases": [{"arguments": [given], "expected": composition.run(given, word)} for given in arguments],
    }
    return [Drawn(by_parts if by_parts != "train" else by_word, row)]


def _words(name: str, world: World) -> Sequence[Any]:
    """Return the words of a filter; a single empty word if it has none."""
    match name:
        case "":
            return ("",)
        case "numbers":
            return range(2, 21)
        case "lengths":
            return (3, 4, 5)
        case "larger lengths":
            return (4, 5, 6)
        case "capitals":
            return sorted({person[0] for person in world.people})
        case "finals":
            return sorted({person[-1] for person in world.people})
        case "letters":
            return "aeilnor"
        case _:
            words: Sequence[str] = {"people": world.people, "places": world.places, "things": world.things}[name]
            return words
