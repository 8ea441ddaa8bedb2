"""The pronoun sentences as a corpus on disk: the held-out ones are for validation. No torch import."""

from __future__ import annotations

import random

from terrarium.models.corpora.corpus import Corpus, Example, build_examples_corpus, list_corpora
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.pronouns import sentences

SOURCE = "pronouns"
EDITION = 1
"""Increased whenever the sentences change, so that older corpora are not mistaken for them."""


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
