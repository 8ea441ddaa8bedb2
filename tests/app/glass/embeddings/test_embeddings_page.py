"""The page of the embeddings: selection by click, search and pointer, and another model's table."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from app.glass.embeddings.page import EmbeddingsPage
from app.glass.focus import Focus
from app.kit.theme import ThemeProvider
from app.session.session import Session
from models.inspect.embedding_map import nearest, pca_2d, tables
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
    until(lambda: bool(page.near.rows))
    id = page.chosen
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
