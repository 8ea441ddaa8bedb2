"""The corpora that commands can be told to read: those that Terrarium makes, and those of the library."""

from __future__ import annotations

from collections.abc import Sequence

from models.data.corpus import list_corpora
from models.data.corpus_texts import CorpusChoice
from models.library.library import Library

MADE = ("tiny-world", "stdlib")
"""Corpora that are built when they are first read."""


def find_corpus(name: str, library: Library, others: Sequence[str] = ()) -> CorpusChoice:
    """The corpus with this name: one of MADE, or one of the library by its label or the digits of its SHA-256.

    Args:
        others: what else the command takes, for the sentence.

    Raises:
        ValueError: where there is none.
    """
    if name in MADE:
        return CorpusChoice(source=name)
    corpora = list_corpora(library)
    for corpus in corpora:
        if name == corpus.label or corpus.sha == name[:12]:
            return CorpusChoice(source="corpus", sha=corpus.sha)
    known = ", ".join([*MADE, *others, *(f"{corpus.sha} ({corpus.label})" for corpus in corpora)])
    raise ValueError(f"There is no corpus called {name!r}: choose one of {known}.")
