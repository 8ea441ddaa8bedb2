"""Validates rows of a task, and finds their labels."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Any

from terrarium.models.chat.own_template import check_messages
from terrarium.models.corpora.blocks import CHUNK_BYTES
from terrarium.models.corpora.corpus import Corpus, prompt_digest
from terrarium.models.events import Event, Progress
from terrarium.models.settings.tasks import PREFERENCE_TASKS, TASKS

Row = Mapping[str, Any]
"""A row of a dataset; its form: models.settings.tasks."""

LABEL_TASKS = ("classification", "multi-label", "regression", "tagging", "span")
"""The tasks of label and span heads; the others are learned as text."""

CHECKED_TASKS = (*LABEL_TASKS, *PREFERENCE_TASKS)
"""The tasks whose rows are all checked before training."""


def check_rows(task: str, rows: Sequence[Row], labels: Sequence[str] | None, where: str, first: int = 1) -> None:
    """Check that rows have the form of a task, and no other labels than `labels` (None: any).

    Raises:
        ValueError: naming `where` (“train.jsonl”) and the number of the row, counted from `first`.
    """
    if not rows:
        raise ValueError(f"{where} has no rows: choose another file, or another split.")
    known = None if labels is None else frozenset(labels)
    for number, row in enumerate(rows, start=first):
        problem = _problem(task, row) or _unknown_label(task, row, known)
        if problem:
            raise ValueError(f"{where}, row {number}: {problem}")


def checked_groups(
    corpus: Corpus, split: str, labels: Sequence[str] | None, n_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[list[dict[str, Any]], Progress]]:
    """Yield the rows of a dataset's split in groups of about `n_bytes`, checked by `check_rows`; only one is in
    memory.

    Each comes with the Progress (bytes) after it.
    """
    rows, done, where = corpus.rows(split), 0, str(corpus.path(split))
    for group in rows.groups(0, n_bytes) if len(rows) else [[]]:
        check_rows(corpus.task, group, labels, where, done + 1)
        done += len(group)
        yield group, Progress(done=rows.offset(done), total=rows.offset(len(rows)))


def check_split(corpus: Corpus, split: str, labels: Sequence[str]) -> Generator[Event, None, None]:
    """Check all rows of a dataset's split with `check_rows`. Yields Progress (bytes)."""
    for _, progress in checked_groups(corpus, split, labels):
        yield progress


def check_prompts_apart(corpus: Corpus) -> Generator[Event, None, None]:
    """Check that no prompt ("messages") of a dataset is in both training and validation. Yields Progress (bytes).

    Raises:
        ValueError: if one is, naming the rows of both: memorised prompts do not measure generalisation.
    """
    held_out: dict[bytes, int] = {}
    for split in ("val", "train"):
        number = 0
        for group, progress in checked_groups(corpus, split, None):
            for row in group:
                number += 1
                digest = prompt_digest(row["messages"])
                if split == "val":
                    held_out.setdefault(digest, number)
                elif digest in held_out:
                    raise ValueError(
                        f"{corpus.path('train')}, row {number}: its prompt is also in the validation, in row "
                        f"{held_out[digest]}: divide the rows by their prompts."
                    )
            yield progress


def row_labels(task: str, row: Row) -> Sequence[str]:
    """Return the labels of a row of a task that has labels."""
    column = TASKS[task].label_column
    assert column is not None
    value = row[column]
    return [value] if isinstance(value, str) else value


def find_labels(corpus: Corpus) -> Generator[Event, None, tuple[str, ...]]:
    """Return the labels of a dataset in the order of a model's outputs: as it lists them, else those in training,
    sorted.

    Yields Progress (bytes) if it has to read the rows. Raises ValueError for a row that does not suit the task.
    """
    if corpus.labels or TASKS[corpus.task].label_column is None:
        return corpus.labels
    found = set[str]()
    for group, progress in checked_groups(corpus, "train", None):
        found.update(label for row in group for label in row_labels(corpus.task, row))
        yield progress
    return tuple(sorted(found))


