"""Pronoun minimal pairs: two sentences that differ in one adjective, which decides what "it" means.

Only the noun that the adjective fits decides. Every sentence has a being and a thing; each adjective occurs with the
being first as often as second, and with the being as the agent as often as not. So a rule that uses only the order, the
roles, the nearer noun, the nouns or the adjective is right in exactly half of the cases. Pairs of a noun and an
adjective are held out: no training sentence combines them.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, list_corpora
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.lexicon import ANIMALS

IT = "it"
BEINGS = ("animal", *ANIMALS)
HELD_OUT_ONE_IN = 4
"""Of the adjectives that fit a noun, and of the nouns that an adjective fits, one in so many is held out. Not by a
hash, so that both splits are balanced like the whole: any two nouns have equally many adjectives in either split."""
SOURCE = "pronouns"
EDITION = 1
"""Increased whenever the sentences change, so that older corpora are not mistaken for them."""


@dataclass(frozen=True)
class Frame:
    """A sentence of a `being`, a `thing` and an adjective; the being is named first, or acts, or both, or neither."""

    sentence: str
    being_first: bool
    being_acts: bool


@dataclass(frozen=True)
class Scenario:
    """A situation of a being and a thing; each adjective fits either the being or the thing.

    An adjective that several scenarios share has the same index in each.
    """

    frames: tuple[Frame, Frame, Frame, Frame]
    things: tuple[str, ...]
    of_beings: tuple[str, ...]
    of_things: tuple[str, ...]


def _frames(active: str, passive: str) -> tuple[Frame, Frame, Frame, Frame]:
    """Return all combinations of order and role."""
    return (
        Frame(f"The {{being}} didn't {active} the {{thing}} because it was too {{word}}.", True, True),
        Frame(f"The {{thing}} wasn't {passive} by the {{being}} because it was too {{word}}.", False, True),
        Frame("The {thing} didn't tempt the {being} because it was too {word}.", False, False),
        Frame("The {being} wasn't tempted by the {thing} because it was too {word}.", True, False),
    )


SCENARIOS = (
    Scenario(
        _frames("cross", "crossed"),
        ("street", "bridge", "field", "ford", "lawn", "meadow", "path", "road", "square", "track"),
        ("tired", "lazy", "scared", "sleepy", "weak", "hungry", "thirsty", "timid"),
        ("wide", "bumpy", "crowded", "narrow", "rocky", "slippery", "steep", "uneven"),
    ),
    Scenario(
        _frames("eat", "eaten"),
        ("apple", "bread", "cake", "cheese", "corn", "pear", "pie", "plum", "soup", "turnip"),
        ("tired", "lazy", "scared", "sleepy", "weak", "full", "shy", "sick"),
        ("bitter", "greasy", "mouldy", "rotten", "salty", "sour", "spicy", "stale"),
    ),
)
NOUNS = tuple(sorted({*BEINGS, *(thing for scenario in SCENARIOS for thing in scenario.things)}))
ADJECTIVES = tuple(sorted({word for scenario in SCENARIOS for word in (*scenario.of_beings, *scenario.of_things)}))


@dataclass(frozen=True)
class Reference:
    """A sentence and the referent of its "it": `gold`, not `other`; `word` is the adjective, which decides."""

    text: str
    gold: str
    other: str
    word: str
    held_out: bool


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences of one split that differ only in their adjective: “it” is the being, or the thing."""

    of_being: Reference
    of_thing: Reference
    frame: Frame

    @property
    def sentences(self) -> tuple[Reference, Reference]:
        """Both sentences."""
        return self.of_being, self.of_thing


def sentences(*, held_out: bool) -> Iterator[Reference]:
    """Yield all sentences of a split, some thousands, in a fixed order; the same in every world."""
    for _, of_being, of_thing in _both(held_out):
        yield from (*of_being, *of_thing)


def minimal_pairs(*, held_out: bool) -> Iterator[MinimalPair]:
    """Yield all pairs whose sentences both belong to the split, in a fixed order."""
    for frame, of_being, of_thing in _both(held_out):
        for one, other in itertools.product(of_being, of_thing):
            yield MinimalPair(one, other, frame)


def draw_pairs(n: int, rng: random.Random) -> list[MinimalPair]:
    """Draw `n` different held-out pairs, or all if there are fewer."""
    pairs = list(minimal_pairs(held_out=True))
    return rng.sample(pairs, min(n, len(pairs)))


def draw_pair(rng: random.Random) -> MinimalPair:
    """Draw one held-out pair."""
    scenario = rng.choice(SCENARIOS)
    frame, i, j = rng.choice(scenario.frames), rng.randrange(len(BEINGS)), rng.randrange(len(scenario.things))
    of_being, of_thing = _sentences(scenario, frame, i, j, held_out=True)
    return MinimalPair(rng.choice(of_being), rng.choice(of_thing), frame)


def _both(held_out: bool) -> Iterator[tuple[Frame, list[Reference], list[Reference]]]:
    for scenario in SCENARIOS:
        for frame, i, j in itertools.product(scenario.frames, range(len(BEINGS)), range(len(scenario.things))):
            yield frame, *_sentences(scenario, frame, i, j, held_out=held_out)


def _sentences(
    scenario: Scenario, frame: Frame, i: int, j: int, *, held_out: bool
) -> tuple[list[Reference], list[Reference]]:
    """Return the sentences of being `i` and thing `j` in which "it" is the being, and those where it is the thing."""
    being, thing = BEINGS[i], scenario.things[j]

    def of(noun: int, gold: str, other: str, words: Sequence[str]) -> list[Reference]:
        return [
            Reference(frame.sentence.format(being=being, thing=thing, word=word), gold, other, word, held_out)
            for index, word in enumerate(words)
            if ((noun + index) % HELD_OUT_ONE_IN == 0) == held_out
        ]

    return of(i, being, thing, scenario.of_beings), of(j, thing, being, scenario.of_things)


def build_pronoun_corpus(library: Library) -> Corpus:
    """Return all sentences with the meaning of "it", {"text", "gold", "other"}, as a corpus; built if missing."""
    label = f"Pronoun pairs, edition {EDITION}"
    for corpus in list_corpora(library):
        if corpus.source == SOURCE and corpus.label == label:
            return corpus
    return build_examples_corpus(library, _examples(held_out=False), _examples(held_out=True), label, None, SOURCE)


def _examples(*, held_out: bool) -> list[Example]:
    found = [
        {"text": sentence.text, "gold": sentence.gold, "other": sentence.other}
        for sentence in sentences(held_out=held_out)
    ]
    random.Random("pronouns").shuffle(found)
    return found
