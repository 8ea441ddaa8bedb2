"""Questions that start a chat: random, from the held-out split, each with its right answer."""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from terrarium.models.tiny_world.judge import is_right
from terrarium.models.tiny_world.questions import KINDS, Question, draw
from terrarium.models.tiny_world.world import World

STARTER_KINDS = KINDS


@dataclass(frozen=True)
class Starter:
    """A question and a right answer (for a story: one of many; `accepts` decides)."""

    kind: str
    label: str
    prompt: str
    gold: str
    question: Question

    def accepts(self, reply: str) -> bool:
        """Return whether a reply is right."""
        return is_right(self.question, reply)


_LABELS = {
    "knowledge": "a fact of this world",
    "requests": "a story",
    "reading": "one fact among several",
    "state": "what is so after all that",
    "sums": "a sum",
    "translation": "a sentence in French",
}


def draw_starter(world_seed: int, kind: str, rng: random.Random) -> Starter:
    """Draw a held-out question of that kind about the world of that seed."""
    question = draw(_world(world_seed), kind, rng, held_out=True)
    return Starter(kind, _LABELS[kind], question.text, question.gold, question)


@lru_cache(maxsize=4)
def _world(seed: int) -> World:
    return World(seed)
