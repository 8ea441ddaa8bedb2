"""Importing tokenizers from the window: the menu, the dialogs, and drag and drop."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import psutil
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.making.import_menu import HubDialog, PatternDialog, TokenizerImporter
from terrarium.app.tokenizer.tokenizer_tab import TokenizerTab
from terrarium.models.tokenizers.foreign.isolated_reading import reader
from tests.app.heard import Heard
from tests.models.tokenizers.foreign.hostile import write_endless_ranks

Until = Callable[[Callable[[], bool]], None]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "##s"]


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> TokenizerTab:
    tab = TokenizerTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    return folder


@pytest.fixture
def ranks(tmp_path: Path) -> Path:
    path = tmp_path / "mine.tiktoken"
    path.write_bytes(b"".join(base64.b64encode(bytes([b])) + b" %d\n" % b for b in range(256)))
    return path


def choose(tab: TokenizerTab, words: str) -> None:
    (entry,) = (action for action in tab.bring.menu.actions() if words in action.text())
    entry.trigger()


def test_a_file_becomes_a_tokenizer(
    tab: TokenizerTab, session: Session, bert: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(bert / "vocab.txt"), ""))
    choose(tab, "A file")
    assert tab.bring.importer.busy
    assert tab.bring.button.text() == "Cancel import"
    until(lambda: session.tokenizers.name == "bert")
    assert tab.bring.button.text() == "Import"
    assert tab.list.current_key == "bert"
    assert tab.views.current == "about"
    until(lambda: "Made from" in tab.views.view("about").facts)
    facts = tab.views.view("about").facts
    assert facts["Made from"] == str(bert / "vocab.txt")
    assert "Text is lowercased" in facts["Assumed"]
    assert len(facts["SHA-256"]) == 64


def test_a_folder_twice_gets_another_name(
    tab: TokenizerTab, session: Session, bert: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(bert))
    for name in ("bert", "bert-2"):
        choose(tab, "folder")
        until(lambda name=name: session.tokenizers.name == name and not tab.bring.importer.busy)


def test_cancelling_the_dialog_does_nothing(
    tab: TokenizerTab, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "")
    choose(tab, "A file")
    choose(tab, "folder")
    assert not tab.bring.importer.busy


def test_a_pattern_is_requested(
    qtbot: QtBot, tab: TokenizerTab, session: Session, ranks: Path, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab.bring.importer.start(str(ranks), "")
    until(lambda: tab.bring.dialog is not None)
    dialog = tab.bring.dialog
    assert isinstance(dialog, PatternDialog)
    assert dialog.pattern.currentText() == "cl100k: GPT-3.5, GPT-4"
    dialog.pattern.setCurrentIndex(dialog.pattern.findData("gpt2"))
    qtbot.mouseClick(dialog.import_button, Qt.MouseButton.LeftButton)
    until(lambda: session.tokenizers.name == "mine")
    assert tab.bring.dialog is None
    assert "pattern gpt2, as chosen during the import" in session.tokenizers.about("mine")["assumptions"][0]


def test_cancelling_the_pattern_dialog_imports_nothing(
    qtbot: QtBot, tab: TokenizerTab, session: Session, ranks: Path, until: Until
) -> None:
    tab.bring.importer.start(str(ranks))
    until(lambda: tab.bring.dialog is not None)
    assert tab.bring.dialog is not None
    qtbot.keyClick(tab.bring.dialog, Qt.Key.Key_Escape)
    assert tab.bring.dialog is None
    assert session.tokenizers.list() == []


def test_a_name_on_the_hub(
    qtbot: QtBot,
    tab: TokenizerTab,
    session: Session,
    theme: ThemeProvider,
    bert: Path,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theme.apply_theme(tab)  # without a style sheet, Qt takes the default from a button that cannot be pressed yet
    asked: list[str] = []

    def download(name: str, **_: Any) -> str:
        asked.append(name)
        return str(bert)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    choose(tab, "hub")
    dialog = tab.bring.dialog
    assert isinstance(dialog, HubDialog)
    assert not dialog.import_button.isEnabled()
    qtbot.keyClicks(dialog.name, "https://huggingface.co/some-one/a-bert")
    qtbot.keyClick(dialog.name, Qt.Key.Key_Return)
    until(lambda: session.tokenizers.name == "a-bert")
    assert asked == ["some-one/a-bert"]


def test_unreadable_files_give_an_error_message(
    tab: TokenizerTab, session: Session, heard: Heard, bert: Path, until: Until
) -> None:
    (bert / "vocab.txt").write_text("Once upon a time")
    assert tab.bring.importer.start(str(bert))
    until(lambda: bool(heard.failures))
    assert "vocab.txt is damaged" in heard.failures[0]
    assert tab.bring.button.text() == "Import"
    assert not tab.bring.importer.start(str(bert), "a/b")
    assert "may not contain" in heard.failures[1]


def test_cancelling_ends_the_reading(
    qtbot: QtBot, tab: TokenizerTab, session: Session, heard: Heard, tmp_path: Path, until: Until
) -> None:
    """Even of a file that takes for ever to read."""
    endless = tmp_path / "endless.tiktoken"
    write_endless_ranks(endless)
    reader().kill()
    assert tab.bring.importer.start(str(endless), "", "gpt2")
    until(lambda: reader().pid != 0)
    process = psutil.Process(reader().pid)
    qtbot.mouseClick(tab.bring.button, Qt.MouseButton.LeftButton)
    assert not tab.bring.importer.busy
    assert tab.bring.button.text() == "Import"
    until(lambda: not process.is_running())
    assert not heard.failures
    assert session.tokenizers.list() == []


def test_names_are_checked_before_the_import(session: Session, heard: Heard, bert: Path, until: Until) -> None:
    importer = TokenizerImporter(session.library, session.tokenizers, session.notices, session)
    assert importer.start(str(bert), "mine")
    assert not importer.start(str(bert), "other")
    assert "is already being imported" in heard.failures[0]
    until(lambda: session.tokenizers.name == "mine")
    assert not importer.start(str(bert), "mine")
    assert "There is a tokenizer called 'mine' already" in heard.failures[1]


def test_dropping_on_the_list(tab: TokenizerTab, session: Session, bert: Path, until: Until) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(bert))])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    entered = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)
    entered.ignore()
    QApplication.sendEvent(tab.list.viewport(), entered)
    assert entered.isAccepted()
    dropped = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, data, buttons, keys)
    QApplication.sendEvent(tab.list.viewport(), dropped)
    until(lambda: session.tokenizers.name == "bert")
    text = QMimeData()
    text.setText("no file")
    refused = QDragEnterEvent(QPoint(5, 5), Qt.DropAction.CopyAction, text, buttons, keys)
    refused.ignore()
    QApplication.sendEvent(tab.list.viewport(), refused)
    assert not refused.isAccepted()
