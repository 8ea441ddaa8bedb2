"""Every page and dialog can be used without a mouse."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, QRect, QSize, Qt, QTimer
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QPushButton,
    QSlider,
    QTabBar,
    QWidget,
)

from terrarium.app.builder.design_list import DesignList
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.item_list import ItemList
from terrarium.app.kit.layout.tab_order import tab_stops
from terrarium.app.plots.chart_base import ChartBase
from terrarium.app.runs.run_list import RunList
from terrarium.app.session.remembered import EVERYTHING
from terrarium.app.session.routes import ShowPlace
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.status_bar import StatusBar
from terrarium.app.tokenizer.vocabulary.vocabulary_table import VocabularyTable
from tests.app.shell.test_every_page_fits import Until, every_page, score_pages, settle, task_pages
from tests.app.shell.test_every_page_fits import task_window as task_window
from tests.app.shell.test_every_page_fits import window as window
from tests.app.shell.test_spoken_pages import dialogs

CONTROLS = (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QTabBar,
)
_MAX_STOPS = 400


def test_tab_leads_everywhere(window: MainWindow, until: Until, text_file: Path) -> None:
    window.session.detail.choose(EVERYTHING)
    window.resize(1440, 900)
    # The palette leaves the focus to its field; in the code of a block, Tab indents, and leaves it after Esc.
    others = (each for each in dialogs(window) if each[0] not in ("palette", "custom block"))
    check(itertools.chain(every_page(window, until, text_file), others))


@pytest.mark.slow
def test_tab_leads_everywhere_on_pages_for_tasks(task_window: MainWindow, until: Until) -> None:
    check(itertools.chain(score_pages(task_window, until), task_pages(task_window, until)))


def test_escape_closes_what_was_opened_and_the_focus_returns(window: MainWindow, until: Until) -> None:
    window.show_tab("training")
    window.activateWindow()
    settle()
    before = window.training.runs
    before.setFocus()
    assert QApplication.focusWidget() is before
    for open_it in (window.show_palette, window.help.open_here, window.show_preferences, window.show_trash):
        open_it()
        until(lambda: QApplication.focusWidget() not in (before, None))
        focused = QApplication.focusWidget()
        assert focused is not None
        QTest.keyClick(focused, Qt.Key.Key_Escape)
        window.activateWindow()
        until(lambda: QApplication.focusWidget() is before)


def test_a_menu_opens_by_space_and_closes_by_escape(window: MainWindow, until: Until) -> None:
    window.session.go(ShowPlace("training/new"))
    settle()
    opens = next(each for each in tab_stops(window) if isinstance(each, QPushButton) and each.menu() is not None)
    opens.setFocus()
    pressed = []
    QTimer.singleShot(0, lambda: pressed.append(leave(opens.menu())))  # a menu has an event loop of its own
    QTest.keyClick(opens, Qt.Key.Key_Space)
    until(lambda: bool(pressed))
    assert pressed == [True]
    window.activateWindow()
    until(lambda: QApplication.focusWidget() is opens)


def test_keys_open_the_menu_of_the_chosen_row(window: MainWindow, until: Until) -> None:
    for tab, kind in (
        ("training", RunList),
        ("builder", DesignList),
        ("tokenizer", VocabularyTable),
        ("chat", ItemList),
    ):
        window.show_tab(tab)
        if tab == "tokenizer":
            window.pages.page(tab).views.show_view("vocabulary")  # type: ignore[attr-defined]
        settle()
        view = next(each for each in window.findChildren(kind) if each.isVisible())
        until(lambda view=view: bool(view.model().rowCount()))  # type: ignore[misc]
        for press in (press_menu, press_shift_f10):
            window.activateWindow()
            view.setFocus()
            until(view.hasFocus)
            QTest.keyClick(view, Qt.Key.Key_Down)
            opened: list[bool] = []
            QTimer.singleShot(0, lambda view=view, opened=opened: opened.append(close_menu_at_row(view)))  # some block
            press(view)
            until(lambda opened=opened: bool(opened))  # type: ignore[misc]
            assert opened == [True], f"{tab}, {press.__name__}"


def press_menu(view: QAbstractItemView) -> None:
    """Do as the platform does when the Menu key is pressed."""
    at = view.inputMethodQuery(Qt.InputMethodQuery.ImCursorRectangle).center()
    reason, none = QContextMenuEvent.Reason.Keyboard, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(view, QContextMenuEvent(reason, at, view.mapToGlobal(at), none))


def press_shift_f10(view: QAbstractItemView) -> None:
    QTest.keyClick(view, Qt.Key.Key_F10, Qt.KeyboardModifier.ShiftModifier)


def close_menu_at_row(view: QAbstractItemView) -> bool:
    """Whether a menu is open at the current row of a list or table, after closing it."""
    menu, row = QApplication.activePopupWidget(), view.visualRect(view.currentIndex())
    if not isinstance(menu, QMenu):
        return False
    at = view.viewport().mapFromGlobal(menu.pos())
    menu.close()
    return row.contains(at)


def leave(menu: QMenu) -> bool:
    """Go down in a menu, and close it by Escape; whether it was open, and something in it was chosen."""
    was_open = menu.isVisible()
    QTest.keyClick(menu, Qt.Key.Key_Down)
    was_open = was_open and menu.activeAction() is not None
    QTest.keyClick(menu, Qt.Key.Key_Escape)
    return was_open and not menu.isVisible()


def check(pages: Iterable[tuple[str, QWidget]]) -> None:
    """Walk through pages with Tab and back; report what is wrong, once each."""
    found: dict[str, str] = {}
    seen: set[str] = set()
    for page, shown in pages:
        shown.activateWindow()
        settle()
        for complaint in complaints(shown, seen):
            found.setdefault(complaint, page)
    assert not found, "\n".join(f"{page}: {complaint}" for complaint, page in found.items())


def complaints(shown: QWidget, seen: set[str]) -> Iterator[str]:
    """What cannot be done with the keyboard in a window. seen: the kinds of widgets whose focus was looked at."""
    stops = tab_stops(shown)
    yield from (
        f"{about(each)} is no tab stop" for each in shown.findChildren(QWidget) if is_missed(each, shown, stops)
    )
    if not stops:
        return
    first = next((stop for stop in stops if not isinstance(stop.parentWidget(), StatusBar)), stops[0])  # it comes last
    walked = list(walk(first, Qt.Key.Key_Tab))
    for stop in walked:
        if stop is not walked[0] and walked.count(stop) > 1:
            yield f"{about(stop)} is a trap"
    yield from (f"{about(each)} is not reached" for each in stops if each not in walked and not by_arrows(each, walked))
    back = list(walk(first, Qt.Key.Key_Backtab))
    if not any(walked.count(stop) > 1 for stop in walked) and back[1:] != walked[:0:-1]:
        missed = [about(each) for each in walked if each not in back]
        yield f"Shift+Tab goes another way: {missed}"
    for one, other in itertools.pairwise(walked):
        if not isinstance(one, QTabBar) and goes_back(one, other):  # a page may stand beside its tabs
            yield f"Tab goes back from {about(one)} to {about(other)}"
    for stop in walked:
        kind = f"{type(stop).__name__} {stop.property('role')}"
        if kind not in seen:
            seen.add(kind)
            if not focus_shows(stop):
                yield f"the focus of {about(stop)} does not show"


def walk(first: QWidget, key: Qt.Key) -> Iterator[QWidget]:
    """What a key leads to from a widget on, until it comes back there."""
    first.setFocus(Qt.FocusReason.TabFocusReason)
    stop = first
    for _ in range(_MAX_STOPS):
        yield stop
        QTest.keyClick(stop, key)
        following = QApplication.focusWidget()
        if following is None or following is first:
            return
        if following is stop:
            yield stop
            return
        stop = following


def is_missed(widget: QWidget, shown: QWidget, stops: list[QWidget]) -> bool:
    """Whether a control in view cannot be reached: neither itself nor what it belongs to."""
    is_picture = widget.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    if (
        is_picture
        or not isinstance(widget, CONTROLS)
        or not widget.isEnabled()
        or not widget.isVisible()
        or widget in stops
    ):
        return False
    if isinstance(widget, HelpMark) or QWidget.window(widget) is not shown:  # F1 does the same
        return False
    if isinstance(widget.parentWidget(), ChartBase):  # the Menu key opens its menu; it is there under the pointer
        return False
    if by_arrows(widget, stops) or isinstance(widget, QHeaderView):
        return False
    if isinstance(widget, QAbstractItemView) and widget.focusPolicy() == Qt.FocusPolicy.NoFocus:
        return False  # what is in it are stops, or its field moves through it
    within = widget.parentWidget()
    return not isinstance(within, QLineEdit | QAbstractSpinBox | QComboBox | QTabBar) and widget.focusProxy() is None


def by_arrows(widget: QWidget, stops: list[QWidget]) -> bool:
    """Whether arrow keys lead to a button from another of its group, which Tab leads to."""
    if not isinstance(widget, QAbstractButton):
        return False
    if (group := widget.group()) is not None:
        return any(each in stops for each in group.buttons())
    within = widget.parentWidget()
    return widget.autoExclusive() and any(
        isinstance(each, QAbstractButton) and each.autoExclusive() and each.parentWidget() is within for each in stops
    )


def goes_back(one: QWidget, other: QWidget) -> bool:
    """Whether a widget stands above the one before it, or left of it in the same row."""
    ancestor = one.parentWidget()
    while ancestor is not None and not ancestor.isAncestorOf(other):
        ancestor = ancestor.parentWidget()
    if ancestor is None:
        return False
    a, b = (
        QRect(each.mapTo(ancestor, each.rect().topLeft()), each.size())
        for each in (child_of(ancestor, one), child_of(ancestor, other))
    )
    if b.bottom() < a.top():
        return b.left() <= a.right()
    return b.top() <= a.bottom() and a.top() <= b.bottom() and b.right() < a.left()


def child_of(ancestor: QWidget, widget: QWidget) -> QWidget:
    while widget.parentWidget() is not ancestor:
        widget = widget.parentWidget()
    return widget


def focus_shows(widget: QWidget) -> bool:
    """Whether a widget that Tab leads to looks different."""
    widget.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(widget, Qt.Key.Key_Tab)
    if (following := QApplication.focusWidget()) is widget or following is None:
        return True  # alone in its window
    QTest.keyClick(following, Qt.Key.Key_Backtab)  # which scrolls to it
    assert QApplication.focusWidget() is widget
    window = QWidget.window(widget)
    place = QRect(widget.mapTo(window, QPoint(-4, -4)), widget.size() + QSize(8, 8))
    with_focus = window.grab(place).toImage()
    QTest.keyClick(widget, Qt.Key.Key_Tab)
    return with_focus != window.grab(place).toImage()


def about(widget: QWidget) -> str:
    """What a widget is called, and where it stands in the code."""
    line: list[str] = []
    within: QWidget | None = widget
    while within is not None and len(line) < 4:
        line.append(type(within).__name__)
        within = within.parentWidget()
    words = widget.accessibleName() or getattr(widget, "text", str)()
    return f"{words!r} [{' < '.join(line)}]"
