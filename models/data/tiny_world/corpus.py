"""Tiny World as a corpus on disk: conversations to train on, and others to validate on."""

from __future__ import annotations

import random
from collections.abc import Generator

from models.data.corpus import Corpus, build_examples_corpus, list_corpora
from models.data.tiny_world.dialogues import conversations
from models.data.tiny_world.world import World
from models.events import Event, Progress
from models.library.library import Library

N_TRAIN, N_VAL = 24_000, 400
EDITION = 1
"""Raised whenever the generator changes, so that a corpus made before is not taken for its own."""


def build_tiny_world_corpus(library: Library, seed: int) -> Generator[Event, None, Corpus]:
    """The corpus of the world with that seed; generated where the library does not have it yet. Yields Progress."""
    label = f"Tiny World {seed}, edition {EDITION}"
    for corpus in list_corpora(library):
        if corpus.source == "examples" and corpus.label == label:
            return corpus
    rng = random.Random(f"tiny-world-corpus-{seed}")
    examples = []
    for messages in conversations(World(seed), N_TRAIN + N_VAL, rng):
        examples.append({"messages": messages})
        if len(examples) % 2000 == 0:
            yield Progress(done=len(examples), total=N_TRAIN + N_VAL)
    return build_examples_corpus(library, examples[:N_TRAIN], examples[N_TRAIN:], label, seed)
