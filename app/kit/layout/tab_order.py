"""The tab order: of widgets created later, which Qt appends at the end, and past focus proxies."""

from __future__ import annotations

import itertools
import sys

from PySide6.QtCore import QEvent, QObject, QRectF, Qt
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QPainter, QPaintEvent, QPen, QResizeEvent
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


def tab_stops(window: QWidget) -> list[QWidget]:
    """Return what Tab leads to in a window, from its first stop on."""
    return [widget for widget in _chain(window) if _is_stop(widget)]


def stops_in(parent: QWidget) -> list[QWidget]:
    """Return the tab stops inside a widget, in tab order, also those that are hidden or disabled."""
    chain = _chain(QWidget.window(parent))  # some widgets override window()
    return [widget for widget in chain if _takes_tab(widget) and parent.isAncestorOf(widget)]


def stops_of(widget: QWidget) -> list[QWidget]:
    """Return the widget itself, if it is a tab stop, and those inside it."""
    own = [widget] if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.focusProxy() is None else []
    return own + stops_in(widget)


def put_after(before: QWidget, *stops: QWidget) -> None:
    """Put `stops` after `before` in the tab order, except for widgets that are not in the same window yet."""
    for one, next_one in itertools.pairwise([before, *stops]):
        if QWidget.window(one) is QWidget.window(next_one):
            QWidget.setTabOrder(one, next_one)


def move_focus(within: QWidget, *, forward: bool) -> bool:
    """Focus the next tab stop in the window of a widget, or the one before; return whether there is another.

    Qt also stops at a widget with a focus proxy, such as a page: Tab would lead to the proxy, past what stands before
    it on the page, and Shift+Tab from there back to it.
    """
    start: QWidget = QApplication.focusWidget() or within
    chain = _chain(QWidget.window(within))
    at = chain.index(start) if start in chain else len(chain)
    following = [*chain[at + 1 :], *chain[:at]]
    stop = next((widget for widget in (following if forward else reversed(following)) if _is_stop(widget)), None)
    if stop is None:
        return False
    stop.setFocus(Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason)
    if not isinstance(stop, _STYLED):
        _FocusFrame(stop)
    return True


def open_menu(event: QKeyEvent) -> bool:
    """Open the context menu of what has the focus if Shift+F10 was pressed, which Qt does itself only on Windows."""
    focused = QApplication.focusWidget()
    is_asked = event.key() == Qt.Key.Key_F10 and event.modifiers() == Qt.KeyboardModifier.ShiftModifier
    if not is_asked or focused is None or sys.platform == "win32":
        return False
    at = QRectF(focused.inputMethodQuery(Qt.InputMethodQuery.ImCursorRectangle)).toRect().center()  # a list: its row
    reason, none = QContextMenuEvent.Reason.Keyboard, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(focused, QContextMenuEvent(reason, at, focused.mapToGlobal(at), none))
    return True


class InTabOrder(QWidget):
    """A widget in which Tab moves the focus as `move_focus` does, and Shift+F10 opens menus."""

    def focusNextPrevChild(self, next: bool) -> bool:
        return move_focus(self, forward=next)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if not open_menu(event):
            super().keyPressEvent(event)


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
    return _takes_tab(widget) and widget.isVisible() and widget.isEnabled()


def _takes_tab(widget: QWidget) -> bool:
    return bool(widget.focusPolicy() & Qt.FocusPolicy.TabFocus)


def _chain(window: QWidget) -> list[QWidget]:
    """Return the widgets in a window in the order of its focus chain, without those that have a focus proxy.

    PySide takes the widget that is asked for the owner of the next one and of its proxy. If that is so when the former
    is deleted, it holds the latter for deleted too. So none is asked for the window, and the others go back to it.
    """
    left = sum(window.isAncestorOf(child) for child in window.findChildren(QWidget))  # without those of its dialogs
    chain, widget = [], window.nextInFocusChain()
    while left and widget is not None:
        if window.isAncestorOf(widget):
            left -= 1
            if widget.focusProxy() is None:
                chain.append(widget)
        widget = widget.nextInFocusChain() if left else None
    window.findChildren(QWidget)  # PySide takes the widget that is asked for the owner here too
    return chain
