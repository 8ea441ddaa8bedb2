"""Where messages lie: as low as they can without covering what one is about to use."""

from __future__ import annotations

import pytest
from PySide6.QtCore import QPoint, QRect, QSize
from PySide6.QtWidgets import QCheckBox, QComboBox, QFrame, QLineEdit, QStackedWidget, QToolButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import button
from terrarium.app.kit.text.growing_field import GrowingField
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.shell.toasts import Toasts, best_place

AREA, SIZE = QRect(0, 0, 1000, 700), QSize(500, 50)


@pytest.mark.parametrize(
    ("taken", "place"),
    [
        ([], (250, 650)),
        ([QRect(100, 600, 800, 60)], (250, 550)),  # a composer: above it
        ([QRect(700, 660, 100, 30)], (0, 650)),  # a button at the right: beside it
        ([QRect(0, 660, 200, 30), QRect(790, 660, 210, 30)], (250, 650)),  # buttons at both sides: between them
        ([QRect(0, 660, 280, 30), QRect(790, 660, 210, 30)], (280, 650)),  # and not in the middle, where that is taken
        ([QRect(0, 0, 1000, 700)], (250, 650)),  # no place at all
        ([QRect(0, 20, 1000, 680)], (250, 650)),  # none that is high enough
    ],
)
def test_a_message_takes_the_lowest_free_place(taken: list[QRect], place: tuple[int, int]) -> None:
    found = best_place(AREA, [SIZE], taken)
    assert (found.x(), found.y(), found.size()) == (*place, SIZE)


def test_a_message_is_narrower_where_it_would_cover_something() -> None:
    columns = [QRect(x, 0, 200, 700) for x in (0, 600)]
    narrow = QSize(300, 90)
    assert best_place(AREA, [SIZE, narrow], columns) == QRect(200, 610, 300, 90)
    assert best_place(AREA, [SIZE, narrow], columns[:1]).size() == SIZE


def test_where_not_all_can_stay_clear_the_main_things_do() -> None:
    everything = [QRect(0, 20, 1000, 680)]
    assert best_place(AREA, [SIZE], everything, [QRect(100, 600, 800, 60)]).y() == 550


def lies_over(toasts: Toasts, widget: QWidget) -> bool:
    return widget.isVisible() and toasts.geometry().intersects(widget.geometry())


def test_messages_cover_nothing_that_one_may_press(theme: ThemeProvider, qtbot: QtBot) -> None:
    """Also where it comes up below one that lies there already."""
    pages, page = QStackedWidget(), QWidget()
    qtbot.addWidget(pages)
    lines = QVBoxLayout(page)
    lines.addStretch(1)
    controls = [button("Fork from here", theme), QCheckBox("Wrong only"), QComboBox(), QToolButton(), QLineEdit()]
    for each in controls:
        lines.addWidget(each)
        each.hide()
    pages.addWidget(page)
    pages.resize(900, 600)
    pages.show()
    qtbot.waitExposed(pages)
    toasts = Toasts(theme, pages)
    toasts.notice("None of the replies earned anything.")
    assert toasts.geometry().bottom() == pages.rect().bottom()
    for each in controls:
        each.show()
        qtbot.waitUntil(lambda: not any(lies_over(toasts, shown) for shown in controls))


@pytest.fixture
def area(theme: ThemeProvider, qtbot: QtBot) -> QStackedWidget:
    """Two pages: one with a field at the bottom, one with a main button there."""
    pages = QStackedWidget()
    qtbot.addWidget(pages)
    for below in (GrowingField(), button("Start", theme, role="primary")):
        page = QWidget()
        lines = QVBoxLayout(page)
        lines.addStretch(1)
        lines.addWidget(below)
        pages.addWidget(page)
    pages.resize(900, 600)
    pages.show()
    qtbot.waitExposed(pages)
    return pages


def test_messages_stay_off_composers_and_main_buttons(area: QStackedWidget, theme: ThemeProvider, qtbot: QtBot) -> None:
    toasts = Toasts(theme, area)
    for sentence in ("One.", "Two.", "Three."):
        toasts.notice(sentence)
    for i in range(area.count()):
        area.setCurrentIndex(i)
        layout = area.currentWidget().layout()
        assert layout is not None
        item = layout.itemAt(1)
        assert item is not None
        qtbot.waitUntil(lambda item=item: item.geometry().top() - toasts.geometry().bottom() == 1)  # type: ignore[misc]


def test_a_message_gives_way_to_what_comes_up_below_it(
    area: QStackedWidget, theme: ThemeProvider, qtbot: QtBot
) -> None:
    field = area.currentWidget().findChild(GrowingField)
    assert field is not None
    field.hide()
    toasts = Toasts(theme, area)
    toasts.notice("One.")
    assert toasts.geometry().bottom() == area.rect().bottom()
    field.show()
    qtbot.waitUntil(lambda: not toasts.geometry().intersects(field.geometry()))
    assert toasts.isVisible()


def test_a_message_does_not_move_the_one_before(area: QStackedWidget, theme: ThemeProvider, qtbot: QtBot) -> None:
    toasts = Toasts(theme, area)
    toasts.notice("One.")
    first = toasts.findChild(QFrame)
    assert first is not None
    qtbot.waitUntil(lambda: toasts.geometry().bottom() == area.currentWidget().layout().itemAt(1).geometry().top() - 1)
    was = first.mapTo(area, QPoint(0, 0))
    toasts.notice("Two.")
    qtbot.waitUntil(lambda: toasts.height() > 2 * first.height())
    assert first.mapTo(area, QPoint(0, 0)) == was


def test_what_was_refused_leaves_by_itself(area: QStackedWidget, theme: ThemeProvider, qtbot: QtBot) -> None:
    toasts = Toasts(theme, area, notice_ms=1)
    toasts.failure("It broke.", "Traceback …")
    toasts.failure("No model is open: choose a run to chat with.", "")
    qtbot.waitUntil(lambda: toasts.sentences == ["It broke."])


def test_what_is_done_leaves_by_itself(area: QStackedWidget, theme: ThemeProvider, qtbot: QtBot) -> None:
    toasts = Toasts(theme, area, notice_ms=1)
    toasts.offer("“Anna” was interrupted.", "Resume", list)
    toasts.done("“Ben” is now in your library.", "Try it", list)
    marks = [each for each in toasts.findChildren(QToolButton) if each.property("role") == "mark"]
    assert [each.property("iconName") for each in marks] == ["arrow-counter-clockwise", "check-circle"]
    qtbot.waitUntil(lambda: toasts.sentences == ["“Anna” was interrupted."])
