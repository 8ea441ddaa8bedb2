"""The corpora that commands can read: built-in ones and those of the library."""

from __future__ import annotations

from collections.abc import Sequence

from terrarium.models.corpora.corpus import list_corpora
from terrarium.models.data.corpus_texts import CorpusChoice
from terrarium.models.library.library import Library

BUILT_IN = ("tiny-world", "stdlib")
"""Corpora that are generated on first use."""


def find_corpus(name: str, library: Library, others: Sequence[str] = ()) -> CorpusChoice:
    """Find a corpus by name: a built-in one, or one of the library by its label or the digits of its SHA-256.

    Args:
        others: other accepted values, for the error message.

    Raises:
        ValueError: if there is no such corpus.
    """
    if name in BUILT_IN:
        return CorpusChoice(source=name)
    corpora = list_corpora(library)
    for corpus in corpora:
        if name == corpus.label or corpus.sha == name[:12]:
            return CorpusChoice(source="corpus", sha=corpus.sha)
    known = ", ".join([*BUILT_IN, *others, *(f"{corpus.sha} ({corpus.label})" for corpus in corpora)])
    raise ValueError(f"There is no corpus called {name!r}: choose one of {known}.")
