"""A quarter of each task's rows, drawn once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from models.data.corpus import Example
from models.data.tiny_world.tasks import corpora
from models.data.tiny_world.tasks.corpora import WORLD_TASKS, build_task_corpus
from models.events import result_of
from models.library.library import Library

Splits = dict[str, list[Example]]


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Splits]:
    """The splits of a task of world 0, by its name."""
    folder: Path = tmp_path_factory.mktemp("world tasks")
    small = {
        name: dataclasses.replace(task, sizes={key: n // 4 for key, n in task.sizes.items()})
        for name, task in WORLD_TASKS.items()
    }

    @cache
    def read(name: str) -> Splits:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(corpora, "WORLD_TASKS", small)
            corpus = result_of(build_task_corpus(Library(folder), name, 0))
        return {split: corpus.read_examples(split) for split in corpus.splits}

    return read
