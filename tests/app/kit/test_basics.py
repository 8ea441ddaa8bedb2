"""The basic widgets."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import button, column, row, scrolling, show_words, stacked
from terrarium.app.kit.labels import ElidedLabel
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


def test_contents_share_the_spare_space_as_asked(qtbot: QtBot) -> None:
    window, fixed, small, large = QWidget(), QWidget(), QWidget(), QWidget()
    fixed.setFixedWidth(50)
    inner = column(large)
    window.setLayout(row(fixed, small, inner, spacing=0, grows={small: 1, inner: 2}, margin=(10, 0, 40, 0)))
    qtbot.addWidget(window)
    window.resize(400, 100)
    window.show()
    assert [each.x() for each in (fixed, small, large)] == [10, 60, 160]
    assert [each.width() for each in (small, large)] == [100, 200]


def test_words_show_and_hide_what_says_them(qtbot: QtBot, theme: ThemeProvider) -> None:
    pressed, said = button("", theme), ElidedLabel()
    pages = stacked(pressed, said)
    qtbot.addWidget(pages)
    assert pages.currentWidget() is pressed
    for widget in (pressed, said):
        show_words(widget, "Go on")
        assert widget.text() == "Go on"
        assert not widget.isHidden()
        show_words(widget, "")
        assert widget.isHidden()
