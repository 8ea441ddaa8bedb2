"""“Say it twice.”: what is learned from, and what is not asked in training."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from terrarium.models.data.corpus_texts import prepare_corpus
from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world import reply_format
from terrarium.models.tiny_world.questions import KINDS
from terrarium.models.tiny_world.reply_format import SUFFIX, TWICE, TWICE_ONLY, format_rows, parse_format_name
from terrarium.models.tiny_world.world import World

WORLD = World(0)


def test_half_are_said_twice_and_half_are_old_ones_of_each_kind_alike() -> None:
    rows = format_rows(TWICE, WORLD, random.Random(0), 12, held_out=False)
    assert Counter(row["cell"] for row in rows) == {"formatted": 12, "ordinary": 12}
    for row in rows:
        asked, answer = (message["content"] for message in row["messages"])
        assert asked.endswith(SUFFIX) == (row["cell"] == "formatted")
        half = len(answer) // 2
        assert (answer[:half] == answer[half + 1 :]) == (row["cell"] == "formatted")
    sums = [row for row in rows if " plus " in row["messages"][0]["content"]]
    assert len(sums) == 12 / len(KINDS)


def test_without_old_rows_there_are_only_new_ones() -> None:
    rows = format_rows(TWICE_ONLY, WORLD, random.Random(0), 4, held_out=True)
    assert [row["cell"] for row in rows] == ["formatted"] * 4


def test_datasets_are_made_by_their_names(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reply_format, "SIZES", {TWICE: 3, TWICE_ONLY: 3})
    monkeypatch.setattr(reply_format, "_N_VAL", 2)
    assert parse_format_name("Tiny World 3, say it twice without old rows") == (TWICE_ONLY, 3)
    assert parse_format_name("Tiny World 3, helpful") is None
    data = DataSpec(source="dataset", dataset="Tiny World 0, say it twice", task="chat")
    corpus = result_of(prepare_corpus(library, data))
    assert (corpus.label, len(corpus.rows("train")), len(corpus.rows("val"))) == (data.dataset, 6, 4)
    assert result_of(prepare_corpus(library, data)).sha == corpus.sha
