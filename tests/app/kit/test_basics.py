"""The basic widgets."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import button, column, scrolling
from terrarium.app.kit.theme import ThemeProvider


def test_a_pressed_button_that_is_disabled_keeps_the_focus(qtbot: QtBot, theme: ThemeProvider) -> None:
    window, after = QWidget(), QLineEdit()
    start = button("Start", theme, lambda: start.setEnabled(False))
    window.setLayout(column(start, after))
    qtbot.addWidget(window)
    window.show()
    window.activateWindow()
    qtbot.waitActive(window)
    start.setFocus()
    qtbot.keyClick(start, Qt.Key.Key_Space)
    assert not start.isEnabled()
    assert window.focusWidget() is start
    qtbot.keyClick(window.windowHandle(), Qt.Key.Key_Tab)
    assert window.focusWidget() is after


def test_a_click_between_the_widgets_of_a_scroll_area_does_not_frame_it(qtbot: QtBot, theme: ThemeProvider) -> None:
    window, field, inside = QWidget(), QLineEdit(), QWidget()
    inside.setMinimumSize(300, 2000)
    area = scrolling(inside)
    window.setLayout(column(field, area))
    qtbot.addWidget(window)
    window.show()
    field.setFocus()
    qtbot.mouseClick(area.viewport(), Qt.MouseButton.LeftButton)
    assert window.focusWidget() is field
