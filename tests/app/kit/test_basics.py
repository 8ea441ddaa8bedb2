"""The basic widgets."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLineEdit, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.basics import button, column, label, row, scrolling, show_if, show_words, stacked
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


def test_a_number_among_contents_is_empty_space(qtbot: QtBot) -> None:
    window, above, below = QWidget(), QWidget(), QWidget()
    above.setFixedHeight(20)
    below.setFixedHeight(20)
    window.setLayout(column(above, 30, below, None, spacing=0))
    qtbot.addWidget(window)
    window.resize(100, 200)
    window.show()
    assert below.y() == 50


def test_widgets_are_shown_and_hidden_at_once(qtbot: QtBot) -> None:
    pair = QWidget(), QWidget()
    for widget in pair:
        qtbot.addWidget(widget)
    for is_shown in ("words", ""):
        show_if(is_shown, *pair)
        assert [not widget.isHidden() for widget in pair] == [bool(is_shown)] * 2


def test_a_stretch_takes_the_space_while_nothing_that_grows_is_shown(qtbot: QtBot) -> None:
    window, above, grows = QWidget(), label("a"), QWidget()
    window.setLayout(column(above, grows, None, grows=grows))
    qtbot.addWidget(window)
    window.resize(100, 300)
    window.show()
    usual = above.height()
    assert grows.height() > 200
    grows.hide()
    qtbot.waitUntil(lambda: above.height() == usual and above.y() == 0)
