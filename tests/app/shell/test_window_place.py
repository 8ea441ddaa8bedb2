"""The window is never larger than its screen, and comes back as it was left."""

from __future__ import annotations

from PySide6.QtCore import QRect
from PySide6.QtWidgets import QMainWindow
from pytestqt.qtbot import QtBot

from terrarium.app.session.session import Session
from terrarium.app.shell.window_place import fit_screen, remember_place, restore_place


def test_at_the_first_launch_the_window_fits_its_screen(session: Session, qtbot: QtBot) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    restore_place(window, session.remembered)
    window.show()
    fit_screen(window)
    screen = window.screen().availableGeometry()
    assert screen.width() < 1440, "a screen that is smaller than the usual window, or this proves nothing"
    assert screen.contains(window.frameGeometry())
    assert window.minimumWidth() <= screen.width()


def test_a_window_comes_back_as_it_was_left(session: Session, qtbot: QtBot) -> None:
    left, place = QMainWindow(), QRect(2, 90, 796, 640)
    qtbot.addWidget(left)
    left.setGeometry(place)
    left.show()
    remember_place(left, session.remembered)
    opened = QMainWindow()
    qtbot.addWidget(opened)
    restore_place(opened, session.remembered)
    opened.show()
    fit_screen(opened)
    assert opened.geometry() == place


def test_a_place_that_cannot_be_read_is_ignored(session: Session, qtbot: QtBot) -> None:
    session.remembered.set("window place", "größer")
    window = QMainWindow()
    qtbot.addWidget(window)
    restore_place(window, session.remembered)
    assert window.screen().availableGeometry().contains(window.geometry())
