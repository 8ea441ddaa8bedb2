"""Texts in several languages that say the same, as parts to compare tokenizers on."""

from __future__ import annotations

from collections.abc import Generator

from models.data.corpus_texts import CorpusTexts
from models.data.tiny_world.parallel import LANGUAGE_NAMES, N_STORIES, stories
from models.events import Event, Phase, Progress

__all__ = ["LANGUAGE_NAMES", "language_texts"]


def language_texts(language: str, n: int = N_STORIES) -> Generator[Event, None, CorpusTexts]:
    """`n` stories of Tiny World in one of LANGUAGE_NAMES, the same ones in each."""
    yield Phase(name=f"Telling stories in {language}")
    told = []
    for story in stories(language, n):
        told.append(story)
        if len(told) % 500 == 0:
            yield Progress(done=len(told), total=n)
    return CorpusTexts(language, sum(len(story.encode()) for story in told), iter(told))
