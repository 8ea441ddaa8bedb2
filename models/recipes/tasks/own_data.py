"""A user's own rows, of the form of a recipe's task, as a dataset, split by what the rows ask."""

from __future__ import annotations

from pathlib import Path

from models.data.corpus import Corpus, Example, build_examples_corpus, find_dataset
from models.data.tiny_world.splits import split_of
from models.library.library import Library
from models.settings.tasks import TASKS
from models.tasks.evaluating import read_task_rows

_ANSWERS = frozenset({"label", "labels", "score", "tags", "answers", "target"})


def own_dataset(library: Library, data: str, task: str) -> Corpus:
    """The rows of a file of JSON lines as a dataset of `task`, or the dataset of the library that `data` names.

    A tenth each is for validation and for the test, by a hash of a row without its answer; a row that occurs twice
    counts once.

    Raises:
        ValueError: where there is no such file or dataset, a row has not the form of the task, or a split is empty.
    """
    found = read_task_rows(library, data, task)
    if not Path(data).expanduser().is_file():
        return find_dataset(library, data)
    columns = [column for column in TASKS[task].columns if column not in _ANSWERS]
    splits: dict[str, dict[str, Example]] = {"train": {}, "val": {}, "test": {}}
    for row in found.rows:
        item = str([row[column] for column in (*columns, *TASKS[task].optional_columns) if column in row])
        splits[split_of(item)].setdefault(item, dict(row))
    if not all(splits.values()):
        raise ValueError(f"{data} has too few different rows for training, validation and test: give at least 50.")
    train, val, test = (list(rows.values()) for rows in splits.values())
    return build_examples_corpus(library, train, val, found.name, None, test=test, task=task)
