"""Some of each task's rows, drawn once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from terrarium.models.corpora.corpus import Example
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.tiny_world.tasks import corpora
from terrarium.models.tiny_world.tasks.corpora import WORLD_TASKS, WorldTask, build_task_corpus

Splits = dict[str, list[Example]]


def shrunk(name: str, times: int) -> dict[str, WorldTask]:
    """The tasks, that one with so many times fewer rows."""
    sizes = {key: n // times for key, n in WORLD_TASKS[name].sizes.items()}
    return dict(WORLD_TASKS) | {name: dataclasses.replace(WORLD_TASKS[name], sizes=sizes)}


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Splits]:
    """The splits of a task of world 0, by its name: a part, larger where most of all words must occur."""
    folder: Path = tmp_path_factory.mktemp("world tasks")

    @cache
    def read(name: str) -> Splits:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                corpora, "WORLD_TASKS", shrunk(name, {"qa": 8, "translation": 16, "summary": 16}.get(name, 4))
            )
            corpus = result_of(build_task_corpus(Library(folder), name, 0))
        return {split: corpus.read_examples(split) for split in corpus.splits}

    return read
