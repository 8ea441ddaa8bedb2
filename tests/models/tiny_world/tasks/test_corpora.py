"""The datasets: made once, by name, of all different rows in the form of their task."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from terrarium.models.corpora.corpus import open_corpus
from terrarium.models.data.corpus_texts import prepare_corpus
from terrarium.models.events import Progress, result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.settings.tasks import TASKS
from terrarium.models.tiny_world.tasks import code, corpora
from terrarium.models.tiny_world.tasks.corpora import (
    WORLD_TASKS,
    build_task_corpus,
    parse_dataset_name,
    world_task_data,
)
from tests.models.tiny_world.tasks.conftest import Splits, shrunk


@pytest.mark.parametrize("name", WORLD_TASKS)
def test_rows_have_the_columns_of_their_task(rows: Callable[[str], Splits], name: str) -> None:
    task = TASKS[WORLD_TASKS[name].task]
    splits = rows(name)
    texts = []
    for examples in splits.values():
        for row in examples:
            assert set(task.columns) | {"group"} <= set(row)
            texts.append(json.dumps([row[column] for column in task.columns]))
            if task.label_column:
                labels = row[task.label_column]
                assert {labels} if isinstance(labels, str) else set(labels) <= set(WORLD_TASKS[name].labels)
    assert len(set(texts)) == len(texts)
    assert set(splits) == {"train", "val", "test"}
    assert WORLD_TASKS[name].metric in task.metrics


def test_all_sizes_can_be_drawn_and_give_500_test_items() -> None:
    for task in WORLD_TASKS.values():
        assert sum(n for (split, _), n in task.sizes.items() if split == "test") >= 1000
        assert {group for split, group in task.sizes if split == "train"} <= {
            group for split, group in task.sizes if split == "val"
        } | {"seen"}


@pytest.mark.parametrize(
    ("dataset", "found"),
    [
        ("Tiny World 0, names", ("names", 0)),
        ("Tiny World 12, mood, edition 4", ("mood", 12)),
        ("Tiny World 12, mood, edition 99", None),
        ("Tiny World 0, poems", None),
        ("mails", None),
    ],
)
def test_names_of_datasets(dataset: str, found: tuple[str, int] | None) -> None:
    assert parse_dataset_name(dataset) == found


def test_a_run_names_its_dataset(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "WORLD_TASKS", shrunk("mood", 40))
    data = world_task_data("mood", 3)
    assert data == DataSpec(
        source="dataset",
        dataset="Tiny World 3, mood",
        task="classification",
        labels=WORLD_TASKS["mood"].labels,
        metric="accuracy",
    )
    corpus = result_of(prepare_corpus(library, data))
    assert (corpus.label, corpus.seed, corpus.task) == ("Tiny World 3, mood, edition 4", 3, "classification")
    assert corpus.labels == data.labels
    again = build_task_corpus(library, "mood", 3)
    with pytest.raises(StopIteration) as done:
        next(again)
    assert done.value.value == corpus == open_corpus(library, corpus.sha)
    named = DataSpec(source="dataset", dataset=corpus.label, task="classification")
    assert result_of(prepare_corpus(library, named)) == corpus
    with pytest.raises(ValueError, match="no dataset called"):
        result_of(prepare_corpus(library, DataSpec(source="dataset", dataset="Tiny World 3, poems")))


def test_a_world_gives_the_same_rows_each_time(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpora, "WORLD_TASKS", shrunk("mood", 4))
    first = result_of(build_task_corpus(library, "mood", 1))
    monkeypatch.setattr(corpora, "EDITION", 99)
    building = build_task_corpus(library, "mood", 1)
    assert isinstance(next(building), Progress)
    second = result_of(building)
    assert second.digests == first.digests
    assert result_of(build_task_corpus(library, "mood", 2)).digests != first.digests


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mood", "code"])
def test_another_world_has_enough_too(library: Library, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of those tasks whose sentences and functions are not without number."""
    monkeypatch.setattr(code, "N_CASES", 0)  # rows differ by their functions, not by what these are given
    corpus = result_of(build_task_corpus(library, name, 1))
    assert {split: len(corpus.read_examples(split)) for split in corpus.splits} == {
        wanted: sum(n for (split, _), n in WORLD_TASKS[name].sizes.items() if split == wanted)
        for wanted in ("train", "val", "test")
    }
