"""The page of the embeddings: selection by click, search and pointer, and another model's table."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.glass.embeddings.embeddings_page import EmbeddingsPage
from terrarium.app.glass.embeddings.neighbour_list import NeighbourList
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.names import quoted
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.corpora.token_use import TokenUse
from terrarium.models.inspect.embedding_map import nearest, pca_2d, tables
from tests.app.glass.opened import open_random, text_of
from tests.app.heard import Until


@pytest.fixture
def page(qtbot: QtBot, session: Session, theme: ThemeProvider, focus: Focus) -> EmbeddingsPage:
    page = EmbeddingsPage(session, theme, focus)
    qtbot.addWidget(page)
    page.resize(460, 800)
    page.show()
    return page


def test_clicking_a_point_lists_its_neighbours(
    page: EmbeddingsPage, session: Session, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    assert "No model is open" in page.nothing.words
    model, _ = open_random(session, "llama-tiny", byte_tokenizer)
    until(lambda: page.table is not None)
    assert page.table is not None
    found = pca_2d(tables(model)["input"])
    assert page.table.map.points == pytest.approx(found.points)
    assert len(page.table.names) == 380
    assert page.table.names[300] == "#300"
    point = page.scatter.point_of(70).toPoint()
    qtbot.mouseMove(page.scatter, point)
    qtbot.mouseClick(page.scatter, Qt.MouseButton.LeftButton, pos=point)
    id = page.chosen
    name = page.table.names[id]  # the rows may still be those of the token that was chosen at first
    until(lambda: page.near_title.text().startswith(f"Nearest to {quoted(name)}"))
    assert [(other, cosine) for other, _, cosine in page.near.rows] == [
        (other, pytest.approx(cosine, abs=1e-5)) for other, cosine in nearest(tables(model)["input"], id)
    ]
    page.which.buttons.button(1).click()  # the output table is another one
    until(lambda: page.table is not None and page.table.which == "output" and bool(page.near.rows))
    assert page.chosen == id
    other = page.near.rows[2][0]
    page.near.setFocus()
    for _ in range(3):
        qtbot.keyClick(page.near, Qt.Key.Key_Down)
    qtbot.keyClick(page.near, Qt.Key.Key_Return)
    assert page.chosen == other
    page.grab()


def test_search_and_the_pointer_select_a_token(
    page: EmbeddingsPage, session: Session, focus: Focus, byte_tokenizer: Tokenizer, until: Until, qtbot: QtBot
) -> None:
    _, tokenizer = open_random(session, "gpt2-tiny", byte_tokenizer)
    until(lambda: page.table is not None)
    assert not page.which.isVisible()
    qtbot.keyClicks(page.search, "q")
    assert page.found.text().startswith("1 match;")
    qtbot.keyClick(page.search, Qt.Key.Key_Return)
    assert page.table is not None
    assert page.table.names[page.chosen] == "q"
    page.search.setText("zzz")
    assert page.found.text().startswith("0 matches")
    focus.show(text_of(tokenizer, "the cat", 3))
    focus.hover(4)
    assert page.table.names[page.chosen] == "q"  # following is off
    page.follow.click()
    assert page.table.names[page.chosen] == "c"
    focus.hover(5)
    assert page.table.names[page.chosen] == "a"
    until(lambda: bool(page.near.rows))
    for key in (Qt.Key.Key_Plus, Qt.Key.Key_Minus, Qt.Key.Key_0):
        qtbot.keyClick(page.scatter, key)
        page.grab()


def test_another_model_has_another_table(
    page: EmbeddingsPage, session: Session, byte_tokenizer: Tokenizer, until: Until
) -> None:
    open_random(session, "gpt2-tiny", byte_tokenizer)
    until(lambda: page.table is not None)
    page.choose(3)
    open_random(session, "t5-tiny", byte_tokenizer, step=9)
    assert page.table is None
    until(lambda: page.table is not None)
    assert "at step 9" in page.head.note
    columns = page.numbers()()
    assert len(columns["token"]) == 380


def used(page: EmbeddingsPage, monkeypatch: pytest.MonkeyPatch, counts: list[int], *, is_whole: bool = True) -> None:
    """Let the open model's training text have these tokens."""
    use = TokenUse(counts=np.array(counts, np.int64), is_whole=is_whole)
    monkeypatch.setattr(page, "_use", {"random": use})


def test_tokens_that_its_text_never_uses_are_left_out(
    page: EmbeddingsPage,
    session: Session,
    byte_tokenizer: Tokenizer,
    until: Until,
    qtbot: QtBot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = byte_tokenizer.encode("kitchen", add_special_tokens=False).ids
    counts = [0] * 300
    for n, id in enumerate(dict.fromkeys(ids), start=1):
        counts[id] = n
    used(page, monkeypatch, counts)
    model, _ = open_random(session, "gpt2-tiny", byte_tokenizer)
    until(lambda: page.table is not None and not page.examiner.busy)
    table = page.table
    assert table is not None
    shown = sorted(set(ids))
    assert table.shown == shown
    assert table.n_unused == 380 - len(shown)
    expected = pca_2d(tables(model)["input"], shown)
    assert table.map.shares == pytest.approx(expected.shares)
    assert "never occur in its training text" in page.head.note
    assert sum(n for _, n in page.legend.entries) == len(shown)
    page.choose(shown[0])
    until(lambda: {id for id, _, _ in page.near.rows} == set(shown[1:]))
    assert page.sentence.text().startswith("Closest to ")
    page.grab()
    assert set(page.scatter.labelled) <= set(shown)
    left_out = next(id for id in range(380) if id not in shown)
    page.choose(left_out)
    until(lambda: "not on the map" in page.near_title.text())
    qtbot.mouseClick(page.unused, Qt.MouseButton.LeftButton)
    until(lambda: page.table is not None and len(page.table.shown) == 380)
    assert "of which never occur" in page.head.note
    columns = page.numbers()()
    assert columns["count"][ids[0]] == counts[ids[0]]


def test_it_says_so_where_the_training_text_is_not_known(
    page: EmbeddingsPage, session: Session, byte_tokenizer: Tokenizer, until: Until
) -> None:
    open_random(session, "gpt2-tiny", byte_tokenizer)
    until(lambda: page.table is not None)
    assert page.head.note.startswith("All 380 tokens are shown: without its training text")
    assert not page.unused.isVisible()
    assert page.chosen >= 0, "the first word is preselected"
    assert page.numbers()()["count"][0] is None


def test_a_part_of_a_text_is_called_a_part(
    page: EmbeddingsPage, session: Session, byte_tokenizer: Tokenizer, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    used(page, monkeypatch, [0, *[3] * 100], is_whole=False)
    open_random(session, "gpt2-tiny", byte_tokenizer)
    until(lambda: page.table is not None)
    assert "never occur in the part of its training text that was counted" in page.head.note


def test_only_a_left_click_chooses_a_neighbour(qtbot: QtBot, theme: ThemeProvider) -> None:
    near, chosen = NeighbourList(theme), list[int]()
    qtbot.addWidget(near)
    near.chosen.connect(chosen.append)
    near.show_rows([(7, "seven", 0.9), (8, "eight", 0.5)])
    near.resize(300, near.sizeHint().height())
    place = QPoint(20, near.height() * 3 // 4)
    qtbot.mouseClick(near, Qt.MouseButton.RightButton, pos=place)
    assert chosen == []
    qtbot.mouseClick(near, Qt.MouseButton.LeftButton, pos=place)
    assert chosen == [8]
