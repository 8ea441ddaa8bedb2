"""The vocabulary browser: reading, searching, filtering, sorting, counting, exporting."""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.vocabulary import usage_counter, vocabulary_view
from terrarium.app.tokenizer.vocabulary.vocabulary_view import VocabularyView
from terrarium.models.events import Progress
from terrarium.models.tokenizers import encode_text, train_tokenizer

TEXT = "The cat sat on the mat; the dog ran to the park. Unbelievable!\n" * 40
SIZE = 290
COUNTED = "the cat and the dog sat.\n"


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_tokenizer([TEXT], "bpe", SIZE)


@pytest.fixture
def empty(qtbot: QtBot, session: Session, theme: ThemeProvider) -> VocabularyView:
    view = VocabularyView(session, theme)
    qtbot.addWidget(view)
    view.resize(1000, 700)
    view.show()
    return view


@pytest.fixture
def view(qtbot: QtBot, empty: VocabularyView, bpe: Tokenizer) -> VocabularyView:
    empty.set_tokenizer(bpe, "mine")
    qtbot.waitUntil(lambda: empty.vocabulary is not None and not empty.busy)
    return empty


@pytest.fixture
def count(qtbot: QtBot, view: VocabularyView, tmp_path: Path) -> Callable[[str], None]:
    def do(text: str) -> None:
        path = tmp_path / "counted.txt"
        path.write_text(text, encoding="utf-8")
        view.counter.picker.set_files((str(path),))
        view.counter.start.click()
        qtbot.waitUntil(lambda: not view.busy)

    return do


def settle(qtbot: QtBot, view: VocabularyView) -> None:
    qtbot.waitUntil(lambda: not view.busy)


def column(view: VocabularyView, name: str) -> list[str]:
    section = view.table.names.index(name)
    return [texts[section] for texts in view.table.texts()]


def is_shown(view: VocabularyView, words: str) -> bool:
    return any(label.isVisible() and words in label.text() for label in view.findChildren(type(view.n_found)))


def test_without_a_tokenizer_there_is_a_hint(qtbot: QtBot, empty: VocabularyView, bpe: Tokenizer) -> None:
    assert is_shown(empty, "No tokenizer chosen")
    empty.set_tokenizer(bpe, "mine")
    assert is_shown(empty, "Reading the vocabulary")
    qtbot.waitUntil(lambda: empty.vocabulary is not None and not empty.busy)
    assert empty.table.isVisible()
    assert empty.n_found.text() == f"{SIZE} tokens"
    empty.set_tokenizer(None, "")
    assert is_shown(empty, "No tokenizer chosen")
    assert empty.vocabulary is None


def test_every_token_has_a_row(view: VocabularyView, bpe: Tokenizer) -> None:
    assert column(view, "id") == [str(id) for id in range(bpe.get_vocab_size())]
    assert "count" not in view.table.names
    row = bpe.token_to_id("Ġthe")
    token = {name: column(view, name)[row] for name in view.table.names}
    assert token["token"] == "·the"
    assert token["bytes"] == "20 74 68 65"
    assert (token["length"], token["type"]) == ("4", "Word start")
    assert " + " in token["made"]
    assert "".join(token["made"].split(" + ")) == "·the"
    assert column(view, "made")[5] == ""


def test_typing_finds_tokens(qtbot: QtBot, view: VocabularyView) -> None:
    qtbot.keyClicks(view.filters.search, "at")
    settle(qtbot, view)
    shown = column(view, "token")
    assert shown
    assert all("at" in text for text in shown)
    assert view.n_found.text() == f"{len(shown)} of {SIZE} tokens"
    view.filters.search.setText("/^.at$/")
    settle(qtbot, view)
    assert column(view, "token")
    assert all(len(text) == 3 and text.endswith("at") for text in column(view, "token"))
    view.filters.search.setText("#7")
    settle(qtbot, view)
    assert column(view, "id") == ["7"]


def test_an_invalid_expression_is_reported_until_it_is_fixed(qtbot: QtBot, view: VocabularyView) -> None:
    view.filters.search.setText("/(at/")
    settle(qtbot, view)
    assert "Invalid regular expression" in view.status.text()
    assert view.filters.search.property("invalid") == "true"
    qtbot.waitUntil(lambda: is_shown(view, "No token matches"))
    assert not view.export.isEnabled()
    view.filters.search.setText("/(at)/")
    settle(qtbot, view)
    assert view.status.text() == ""
    assert view.filters.search.property("invalid") == ""
    assert column(view, "token")


def test_types_narrow_what_is_shown(qtbot: QtBot, view: VocabularyView) -> None:
    box = view.filters.types
    offered = [box.itemText(i) for i in range(box.count())]
    assert offered[0] == "All types"
    assert "Special (5)" in offered
    box.setCurrentIndex(box.findData("special"))
    settle(qtbot, view)
    assert set(column(view, "type")) == {"Special"}
    assert len(column(view, "id")) == 5
    assert [view.filters.uses.itemData(i) for i in range(view.filters.uses.count())] == ["", "unreachable"]


