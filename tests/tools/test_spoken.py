"""What a screen reader is told of a window, in lines."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)
from pytestqt.qtbot import QtBot

from tools.screenshots.spoken import written


def shown(qtbot: QtBot, *widgets: QWidget) -> QWidget:
    window = QWidget(windowTitle="All")
    layout = QVBoxLayout(window)
    for widget in widgets:
        layout.addWidget(widget)
    qtbot.addWidget(window)
    window.show()
    return window


def test_each_widget_is_a_line_with_its_name_states_and_place_in_the_tab_order(qtbot: QtBot) -> None:
    label, size, hidden = QLabel("Size"), QComboBox(), QLabel("hidden")
    size.addItems(["small", "large"])
    label.setBuddy(size)
    gone = QPushButton("Remove", enabled=False, toolTip="There is nothing to remove.")
    tick = QCheckBox("Twice", checked=True)
    note = QPlainTextEdit("a\nb", accessibleName="Note")
    window = shown(qtbot, label, size, gone, tick, note, hidden)
    hidden.hide()
    assert written(window).splitlines() == [
        'Client "All"',
        '  StaticText "Size" (readOnly)',
        '  ComboBox "Size" value "small" tab 1',
        '  Button "Remove" description "There is nothing to remove." (disabled)',
        '  CheckBox "Twice" (checked) tab 2',
        '  EditableText "Note" value "a\\nb" tab 3',
    ]


def test_what_only_holds_others_together_is_left_out(qtbot: QtBot) -> None:
    inner, area = QWidget(), QScrollArea(focusPolicy=Qt.FocusPolicy.NoFocus)
    QVBoxLayout(inner).addWidget(QPushButton("Go"))
    area.setWidget(inner)
    assert written(shown(qtbot, area)) == written(shown(qtbot, QPushButton("Go")))
