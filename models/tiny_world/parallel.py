"""The same stories in all languages of Tiny World, for comparing tokenizers across languages."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from terrarium.models.tiny_world import english
from terrarium.models.tiny_world.french import FRENCH
from terrarium.models.tiny_world.german import GERMAN
from terrarium.models.tiny_world.inflection import Language
from terrarium.models.tiny_world.spanish import SPANISH
from terrarium.models.tiny_world.stories import MIXED, draw_cast, simulate
from terrarium.models.tiny_world.world import World

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
