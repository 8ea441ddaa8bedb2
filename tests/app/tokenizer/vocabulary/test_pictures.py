"""Charts of a vocabulary against manual counts; and bars that can be read with the keyboard."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPointF, Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.plot_view import PlotView
from terrarium.app.tokenizer.vocabulary.pictures import (
    coverage_picture,
    describe_usage,
    lengths_picture,
    short,
    zipf_picture,
)
from terrarium.models.tokenizers import train_tokenizer
from terrarium.models.tokenizers.vocabulary.token_counts import Counts, Usage
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary, read_vocabulary

TEXT = "internationalization of unbelievable nations\n" * 20


@pytest.fixture(scope="module")
def table() -> Vocabulary:
    tokenizer: Tokenizer = train_tokenizer([TEXT], "bpe", 310)
    return read_vocabulary(tokenizer)


def used(table: Vocabulary, counts: dict[int, int]) -> Usage:
    of = np.zeros(len(table), np.int64)
    for id, n in counts.items():
        of[id] = n
    return Usage(table, Counts(by_id=of, n_bytes=int((of * table.n_bytes).sum()), n_characters=1))


def test_lengths_count_every_token(table: Vocabulary) -> None:
    picture = lengths_picture(table)
    values = picture.series[0].y
    lengths = [len(data) for data in table.data]
    assert values.sum() == len(table)
    assert values[0] == lengths.count(1)
    assert values[-1] == sum(length >= len(values) for length in lengths)
    assert (
        picture.describe(1)
        == f"2 bytes: {lengths.count(2)} tokens, {100 * lengths.count(2) / len(table):.1f}\N{NO-BREAK SPACE}%"
    )


def test_ranks_and_coverage(table: Vocabulary) -> None:
    usage = used(table, {100: 6, 101: 3, 102: 1})
    zipf, coverage = zipf_picture(table, usage), coverage_picture(usage)
    assert zipf.series[0].y == pytest.approx([6, 3, 1])
    assert zipf.places() == pytest.approx([1, 2, 3])
    assert zipf.series[1].y == pytest.approx([6, 3, 2])
    assert zipf.describe(0).startswith(f"rank 1: {table.shown[100]}\noccurs 6 times")
    assert zipf.describe(2).endswith("occurs once")
    assert coverage.series[0].y.tolist() == pytest.approx([60, 90, 100])
    assert coverage.describe(1) == "The 2 most frequent:\n90.0 % of the corpus"


def test_many_ranks_are_sampled_including_the_last(table: Vocabulary) -> None:
    usage = used(table, dict.fromkeys(range(len(table)), 2))
    picture = zipf_picture(table, usage)
    assert len(picture.places()) <= 200
    assert picture.places()[-1] == len(table)


def test_the_summary_states_the_counts(table: Vocabulary) -> None:
    words = describe_usage(table, used(table, {100: 6, 101: 3, 102: 1}), "notes.txt")
    assert words.startswith("10 B of notes.txt are 10 tokens, 1.00 bytes each on average.")
    assert f"3 of the {len(table)} tokens occur; the 2 most frequent are 90 % of the corpus" in words
    assert "and 1 (33.3\N{NO-BREAK SPACE}%) occurs once" in words
    one = describe_usage(table, used(table, {100: 6}), "notes.txt")
    assert "a single one is 90 % of the corpus, and no token occurs only once." in one


def test_numbers_of_an_axis_are_short() -> None:
    assert [short(n) for n in (1, 500, 2000, 1.5e6, 1e9)] == ["1", "500", "2 k", "1.5 M", "1 G"]


def test_bars_are_read_by_pointer_and_keys(qtbot: QtBot, theme: ThemeProvider, table: Vocabulary) -> None:
    plot = PlotView(theme, has_y=True, is_boxed=True)
    qtbot.addWidget(plot)
    plot.resize(400, 200)
    plot.grab()  # without a picture
    plot.show_spec(lengths_picture(table))
    plot.grab()
    plot.chart.pointed.emit(QPointF(3.2, 1.0))
    assert plot.accessibleDescription().startswith("3 bytes: ")
    plot.chart.pointed.emit(None)
    qtbot.keyClick(plot, Qt.Key.Key_Home)
    qtbot.keyClick(plot, Qt.Key.Key_Right)
    assert plot.accessibleDescription().startswith("2 bytes: ")
    plot.grab()
    qtbot.keyClick(plot, Qt.Key.Key_Escape)
    assert plot.index is None
    assert plot.accessibleDescription() == plot.summary()
