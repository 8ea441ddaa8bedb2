"""Every page and dialog can be used without a mouse."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QSlider,
    QTabBar,
    QWidget,
)

from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.session.remembered import EVERYTHING
from terrarium.app.shell.main_window import MainWindow
from tests.app.shell.test_every_page_fits import Until, every_page, score_pages, settle, task_pages
from tests.app.shell.test_every_page_fits import task_window as task_window
from tests.app.shell.test_every_page_fits import window as window
from tests.app.shell.test_spoken_pages import dialogs
from tools.screenshots.spoken import tab_stops

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
    check(itertools.chain(every_page(window, until, text_file), dialogs(window)))


@pytest.mark.slow
def test_tab_leads_everywhere_on_pages_for_tasks(task_window: MainWindow, until: Until) -> None:
    check(itertools.chain(score_pages(task_window, until), task_pages(task_window, until)))


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
    walked = list(walk(stops[0], Qt.Key.Key_Tab))
    for stop in walked:
        if stop is not walked[0] and walked.count(stop) > 1:
            yield f"{about(stop)} is a trap"
    yield from (f"{about(each)} is not reached" for each in stops if each not in walked)
    back = list(walk(stops[0], Qt.Key.Key_Backtab))
    if not any(walked.count(stop) > 1 for stop in walked) and back[1:] != walked[:0:-1]:
        missed = [about(each) for each in walked if each not in back]
        yield f"Shift+Tab goes another way: {missed}"
    for one, other in itertools.pairwise(walked):
        if goes_back(one, other):
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
    if not isinstance(widget, CONTROLS) or not widget.isEnabled() or not widget.isVisible() or widget in stops:
        return False
    if isinstance(widget, HelpMark) or QWidget.window(widget) is not shown:  # F1 does the same
        return False
    if isinstance(widget, QAbstractButton) and (group := widget.group()) is not None and group.exclusive():
        return not any(each in stops for each in group.buttons())  # arrow keys lead to the others
    within = widget.parentWidget()
    return not isinstance(within, QLineEdit | QAbstractSpinBox | QComboBox | QTabBar) and widget.focusProxy() is None


def goes_back(one: QWidget, other: QWidget) -> bool:
    """Whether a widget stands above the one before it, or left of it in the same row."""
    ancestor = one.parentWidget()
    while ancestor is not None and not ancestor.isAncestorOf(other):
        ancestor = ancestor.parentWidget()
    if ancestor is None:
        return False
    a, b = (
        QRect(each.mapTo(ancestor, each.rect().topLeft()), each.size())
        for each in map(lambda w: child_of(ancestor, w), (one, other))
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
    settle()
    with_focus = widget.grab().toImage()
    widget.clearFocus()
    settle()
    return with_focus != widget.grab().toImage()


def about(widget: QWidget) -> str:
    """What a widget is called, and where it stands in the code."""
    line: list[str] = []
    within: QWidget | None = widget
    while within is not None and len(line) < 4:
        line.append(type(within).__name__)
        within = within.parentWidget()
    words = widget.accessibleName() or getattr(widget, "text", str)()
    return f"{words!r} [{' < '.join(line)}]"
