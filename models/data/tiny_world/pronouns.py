"""Pronoun minimal pairs: two sentences that differ in one word, which decides what "it" means."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from models.data.tiny_world.lexicon import ANIMALS
from models.data.tiny_world.splits import is_held_out


@dataclass(frozen=True)
class Frame:
    """A sentence about a `first` and a `second`; each word of `of_first` can only be said of the first, and so on."""

    sentence: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    of_first: tuple[str, ...]
    of_second: tuple[str, ...]


FRAMES = (
    Frame(
        "The {first} did not cross the {second} because it was too {word}.",
        ANIMALS,
        ("bridge", "field", "path", "road"),
        ("hungry", "scared", "sleepy", "thirsty", "tired"),
        ("long", "muddy", "slippery", "steep", "wide"),
    ),
    Frame(
        "The {first} did not swim across the {second} because it was too {word}.",
        ANIMALS,
        ("brook", "lake", "pond", "river"),
        ("lazy", "scared", "sleepy", "tired", "young"),
        ("deep", "icy", "shallow", "wide"),
    ),
    Frame(
        "The {first} did not fit into the {second} because it was too {word}.",
        ("ball", "book", "doll", "drum", "hammer", "hat", "lamp", "loaf", "shell"),
        ("bag", "basket", "box", "drawer", "pocket", "sack"),
        ("big", "bulky", "large", "long", "wide"),
        ("little", "narrow", "small", "tiny", "tight"),
    ),
    Frame(
        "The {first} fell through the {second} because it was too {word}.",
        ("anvil", "barrel", "bell", "chest", "drum", "stove"),
        ("bench", "floor", "ice", "roof", "shelf", "table"),
        ("big", "bulky", "heavy", "huge"),
        ("brittle", "rotten", "thin", "weak"),
    ),
    Frame(
        "The {first} did not eat the {second} because it was too {word}.",
        ANIMALS,
        ("apple", "bread", "cheese", "corn", "fish", "pear"),
        ("full", "scared", "sick", "sleepy", "tired"),
        ("bitter", "mouldy", "salty", "sour", "stale"),
    ),
    Frame(
        "The {first} could not catch the {second} because it was too {word}.",
        ("bear", "cat", "dog", "fox", "owl"),
        ("crow", "duck", "hen", "mouse", "rabbit"),
        ("clumsy", "lame", "lazy", "slow"),
        ("agile", "fast", "nimble", "quick"),
    ),
)


@dataclass(frozen=True)
class Reference:
    """A sentence and what its "it" is: `gold`, and not `other`."""

    text: str
    gold: str
    other: str


@dataclass(frozen=True)
class MinimalPair:
    """Two sentences that differ in one word and in what "it" is. Both belong to the same split."""

    of_first: Reference
    of_second: Reference
    held_out: bool


@lru_cache(maxsize=1)
def minimal_pairs() -> tuple[MinimalPair, ...]:
    """All of them, some thousands: they are the same in every world."""
    return tuple(pair for frame in FRAMES for pair in _pairs(frame))


def draw_pair(rng: random.Random, *, held_out: bool) -> MinimalPair:
    """One pair of the held-out or of the training split."""
    while True:
        pair = rng.choice(minimal_pairs())
        if pair.held_out == held_out:
            return pair


def _pairs(frame: Frame) -> Iterator[MinimalPair]:
    for first, second in itertools.product(frame.first, frame.second):
        # By the two nouns, not by the words: else a sentence could be in both splits, paired with another.
        held_out = is_held_out(frame.sentence.format(first=first, second=second, word="…"))
        for one, other in itertools.product(frame.of_first, frame.of_second):
            yield MinimalPair(
                Reference(frame.sentence.format(first=first, second=second, word=one), first, second),
                Reference(frame.sentence.format(first=first, second=second, word=other), second, first),
                held_out,
            )
