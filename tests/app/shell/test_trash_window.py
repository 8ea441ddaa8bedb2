"""The trash's window: what it lists, what it restores, and what it deletes for good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QPushButton
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.trash_window import TrashWindow
from terrarium.models.library.library import Library
from terrarium.models.settings.presets import PRESETS
from tests.app.heard import Heard, Until

DESIGN = PRESETS["terrarium-tiny"]


@pytest.fixture
def trash(session: Session, theme: ThemeProvider, qtbot: QtBot, until: Until) -> Iterator[TrashWindow]:
    """The window, shown, over the trash with the designs “a”, “b” and “c”."""
    for name in ("a", "b", "c"):
        session.library.save_design(name, DESIGN)
        session.designs.delete(name)
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    window.show_trash()
    until(lambda: len(names(window.trash)) == 3)
    yield window.trash
    window.close()


def names(window: TrashWindow) -> list[str]:
    """What the table lists, from top to bottom."""
    model = window.table.model()
    return [model.index(row, 0).data() for row in range(model.rowCount())]


def select(window: TrashWindow, *wanted: str) -> None:
    """Select the rows of these names."""
    window.table.clearSelection()
    for row, name in enumerate(names(window)):
        if name in wanted:
            selection = window.table.selectionModel()
            selection.select(
                window.table.model().index(row, 0), selection.SelectionFlag.Select | selection.SelectionFlag.Rows
            )


def answer(window: TrashWindow, words: str, qtbot: QtBot) -> None:
    """Press this button of the question."""
    assert window.box is not None
    button = next(button for button in window.box.buttons() if button.text() == words)
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_selected_things_are_restored(trash: TrashWindow, session: Session, qtbot: QtBot, until: Until) -> None:
    assert not trash.restore_button.isEnabled()
    row = [trash.table.model().index(0, column).data() for column in range(1, 5)]
    assert (row[0], row[2]) == ("Design", "30 more days")
    select(trash, "a", "c")
    assert trash.note.text().startswith("2 of 3 items")
    listed: list[list[str]] = []
    session.designs.list_changed.connect(lambda: listed.append(session.designs.list()))
    qtbot.mouseClick(trash.restore_button, Qt.MouseButton.LeftButton)
    until(lambda: names(trash) == ["b"])
    assert listed[-1] == ["a", "c"]
    assert session.library.load_design("a") == DESIGN


def test_a_name_that_was_taken_is_said(trash: TrashWindow, session: Session, heard: Heard, until: Until) -> None:
    session.library.save_design("b", DESIGN)
    select(trash, "b")
    trash.restore_selected()
    until(lambda: len(names(trash)) == 2)
    assert session.designs.list() == ["b", "b-2"]
    assert heard.notices == ["There is a design called “b” already, so this one was restored as “b-2”."]


def test_deleting_for_good_asks_first(
    trash: TrashWindow, session: Session, library: Library, qtbot: QtBot, until: Until
) -> None:
    select(trash, "b")
    until(trash.isActiveWindow)
    trash.table.setFocus()
    until(trash.table.hasFocus)
    qtbot.keyClick(trash.table, Qt.Key.Key_Delete)
    answer(trash, "Keep", qtbot)
    assert len(list(library.trash.iterdir())) == 3
    qtbot.mouseClick(trash.delete_button, Qt.MouseButton.LeftButton)
    answer(trash, "Delete for good", qtbot)
    until(lambda: sorted(names(trash)) == ["a", "c"] and trash.empty_button.isEnabled())
    qtbot.mouseClick(trash.empty_button, Qt.MouseButton.LeftButton)
    answer(trash, "Delete for good", qtbot)
    until(lambda: names(trash) == [] and not session.trash.busy)
    assert list(library.trash.iterdir()) == []
    assert not trash.empty_button.isEnabled()


def test_what_is_deleted_and_undone_meanwhile_is_shown(
    trash: TrashWindow, session: Session, heard: Heard, until: Until
) -> None:
    session.library.save_design("d", DESIGN)
    session.designs.delete("d")
    until(lambda: sorted(names(trash)) == ["a", "b", "c", "d"])
    heard.deleted[-1]()
    until(lambda: sorted(names(trash)) == ["a", "b", "c"])
    heard.deleted[-1]()
    assert (sorted(names(trash)), heard.failures) == (["a", "b", "c"], [])


def test_a_full_disk_leads_to_the_trash(trash: TrashWindow, session: Session, qtbot: QtBot) -> None:
    trash.hide()
    session.notices.attempt(lambda: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    window = trash.parentWidget()
    assert isinstance(window, MainWindow)
    button = next(b for b in window.toasts.findChildren(QPushButton) if b.text() == "Open the trash")
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
    assert trash.isVisible()
