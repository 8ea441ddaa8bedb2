"""A few examples of the training data, to show while the rest is prepared."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from terrarium.models.corpora.corpus import Corpus
from terrarium.models.events import ShownText

N_SHOWN = 12
_MAX_CHARACTERS = 600
_SAMPLE_BYTES = 8000


def read_shown_texts(corpus: Corpus) -> tuple[ShownText, ...]:
    """Return the first examples of a corpus: questions with their answers, or passages of a text.

    Returns () for damaged examples; the code that reads the whole corpus reports the damage.
    """
    if corpus.kind == "examples":
        with contextlib.suppress(ValueError), corpus.path("train").open(encoding="utf-8") as file:
            return shown_texts([json.loads(line) for line in itertools.islice(file, N_SHOWN)])
        return ()
    passages = (line.strip() for line in corpus.sample_text("train", _SAMPLE_BYTES).splitlines())
    return tuple(ShownText(text=_cut(passage)) for passage in passages if passage)[:N_SHOWN]


def shown_texts(rows: Iterable[Mapping[str, Any]]) -> tuple[ShownText, ...]:
    """Return the first question of each conversation and its answer; rows without a conversation are left out."""
    found = []
    for row in rows:
        said = {message["role"]: message["content"] for message in reversed(row.get("messages", ()))}
        if "user" in said:
            found.append(ShownText(text=_cut(said["user"]), answer=_cut(said.get("assistant", ""))))
    return tuple(found)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_CHARACTERS else text[:_MAX_CHARACTERS].rsplit(" ", 1)[0] + " …"
