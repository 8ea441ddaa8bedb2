"""Splitters are restored to where they were left, whatever other widgets have been made since."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.session.session import Session
from terrarium.app.shell.splitters import remember_splitters, restore_splitters
from tests.app.heard import Until


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
