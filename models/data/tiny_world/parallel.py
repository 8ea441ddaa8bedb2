"""The same stories in every language that Tiny World can tell: what tokenizers are compared on across languages."""

from __future__ import annotations

import random
from collections.abc import Iterator

from models.data.tiny_world import english
from models.data.tiny_world.languages import LANGUAGES
from models.data.tiny_world.stories import MIXED, draw_cast, simulate
from models.data.tiny_world.world import World

LANGUAGE_NAMES = ("English", *sorted(LANGUAGES))
"""By their English names."""

N_STORIES = 2000
"""About a megabyte in each language."""


def stories(language: str, n: int = N_STORIES, seed: int = 0) -> Iterator[str]:
    """`n` stories in one of LANGUAGE_NAMES. With the same `n` and `seed`, all languages tell of the same events."""
    assert language in LANGUAGE_NAMES, language
    world, happening, telling = World(seed), random.Random(f"parallel-{seed}"), random.Random(f"telling-{seed}")
    for _ in range(n):
        events = simulate(draw_cast(world, happening, 3, 4, 3), 8, happening, MIXED)
        if language == "English":
            yield english.tell(events, telling)
        else:
            yield " ".join(map(LANGUAGES[language].tell, events))
