"""After a deletion the keyboard stays in the list, at the row that has moved up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.message_tree import Chat, Message
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.data.data_tab import DataTab
from terrarium.app.kit.item_list import ItemList
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.tokenizer.tokenizer_tab import TokenizerTab
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers import save_tokenizer, train_tokenizer
from tests.models.tasks.small_tasks import make_dataset
from tests.runs_on_disk import make_run

Until = Callable[[Callable[[], bool]], None]
NAMES = ("a", "b", "c")


def items_of(window: MainWindow, name: str) -> ItemList:
    """The list of a tab that is shown."""
    window.show_tab(name)
    tab = window.pages.page(name)
    if isinstance(tab, ChatTab):
        (chats,) = (each for each in tab.findChildren(ItemList) if each.accessibleName() == "Chats")
        return chats
    assert isinstance(tab, TokenizerTab | DataTab)
    return tab.list


def delete_at(view: QAbstractItemView, row: int, qtbot: QtBot) -> None:
    view.setCurrentIndex(view.model().index(row, 0))
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_Delete)


def make_three(session: Session, tab: str) -> None:
    if tab == "tokenizer":
        for name in NAMES:
            save_tokenizer(train_tokenizer(["the cat sat. " * 20], "byte", 256), session.library, name, {})
        session.tokenizers.list_changed.emit()
    elif tab == "data":
        for seed, name in enumerate(NAMES):
            make_dataset(session.library, "classification", 40 + seed, label=name)


@pytest.mark.parametrize("tab", ["tokenizer", "data"])
def test_the_next_item_is_chosen(tab: str, window: MainWindow, session: Session, qtbot: QtBot, until: Until) -> None:
    make_three(session, tab)
    shown = items_of(window, tab)
    until(lambda: shown.count() == 3)
    keys = [str(shown.item(row).data(Qt.ItemDataRole.UserRole)) for row in range(3)]
    delete_at(shown, 1, qtbot)
    until(lambda: shown.current_key == keys[2])
    assert shown.hasFocus()
    delete_at(shown, 1, qtbot)  # the last one: the one before
    until(lambda: shown.current_key == keys[0])
    assert shown.hasFocus()


def test_the_next_chat_is_opened(window: MainWindow, until: Until, qtbot: QtBot) -> None:
    window.show_tab("chat")
    tab = window.pages.page("chat")
    assert isinstance(tab, ChatTab)
    for name in NAMES:
        tab.conversation.chat_library.save(Chat(name=name, messages=(Message(content="Hello"),)))
    tab.conversation.chat_library.flush()
    shown = items_of(window, "chat")
    until(lambda: shown.count() == 3)
    names = [shown.item(row).text() for row in range(3)]
    delete_at(shown, 1, qtbot)
    until(lambda: shown.count() == 2 and tab.conversation.chat.name == names[2])
    assert shown.hasFocus(), QApplication.focusWidget()


def test_the_next_run_is_shown(
    window: MainWindow, session: Session, tiny_config: ModelConfig, qtbot: QtBot, until: Until
) -> None:
    for i, name in enumerate(NAMES, start=1):
        make_run(session.library, tiny_config, name, losses=(1.0,), created=f"2026-01-0{i}T00:00:00")
    window.show_tab("training")
    training = window.training
    until(lambda: training.is_complete and training.runs.runs.rowCount() == 3)
    delete_at(training.runs, 1, qtbot)
    until(lambda: training.runs.current_id == "a")  # the newest come first
    assert (training.run_view.run_id, training.runs.hasFocus()) == ("a", True)
    more = training.run_view.head.more
    more.setFocus()
    training.do("a", "delete")
    until(lambda: training.runs.current_id == "c")
    assert QApplication.focusWidget() in (more, training.runs)
    more.setFocus()
    training.do("c", "delete")
    until(lambda: training.pages.currentWidget() is training.new_run)
    assert QApplication.focusWidget() is training.panel.new
