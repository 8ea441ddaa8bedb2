"""Undo and Redo of the Edit menu: the tab in view, its text, or the field that has the focus."""

from __future__ import annotations

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from terrarium.app.builder.builder_tab import BuilderTab
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.kit.forms.editors import IntBox
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow


@pytest.fixture
def window(qtbot: QtBot, session: Session, theme: ThemeProvider) -> MainWindow:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    return window


def edit_menu(window: MainWindow) -> QMenu:
    return next(menu for menu in window.menuBar().findChildren(QMenu) if menu.title() == "&Edit")


def opened(window: MainWindow) -> list[QAction]:
    """Undo and Redo as the open menu shows them."""
    edit_menu(window).aboutToShow.emit()
    return edit_menu(window).actions()[:2]


def builder(window: MainWindow) -> BuilderTab:
    window.show_tab("builder")
    tab = window.pages.page("builder")
    assert isinstance(tab, BuilderTab)
    return tab


def test_edits_of_a_design_are_undone_by_name_and_those_of_one_setting_together(window: MainWindow) -> None:
    tab = builder(window)
    before = tab.form.config
    for width in (256, 320):
        tab.form.apply({"d_model": width})
    tab.form.apply({"n_layer": 7})
    undo, redo = opened(window)
    assert (undo.text(), redo.isEnabled()) == ("&Undo change of n_layer", False)
    undo.trigger()
    assert opened(window)[0].text() == "&Undo change of d_model"
    undo.trigger()
    assert tab.form.config == before
    assert window.session.designs.current == before
    assert opened(window)[1].text() == "&Redo change of d_model"
    redo.trigger()
    redo.trigger()
    assert (tab.form.config.d_model, tab.form.config.n_layer) == (320, 7)
    edit_menu(window).aboutToHide.emit()
    assert (undo.text(), undo.isEnabled()) == ("&Undo", True)


def test_the_edits_of_a_design_come_back_after_another_was_chosen(window: MainWindow) -> None:
    tab = builder(window)
    tab.form.apply({"n_layer": 7})
    edited = tab.form.config
    tab.list.chosen.emit("llama-tiny")
    assert tab.form.config != edited
    opened(window)[0].trigger()
    assert tab.form.config == edited
    assert tab.bar.line.text().startswith("1 setting differs from")


def test_each_tab_has_its_own_steps(window: MainWindow) -> None:
    builder(window).form.apply({"n_layer": 7})
    window.show_tab("training")
    assert not opened(window)[0].isEnabled()
    window.show_tab("builder")
    assert opened(window)[0].isEnabled()


def test_the_keys_undo_a_number_that_was_entered_but_a_text_keeps_its_own(qtbot: QtBot, window: MainWindow) -> None:
    tab = builder(window)
    box = tab.form.editor("n_layer")
    assert isinstance(box, IntBox)
    before = box.value()
    box.setFocus()
    qtbot.waitUntil(box.hasFocus)
    box.setValue(before + 1)
    qtbot.keyClick(box, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert tab.form.config.n_layer == before
    box.setValue(before + 2)
    tab.bar.name.setFocus()
    qtbot.waitUntil(tab.bar.name.hasFocus)
    name = tab.bar.name.text()
    qtbot.keyClicks(tab.bar.name, "x")
    assert opened(window)[0].text() == "&Undo typing"
    for _ in range(3):
        qtbot.keyClick(tab.bar.name, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert tab.bar.name.text() == name
    assert tab.form.config.n_layer == before + 2, "a text in which something was written never undoes more than itself"


def test_the_notebook_has_its_own_undo_in_the_menu(window: MainWindow) -> None:
    window.show_tab("chat")
    tab = window.pages.page("chat")
    assert isinstance(tab, ChatTab)
    tab.modes.show_view("notebook")
    text = tab.text_in_view
    assert text is not None
    text.insertPlainText("Once")
    undo, _ = opened(window)
    assert undo.text() == "&Undo typing", "whoever comes to the notebook can write at once"
    tab.modes.bar.setFocus()
    undo, _ = opened(window)
    assert undo.text() == "&Undo change of the text"
    undo.trigger()
    assert text.toPlainText() == ""
    opened(window)[1].trigger()
    assert text.toPlainText() == "Once"


def test_undo_in_the_menu_takes_the_message_away(window: MainWindow) -> None:
    session = window.session
    window.show_tab("builder")
    session.designs.save("mine")
    session.designs.delete("mine")
    assert "Design “mine” deleted" in window.toasts.sentences
    opened(window)[0].trigger()
    assert session.designs.list() == ["mine"]
    assert window.toasts.sentences == []
