"""Tiny World as a corpus on disk: conversations for training and validation."""

from __future__ import annotations

import random
from collections.abc import Generator

from terrarium.models.corpora.corpus import Corpus, build_examples_corpus, list_corpora
from terrarium.models.corpora.shown_texts import N_SHOWN, shown_texts
from terrarium.models.events import Event, Progress, TextsShown
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.dialogues import SHARES, conversations, drawn_kinds
from terrarium.models.tiny_world.world import World

N_TRAIN, N_VAL = 16_000, 400
"""A quick start uses each example once, and generating them is part of its first seconds."""
EDITION = 2
"""Increased whenever the generator changes, so that older corpora are not mistaken for its output. All editions
describe the same worlds."""
_FIRST_SHARES = {"knowledge": 0.10, "requests": 0.18, "reading": 0.20, "state": 0.40, "sums": 0.05, "translation": 0.07}
"""`SHARES` of the first edition, for runs that exist in libraries."""


def build_tiny_world_corpus(library: Library, seed: int) -> Generator[Event, None, Corpus]:
    """Return the corpus of the world with that seed; generated if missing. Yields Progress, and its first texts."""
    label = _label(seed, EDITION)
    for corpus in list_corpora(library):
        if corpus.source == "examples" and corpus.label == label:
            return corpus
    rng = _generator(seed)
    examples = []
    for messages in conversations(World(seed), N_TRAIN + N_VAL, rng):
        examples.append({"messages": messages})
        if len(examples) == N_SHOWN:
            yield TextsShown(texts=shown_texts(examples))
        if len(examples) % 2000 == 0:
            yield Progress(done=len(examples), total=N_TRAIN + N_VAL)
    return build_examples_corpus(library, examples[:N_TRAIN], examples[N_TRAIN:], label, seed)


def world_of(corpus: Corpus) -> World | None:
    """Return the world that a corpus is about; None if it is another text."""
    return None if _edition_of(corpus) is None or corpus.seed is None else World(corpus.seed)


def row_kinds(corpus: Corpus) -> list[str] | None:
    """Return the first question's kind of each training row; None if the corpus is not Tiny World."""
    edition = _edition_of(corpus)
    if edition is None or corpus.seed is None:
        return None
    shares = _FIRST_SHARES if edition == 1 else SHARES
    return drawn_kinds(len(corpus.rows("train")), _generator(corpus.seed), shares)


def _edition_of(corpus: Corpus) -> int | None:
    """Return the edition of a corpus; None if it is not Tiny World."""
    if corpus.source != "examples" or corpus.seed is None:
        return None
    return next((each for each in range(1, EDITION + 1) if corpus.label == _label(corpus.seed, each)), None)


def _label(seed: int, edition: int) -> str:
    return f"Tiny World {seed}, edition {edition}"


def _generator(seed: int) -> random.Random:
    return random.Random(f"tiny-world-corpus-{seed}")
