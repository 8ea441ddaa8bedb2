"""The tab order: of widgets created later, which Qt appends at the end, and past focus proxies."""

from __future__ import annotations

import itertools

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QSlider,
    QTabBar,
    QTextEdit,
    QWidget,
)


def stops_in(parent: QWidget) -> list[QWidget]:
    """Return the tab stops inside a widget, in tab order."""
    inside: list[QWidget] = []
    # The focus chain spans the whole window: stop once all descendants have been found.
    left = sum(parent.isAncestorOf(child) for child in parent.findChildren(QWidget))
    widget = parent.nextInFocusChain()
    while left and widget is not None and widget is not parent:
        if parent.isAncestorOf(widget):
            left -= 1
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
                inside.append(widget)
        widget = widget.nextInFocusChain()
    return inside


def stops_of(widget: QWidget) -> list[QWidget]:
    """Return the widget itself, if it is a tab stop, and those inside it."""
    own = [widget] if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None else []
    return own + stops_in(widget)


def put_after(before: QWidget, *stops: QWidget) -> None:
    """Put `stops` after `before` in the tab order, except for widgets that are not in the same window yet."""
    for one, next_one in itertools.pairwise([before, *stops]):
        if QWidget.window(one) is QWidget.window(next_one):  # some widgets override window()
            QWidget.setTabOrder(one, next_one)


def move_focus(within: QWidget, *, forward: bool) -> bool:
    """Focus the next tab stop in the window of a widget, or the one before; return whether there is another.

    Qt also stops at a widget with a focus proxy, such as a page: Tab would lead to the proxy, past what stands before
    it on the page, and Shift+Tab from there back to it.
    """
    start: QWidget = QApplication.focusWidget() or within
    chain = QWidget.nextInFocusChain if forward else QWidget.previousInFocusChain
    stop = chain(start)
    while stop is not None and stop is not start:
        if _is_stop(stop) and QWidget.window(stop) is QWidget.window(within):
            stop.setFocus(Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason)
            if not isinstance(stop, _STYLED):
                _FocusFrame(stop)
            return True
        stop = chain(stop)
    return False


class InTabOrder(QWidget):
    """A widget in which Tab moves the focus as `move_focus` does."""

    def focusNextPrevChild(self, next: bool) -> bool:
        return move_focus(self, forward=next)


class _FocusFrame(QWidget):
    """A frame within the edge of a widget, until the widget loses the focus."""

    def __init__(self, framed: QWidget) -> None:
        super().__init__(framed)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.resize(framed.size())
        framed.installEventFilter(self)
        self.show()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.FocusOut:
            self.hide()
            self.deleteLater()
        elif isinstance(event, QResizeEvent):
            self.resize(event.size())
        return False

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self.palette().highlight().color(), 2))
        painter.drawRoundedRect(self.rect().adjusted(1, 1, -1, -1), 4, 4)


_STYLED = (
    QAbstractButton
    | QAbstractSpinBox
    | QComboBox
    | QLineEdit
    | QPlainTextEdit
    | QScrollArea
    | QSlider
    | QTabBar
    | QTextEdit
)
"""Widgets whose focus the style sheet shows."""


def _is_stop(widget: QWidget) -> bool:
    takes_tab = bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus) and widget.focusProxy() is None
    return takes_tab and widget.isVisible() and widget.isEnabled()
