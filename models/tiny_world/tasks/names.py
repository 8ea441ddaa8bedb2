"""Named entity recognition: stories full of invented names, with a tag for each word.

The same names denote people and places, and some words are colours as well as things ("Rose painted the rose door"), so
that a word list does not suffice; the sentence decides. A fifth of the names is held out (group "unseen": stories
without any name from training); stories of known names are held out whole (group "known").
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from string import Formatter

from terrarium.models.tiny_world import lexicon
from terrarium.models.tiny_world.splits import Drawn, split_of
from terrarium.models.tiny_world.world import World

LABELS = ("O", "B-PERSON", "I-PERSON", "B-PLACE", "I-PLACE", "B-THING", "B-COLOUR", "B-MOOD")

N_NAMES = 600
_ONE_IN = 5
FLOWERS = ("Amber", "Hazel", "Olive", "Rose", "Ruby", "Violet")
"""Names that in lower case are things or colours."""
COLOURED_THINGS = (*(name.lower() for name in FLOWERS), "coral", "lime", "orange", "peach", "plum")
"""A thing in "took the plum", and a colour in "took the plum hat"."""
_COLOURS = (*lexicon.COLOURS, *(thing for thing in COLOURED_THINGS if thing not in lexicon.COLOURS))
_BEGINNINGS = ("b", "br", "d", "dr", "f", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "r", "s", "st", "t", "tr",
               "v", "w", "z")  # fmt: skip
_MIDDLES = ("l", "m", "n", "r", "v", "d", "t", "lb", "nd", "rm", "rv", "st")
_ENDS = ("", "", "", "n", "r", "l", "s", "th", "k")
_VOWELS = "aeiou"
_PLACE_WORDS = ("{name}", "{name}", "{name}", "Port {name}", "New {name}", "{name} Hill", "Lake {name}")
_SENTENCES = (
    "{person} was in {place}.", "{person} went to {place}.", "{person} came from {place}.",
    "{person} and {other} lived in {place}.", "In {place}, {person} met {other}.", "{person} took {thing}.",
    "{person} gave {thing} to {other}.", "{person} showed {other} {thing}.", "{thing} was in {place}.",
    "{person} painted {painted} {colour}.", "{person} felt {mood}.", "In {place}, {person} was {mood}.",
    "Nobody in {place} knew {person}.", "The road from {place} to {elsewhere} was long.",
    "{place} is near {elsewhere}.", "“Where is {person}?” asked {other}.", "{other} thanked {person} for {thing}.",
    "“Come to {place},” said {person} to {other}.",
)  # fmt: skip

Chunk = tuple[str, str]
"""A part of a sentence and its entity, "" for none."""


def draw(world: World, rng: random.Random) -> list[Drawn]:
    """Draw a story of four to six sentences, with names of only one split."""
    pool = rng.choices(("train", "val", "test"), (8, 1, 1))[0]
    cast = _cast(world, pool, rng)
    templates = rng.sample(_SENTENCES, rng.randint(4, 6))
    pairs = [pair for template in templates for pair in _tagged(_sentence(template, cast, rng))]
    words, tags = [word for word, _ in pairs], [tag for _, tag in pairs]
    split = pool if pool != "train" else split_of(" ".join(words))
    return [Drawn(split, {"words": words, "tags": tags, "group": "known" if pool == "train" else "unseen"})]


@lru_cache(maxsize=8)
def names(seed: int) -> dict[str, tuple[str, ...]]:
    """Return the invented names of a world, by split."""
    rng = random.Random(f"tiny-world-names-{seed}")
    found = dict.fromkeys((*FLOWERS, *islice(_invented(rng), 3 * N_NAMES)))
    by_split: dict[str, tuple[str, ...]] = {"train": (), "val": (), "test": ()}
    for name in islice(found, N_NAMES):
        by_split[split_of(f"name {name}", _ONE_IN)] += (name,)
    return by_split


def _invented(rng: random.Random) -> Iterator[str]:
    known = {word.lower() for word in (*lexicon.WOMEN, *lexicon.MEN, *lexicon.PLACES, *lexicon.THINGS)}
    while True:
        parts = (_BEGINNINGS, _VOWELS, _MIDDLES, _VOWELS, _ENDS)
        name = "".join(rng.choice(part) for part in parts)
        if name not in known:
            yield name.capitalize()


def _cast(world: World, pool: str, rng: random.Random) -> dict[str, list[list[Chunk]]]:
    """Return for each field of the templates the phrases that a story has for it."""
    drawn = iter(rng.sample(names(world.seed)[pool], 12))
    people = []
    for _ in range(3):
        first = next(drawn)
        people.append([first, f"{first} {next(drawn)}"] if rng.random() < 0.4 else [first])
    places: list[list[Chunk]] = [[(rng.choice(_PLACE_WORDS).format(name=next(drawn)), "PLACE")] for _ in range(3)]
    places.append([("the ", ""), (rng.choice(world.places), "PLACE")])
    things = [_thing(rng.choice((rng.choice(world.things), rng.choice(COLOURED_THINGS))), rng) for _ in range(2)]
    return {
        "person": [[(name, "PERSON")] for forms in people for name in forms],
        "place": places,
        "thing": things,
        "painted": [*things, _thing("door", rng)],
        "colour": [[(colour, "COLOUR")] for colour in _COLOURS],
        "mood": [[(mood, "MOOD")] for mood in lexicon.MOODS],
    }


def _thing(thing: str, rng: random.Random) -> list[Chunk]:
    colour = rng.choice(_COLOURS)
    if rng.random() < 0.5 and colour != thing:
        return [("the ", ""), (colour, "COLOUR"), (" ", ""), (thing, "THING")]
    return [("the ", ""), (thing, "THING")]


def _sentence(template: str, cast: dict[str, list[list[Chunk]]], rng: random.Random) -> list[Chunk]:
    fields = dict(zip(("person", "other"), _two(cast["person"], rng), strict=True))
    fields |= dict(zip(("place", "elsewhere"), _two(cast["place"], rng), strict=True))
    chunks: list[Chunk] = []
    for literal, field, _, _ in Formatter().parse(template):
        chunks.append((literal, ""))
        if field:
            chunks += fields[field] if field in fields else rng.choice(cast[field])
    first = next(i for i, (text, _) in enumerate(chunks) if text)
    text, entity = chunks[first]
    return [*chunks[:first], (text[0].upper() + text[1:], entity), *chunks[first + 1 :]]


def _two(phrases: list[list[Chunk]], rng: random.Random) -> list[list[Chunk]]:
    """Draw two phrases that name different things: "Velba" and "Velba Dorin" are one person."""
    while True:
        one, other = rng.sample(phrases, 2)
        if one[-1][0].split()[0] != other[-1][0].split()[0]:
            return [one, other]


def _tagged(chunks: list[Chunk]) -> Iterator[tuple[str, str]]:
    """Yield the words and punctuation marks of a sentence, each with its IOB2 tag."""
    for text, entity in chunks:
        for i, piece in enumerate(re.findall(r"\w+|[^\w\s]", text)):
            yield piece, f"{'I' if i else 'B'}-{entity}" if entity else "O"
