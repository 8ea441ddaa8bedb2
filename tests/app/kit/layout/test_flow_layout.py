"""What gives way where there is little room."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.layout.flow_layout import FlowLayout
from terrarium.app.kit.layout.relayout import AdaptiveSplitter
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider


def test_widgets_go_on_in_a_next_line(qtbot: QtBot) -> None:
    page = QWidget()
    qtbot.addWidget(page)
    flow = FlowLayout(page, 4)
    parts = [QLabel() for _ in range(3)]
    for part in parts:
        part.setFixedSize(50, 20)
        flow.addWidget(part)
    parts[1].hide()
    page.resize(104, 100)
    page.show()
    assert [(part.x(), part.y()) for part in (parts[0], parts[2])] == [(0, 0), (54, 0)], "what is hidden takes no room"
    parts[1].show()
    qtbot.waitUntil(lambda: parts[2].y() == 24)
    assert flow.heightForWidth(104) == 44
    assert flow.heightForWidth(158) == 20


def test_two_parts_turn_where_there_is_no_room_beside_each_other(qtbot: QtBot) -> None:
    parts = QWidget(), QWidget()
    splitter = AdaptiveSplitter(*parts, sizes=(300, 300), grows=0)
    qtbot.addWidget(splitter)
    splitter.resize(800, 400)
    splitter.show()
    assert splitter.orientation() == Qt.Orientation.Horizontal
    splitter.resize(400, 400)
    assert splitter.orientation() == Qt.Orientation.Vertical
    splitter.resize(800, 400)
    assert splitter.orientation() == Qt.Orientation.Horizontal


class _Pages(Views):
    def _update(self, name: str) -> None:
        pass


def test_names_of_views_are_not_cut_where_others_are_hidden(qtbot: QtBot, theme: ThemeProvider) -> None:
    names = [f"a view called {i}" for i in range(12)]
    views = _Pages("Views", {name: View(name, "", QWidget, "") for name in names})
    qtbot.addWidget(views)
    for name in names[6:]:
        views.offer(name, is_offered=False)
    theme.apply_theme(views)
    views.resize(1600, 100)
    views.show()
    for n in (6, 8):
        least = views.bar.minimumSizeHint().width()
        views.resize(views.minimumSizeHint().width(), 100)
        qtbot.waitUntil(lambda: bool(views.bar.property("compact")))
        qtbot.waitUntil(lambda: views.bar.width() >= views.bar.sizeHint().width())
        assert abs(views.bar.sizeHint().width() - least) <= n, "all of them were counted on"
        views.resize(1600, 100)
        qtbot.waitUntil(lambda: not views.bar.property("compact"))
        for name in names[6:8]:
            views.offer(name, is_offered=True)
