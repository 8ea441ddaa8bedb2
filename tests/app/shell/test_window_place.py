"""The window is never larger than its screen, and comes back as it was left."""

from __future__ import annotations

from PySide6.QtCore import QRect, Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.session.session import Session
from terrarium.app.shell.window_place import (
    fit_screen,
    remember_place,
    remember_splitters,
    restore_place,
    restore_splitters,
)
from tests.app.heard import Until


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


class Halves(QWidget):
    """A widget with a splitter, of a class of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.splitter = AdaptiveSplitter(QLabel(), QLabel(), sizes=(100, 100), grows=0)
        QHBoxLayout(self).addWidget(self.splitter)


class Others(Halves):
    """Another widget with a splitter."""


for kind in (Halves, Others):
    kind.__module__ = "terrarium.app.kit.halves"  # as widgets of ours are


def window(session: Session, qtbot: QtBot) -> tuple[Pages, Pages]:
    inner = Pages({"first": Halves, "second": Others})

    def page() -> QWidget:
        page = QWidget()
        QHBoxLayout(page).addWidget(inner)
        return page

    outer = Pages({"page": page})
    outer.page_made.connect(lambda _, made: restore_splitters(session, made))
    qtbot.addWidget(outer)
    outer.resize(700, 300)
    outer.show()
    outer.show_page("page")
    return outer, inner


def test_splitters_are_restored(session: Session, qtbot: QtBot) -> None:
    outer, inner = window(session, qtbot)
    for name, sizes in (("second", [260, 420]), ("first", [420, 260])):
        half = inner.show_page(name)
        assert isinstance(half, Halves)
        half.splitter.setSizes(sizes)
    remember_splitters(session, outer)
    _, inner = window(session, qtbot)
    left = []
    for name in ("first", "second"):
        half = inner.show_page(name)
        assert isinstance(half, Halves)
        left.append(half.splitter.sizes()[0] > half.splitter.sizes()[1])
    assert left == [True, False]


def test_a_hidden_part_keeps_its_last_size(session: Session, qtbot: QtBot) -> None:
    outer, inner = window(session, qtbot)
    half = inner.show_page("first")
    assert isinstance(half, Halves)
    half.splitter.setSizes([250, 120])
    before = half.splitter.sizes()
    half.splitter.widget(0).hide()
    remember_splitters(session, outer)
    _, inner = window(session, qtbot)
    half = inner.show_page("first")
    assert isinstance(half, Halves)
    assert half.splitter.sizes() == before


def test_heights_are_not_taken_for_widths(session: Session, qtbot: QtBot, until: Until) -> None:
    """Where there is little width, the parts stand one above the other, and have sizes of their own."""
    outer, inner = window(session, qtbot)
    half = inner.show_page("first")
    assert isinstance(half, Halves)
    outer.resize(300, 900)
    until(lambda: half.splitter.orientation() == Qt.Orientation.Vertical)
    half.splitter.setSizes([60, 800])
    remember_splitters(session, outer)
    _, inner = window(session, qtbot)
    half = inner.show_page("first")
    assert isinstance(half, Halves)
    assert half.splitter.sizes()[0] > 200
