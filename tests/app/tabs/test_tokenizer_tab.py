"""The tokenizer tab over a real session: from an empty library to pills, and back by deleting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from app.session import Session
from app.tabs.tokenizer_tab import TokenizerTab
from app.theme import ThemeProvider
from app.widgets.explore_view import EXAMPLE
from models.tokenizers import save_tokenizer, token_pieces, train_tokenizer
from models.training.spec import DataSpec

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> TokenizerTab:
    tab = TokenizerTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


def keep(session: Session, name: str, kind: str = "byte", vocab_size: int = 261) -> None:
    save_tokenizer(train_tokenizer(["the cat sat. " * 20], kind, vocab_size), session.library, name, {})
    session.library_changed.emit()


def test_an_empty_library_says_what_to_do(tab: TokenizerTab) -> None:
    assert not tab.views.explore.lab.isVisible()
    assert not tab.views.explore.card.isVisible()
    assert any(b.text() == "Train one on Tiny World" and b.isVisible() for b in tab.findChildren(QPushButton))


def test_training_from_a_file_ends_in_pills(tab: TokenizerTab, session: Session, tmp_path: Path, until: Until) -> None:
    text = tmp_path / "story.txt"
    text.write_text("Anna gives the kite to Ben.\n" * 200)
    tab.trainer.set_file(str(text))
    tab.trainer.vocab.setValue(280)
    assert tab.trainer.name.text() == "story-bpe-280"
    tab.trainer.train()
    assert session.tokenizer_busy
    assert tab.trainer._bar.isVisible()
    until(lambda: session.tokenizer_name == "story-bpe-280")
    assert tab.views.explore.lab.isVisible()
    assert tab.list.current_key == "story-bpe-280"
    assert tab.views.explore.stats.number("tokens") == f"{tab.views.explore.lab.n_tokens:,}"
    assert not tab.trainer._bar.isVisible()
    assert tab.trainer.name.text() == "story-bpe-280-2", "the next one gets a free name"


def test_cancelling_leaves_nothing(tab: TokenizerTab, session: Session, tmp_path: Path, until: Until) -> None:
    text = tmp_path / "story.txt"
    text.write_text("Anna gives the kite to Ben.\n" * 2000)
    tab.trainer.set_file(str(text))
    tab.trainer.train()
    tab.trainer.cancel_asked.emit()
    until(lambda: not session.tokenizer_busy)
    assert session.list_tokenizers() == []
    assert not tab.trainer._bar.isVisible()


def test_a_name_that_is_taken_is_refused_in_a_sentence(qtbot: QtBot, tab: TokenizerTab, session: Session) -> None:
    keep(session, "mine")
    with qtbot.waitSignal(session.job_failed) as failed:
        tab.trainer.train_asked.emit("mine", "byte", 261, DataSpec(source="stdlib"))
    assert "mine" in failed.args[0]


def test_choosing_encodes_anew_and_counts(tab: TokenizerTab, session: Session) -> None:
    keep(session, "bytes")
    keep(session, "pieces", "bpe", 270)
    assert session.choose_tokenizer("bytes")
    assert session.tokenizer is not None
    assert tab.views.explore.stats.number("tokens") == f"{len(token_pieces(session.tokenizer, EXAMPLE)):,}"
    tab.list.setCurrentRow(1)
    assert session.tokenizer_name == "pieces"
    tab.views.explore.lab.editor.setPlainText("cat 🌱")
    numbers = [tab.views.explore.stats.number(name) for name in ("characters", "bytes")]
    assert numbers == ["5", "8"]
    tab.views.explore.lab.editor.clear()
    assert tab.views.explore.stats.number("bytes per token") == "–"


def test_the_card_tells_about_the_token_and_its_ids_are_copied(
    qtbot: QtBot, tab: TokenizerTab, session: Session
) -> None:
    keep(session, "bytes")
    session.choose_tokenizer("bytes")
    lab = tab.views.explore.lab
    lab.editor.setPlainText("aé a")
    assert lab.tokens is not None
    lab.view.pick(1)
    assert tab.views.explore.card.value("Bytes") == "C3"
    assert tab.views.explore.card.value("Text") == "part of a character"
    lab.view.pick(0)
    assert tab.views.explore.card.value("Here") == "2 times"
    assert tab.views.explore.card.value("Id") == str(lab.tokens[0].id)
    (copy,) = (b for b in tab.findChildren(QPushButton) if b.text() == "Copy ids")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == str(lab.tokens.ids.tolist())


def test_deleting_can_be_undone(qtbot: QtBot, tab: TokenizerTab, session: Session) -> None:
    keep(session, "bytes")
    session.choose_tokenizer("bytes")
    with qtbot.waitSignal(session.deleted) as deleted:
        qtbot.keyClick(tab.list, Qt.Key.Key_Delete)
    assert not tab.views.explore.lab.isVisible()
    assert tab.list.count() == 0
    session.undo_delete(deleted.args[1])
    assert tab.list.count() == 1


def test_a_damaged_tokenizer_is_listed_with_its_problem(tab: TokenizerTab, session: Session) -> None:
    folder = session.library.tokenizers / "broken"
    folder.mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{")
    session.library_changed.emit()
    item = tab.list.item(0)
    assert item is not None
    assert "broken" in item.toolTip()