def test_headers_sort(qtbot: QtBot, view: VocabularyView) -> None:
    header = view.table.horizontalHeader()

    def click(name: str) -> None:
        x = header.sectionViewportPosition(view.table.names.index(name)) + 20
        qtbot.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=QPoint(x, header.height() // 2))
        settle(qtbot, view)

    click("length")  # the longest first
    lengths = [int(n) for n in column(view, "length")]
    assert lengths == sorted(lengths, reverse=True)
    click("length")
    assert [int(n) for n in column(view, "length")] == sorted(lengths)
    click("token")
    assert view.vocabulary is not None
    texts = [view.vocabulary.shown[row] for row in view.table.records]  # cells have escapes where fonts lack some
    assert texts == sorted(texts)


def test_narrow_tables_hide_columns(view: VocabularyView) -> None:
    table = view.table

    def shown() -> list[str]:
        return [name for i, name in enumerate(table.names) if not table.isColumnHidden(i)]

    table.setFixedWidth(900)
    assert shown() == table.names
    table.setFixedWidth(420)
    assert {"id", "token", "type"} <= set(shown()) < set(table.names)
    assert table.columnWidth(table.names.index("token")) >= 80
    table.setFixedWidth(900)
    assert shown() == table.names


def test_the_keyboard_suffices(qtbot: QtBot, view: VocabularyView, bpe: Tokenizer) -> None:
    view.activateWindow()
    view.table.setFocus()
    qtbot.waitUntil(view.table.hasFocus)
    qtbot.keyClick(view.table, Qt.Key.Key_F, Qt.KeyboardModifier.ControlModifier)
    assert view.filters.search.hasFocus()
    qtbot.keyClicks(view.filters.search, " the")
    settle(qtbot, view)
    qtbot.keyClick(view.filters.search, Qt.Key.Key_Down)
    assert view.table.hasFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Down)
    qtbot.waitUntil(lambda: view.facts.row >= 0)
    assert view.facts.value("Text") == "' the'"
    qtbot.keyClick(view.table, Qt.Key.Key_Escape)
    assert view.filters.text == " the", "only Escape in the search clears it"
    qtbot.keyClick(view.table, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    assert QGuiApplication.clipboard().text() == " the"
    modifiers = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    qtbot.keyClick(view.table, Qt.Key.Key_C, modifiers)
    assert QGuiApplication.clipboard().text() == str(bpe.token_to_id("Ġthe"))
    qtbot.keyClick(view.table, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert view.table.sorting == ("id", True)


def test_the_card_links_to_the_merged_tokens(qtbot: QtBot, view: VocabularyView, bpe: Tokenizer) -> None:
    table = view.vocabulary
    assert table is not None
    row = bpe.token_to_id("Ġthe")
    assert view.table.select(row)
    facts = view.facts
    assert facts.value("Id") == str(row)
    assert facts.value("Bytes") == "20 74 68 65"
    assert f"merge {table.rank[row] + 1} of {table.n_merges}" in facts.value("Made of")
    left = int(table.left[row])
    assert f'<a href="{left}">' in facts.value("Made of")
    facts.token_requested.emit(left)
    assert (facts.row, view.table.current) == (left, left)
    assert f'<a href="{row}">' in facts.value("Goes into")
    view.filters.search.setText("#7")
    settle(qtbot, view)
    assert (facts.row, view.table.current) == (left, -1)  # out of sight, not forgotten
    facts.token_requested.emit(row)
    assert (facts.row, view.table.current) == (row, -1)
    view.filters.search.clear()
    settle(qtbot, view)
    assert view.table.current == row


def test_markup_in_a_token_is_escaped(qtbot: QtBot, empty: VocabularyView) -> None:
    tokenizer = train_tokenizer(["<b> <b> <b> <b>x"], "bpe", 266)
    empty.set_tokenizer(tokenizer, "tags")
    settle(qtbot, empty)
    assert empty.table.select(tokenizer.token_to_id("Ġ<"))
    assert ">&lt;</a>" in empty.facts.value("Made of")


def test_counting_shows_the_use_of_tokens(
    qtbot: QtBot, view: VocabularyView, bpe: Tokenizer, count: Callable[[str], None]
) -> None:
    assert not view.charts.has_counts
    count(COUNTED)
    usage, ids = view.usage, encode_text(bpe, COUNTED)
    assert usage is not None
    assert usage.n_tokens == len(ids)
    assert column(view, "count") == [str(ids.count(id)) for id in range(SIZE)]
    assert f"are {len(ids)} tokens" in view.words.text()
    assert view.charts.has_counts
    view.table.sort_by("count", descending=True)
    settle(qtbot, view)
    counts = [int(n) for n in column(view, "count")]
    assert counts == sorted(counts, reverse=True)
    view.filters.uses.setCurrentIndex(view.filters.uses.findData("once"))
    settle(qtbot, view)
    assert set(column(view, "count")) == {"1"}
    assert view.table.select(bpe.token_to_id("Ġcat"))
    assert view.facts.value("Count").startswith("1, ")
    assert "Occurs once" in view.facts.value("Use")


def test_glitch_candidates_are_one_click_away(qtbot: QtBot, view: VocabularyView, count: Callable[[str], None]) -> None:
    count(COUNTED)
    view.filters.search.setText("zzz")
    settle(qtbot, view)
    usage = view.usage
    assert usage is not None
    n = usage.n("never", "unreachable")
    assert view.glitches.text() == f"Show {n} glitch candidates"
    view.glitches.click()
    settle(qtbot, view)
    assert (view.filters.text, view.filters.use) == ("", "never")
    assert len(column(view, "id")) == n
    assert set(column(view, "count")) == {"0"}


def test_the_text_of_the_tab_can_be_counted(qtbot: QtBot, view: VocabularyView, bpe: Tokenizer) -> None:
    view.set_text(COUNTED)
    box = view.counter.picker.box
    box.activated.emit(box.findText("Your text"))
    view.counter.start.click()
    settle(qtbot, view)
    assert view.usage is not None
    assert view.usage.n_tokens == len(encode_text(bpe, COUNTED))
    assert "your text" in view.words.text()


def test_a_count_can_be_cancelled(qtbot: QtBot, view: VocabularyView, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()

    def endless(*_: object) -> Generator[Progress, None, Any]:
        try:
            while not closed.wait(0.001):  # as often as real counting would tell, not a million times a second
                yield Progress(done=1, total=2, seconds_left=3.0)
        finally:
            closed.set()

    monkeypatch.setattr(usage_counter, "count_tokens", endless)
    view.set_text(COUNTED)
    box = view.counter.picker.box
    box.activated.emit(box.findText("Your text"))
    view.counter.start.click()
    qtbot.waitUntil(lambda: "3 s left" in view.counter.status.text())
    assert view.counter.cancel.isVisible()
    assert not view.counter.start.isVisible()
    view.counter.cancel.click()
    qtbot.waitUntil(closed.is_set)
    assert "Cancelled" in view.counter.status.text()
    assert view.counter.start.isVisible()
    assert view.usage is None


def test_an_empty_corpus_gives_an_error_message(view: VocabularyView, count: Callable[[str], None]) -> None:
    count("")
    assert "The corpus contains no text" in view.counter.status.text()
    assert view.usage is None


def test_another_tokenizer_resets_the_view(qtbot: QtBot, view: VocabularyView, count: Callable[[str], None]) -> None:
    count(COUNTED)
    view.table.select(280)
    view.filters.uses.setCurrentIndex(view.filters.uses.findData("once"))
    view.table.sort_by("count", descending=True)
    view.set_tokenizer(train_tokenizer([TEXT], "unigram", 300), "other")
    qtbot.waitUntil(lambda: view.vocabulary is not None and not view.busy)
    assert view.usage is None
    assert view.filters.use == ""
    assert view.facts.row == -1
    assert not view.charts.has_counts
    assert view.table.sorting == ("id", False)
    assert view.table.columns[view.table.names.index("made")].title == "Score"
    assert "−" in "".join(column(view, "made"))


def test_the_rows_shown_are_exported(
    qtbot: QtBot, view: VocabularyView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, asked = tmp_path / "out.csv", []

    def ask(*args: object) -> tuple[str, str]:
        asked.append(args)
        return str(path), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    view.filters.search.setText("at")
    view.table.sort_by("length", descending=True)
    settle(qtbot, view)
    view.export.click()
    qtbot.waitUntil(lambda: not view.busy)
    assert "mine-vocabulary.csv" in asked[0]
    with path.open(encoding="utf-8", newline="") as file:
        assert [line["id"] for line in csv.DictReader(file)] == column(view, "id")
    assert view.status.text().endswith(f"tokens written to {path}")
    path.unlink()
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    view.export.click()
    assert not view.busy


def test_a_file_that_cannot_be_written_gives_an_error_message(
    qtbot: QtBot, view: VocabularyView, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(vocabulary_view, "write_vocabulary_csv", fail)
    view.export_to(Path("somewhere.csv"))
    settle(qtbot, view)
    assert "No permission to access somewhere.csv" in view.status.text()


def test_only_visible_cells_are_rendered(qtbot: QtBot, view: VocabularyView, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = set()
    assert view.table.cells is not None
    words = view.table.cells.text

    def heard(name: str, row: int) -> str:
        asked.add(row)
        return words(name, row)

    monkeypatch.setattr(view.table.cells, "text", heard)
    view.table.show_rows(np.arange(SIZE))
    view.table.grab()
    assert 0 < len(asked) < 60