def _problem(task: str, row: Row) -> str | None:
    """Return what is wrong with the form of a row, or None."""
    if not isinstance(row, Mapping):
        return f"it is no object with the columns {', '.join(TASKS[task].columns)}: write one JSON object a line."
    missing = next((column for column in TASKS[task].columns if column not in row), None)
    if missing is not None:
        return f"it has no column {missing!r}: {task} needs {', '.join(TASKS[task].columns)}."
    if task == "unpaired":
        return _prompt_problem(row) or _rating_problem(row)
    for column in ("text", "text_pair", "label", "question", "context", "source", "target"):
        is_read = column in row and column in (*TASKS[task].columns, *TASKS[task].optional_columns)
        if is_read and not isinstance(row[column], str):
            return f"{column} must be a text, not {row[column]!r}."
    for column in set(TASKS[task].columns) & {"labels", "words", "tags"}:
        if not isinstance(row[column], list) or not all(isinstance(each, str) for each in row[column]):
            return f"{column} must be a list of texts."
    if task == "tagging" and len(row["words"]) != len(row["tags"]):
        return f"it has {len(row['words'])} words but {len(row['tags'])} tags: give each word one."
    if task == "regression" and not _is_number(row["score"]):
        return f"score must be a number, not {row['score']!r}."
    if task == "preference":
        return _prompt_problem(row) or _pair_problem(row)
    return _answer_problem(row) if task == "span" else None


def _prompt_problem(row: Row) -> str | None:
    """Return what is wrong with the messages of a prompt, or None."""
    messages = row["messages"]
    if not isinstance(messages, list) or not all(isinstance(each, Mapping) for each in messages):
        return 'messages must be a list of {"role": …, "content": …}.'
    try:
        check_messages(messages)
    except ValueError as error:
        return str(error)
    if not messages or messages[-1]["role"] != "user":
        return "its messages do not end with the user, so there is nothing to reply to: leave out the replies in them."
    return None


def _rating_problem(row: Row) -> str | None:
    """Return what is wrong with a rated reply, or None."""
    if not isinstance(row["completion"], str):
        return f"completion must be a text, not {row['completion']!r}."
    if not row["completion"].strip():
        return "completion is empty, so there is nothing to learn from: leave the row out."
    if not isinstance(row["label"], bool):
        return f"label must be true (a good reply) or false (a bad one), not {row['label']!r}."
    return None


def _pair_problem(row: Row) -> str | None:
    """Return what is wrong with two replies to a prompt, or None."""
    for column in ("chosen", "rejected"):
        if not isinstance(row[column], str):
            return f"{column} must be a text, not {row[column]!r}."
        if not row[column].strip():
            return f"{column} is empty, so there is nothing to compare: give both replies, or leave the row out."
    if row["chosen"].strip() == row["rejected"].strip():
        return "chosen and rejected are the same reply, from which nothing can be learned: leave the row out."
    if row.get("choice", "chosen") not in ("chosen", "tie"):
        return f'choice is {row["choice"]!r}: write "chosen", or "tie" where both are about equal.'
    return None


def _answer_problem(row: Row) -> str | None:
    if not isinstance(row["answers"], list):
        return "answers must be a list, empty where the question has none."
    for answer in row["answers"]:
        if not isinstance(answer, Mapping) or not isinstance(answer.get("text"), str):
            return 'each answer must have a text and its start: {"text": …, "start": …}.'
        start = answer.get("start")
        if type(start) is not int or not answer["text"] or start < 0:
            return f"the answer {answer['text']!r} has no start: give the number of characters before it."
        if row["context"][start : start + len(answer["text"])] != answer["text"]:
            return f"the answer {answer['text']!r} does not stand at character {start} of the context."
    return None


def _unknown_label(task: str, row: Row, known: frozenset[str] | None) -> str | None:
    if known is None or TASKS[task].label_column is None:
        return None
    label = next((label for label in row_labels(task, row) if label not in known), None)
    if label is None:
        return None
    return f"the label {label!r} is none that the model can give: add rows with it to the training data, or correct it."


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
