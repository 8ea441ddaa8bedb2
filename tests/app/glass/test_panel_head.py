"""The head of a panel: its description, its details and the export button."""

from __future__ import annotations

from PySide6.QtWidgets import QLabel, QPushButton
from pytestqt.qtbot import QtBot

from terrarium.app.glass.panel_head import About, PanelHead
from terrarium.app.kit.export_button import ExportButton
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session

ABOUT = About(title="Where it looks", shows="Rows look at columns.", source="One pass.", limits="It explains nothing.")


def test_the_question_mark_shows_the_details(qtbot: QtBot, session: Session, theme: ThemeProvider) -> None:
    export = ExportButton(session.notices, theme, QLabel(), lambda: dict)
    head = PanelHead(theme, ABOUT, export)
    qtbot.addWidget(head)
    head.show()

    def words() -> list[str]:
        return [label.text() for label in head.findChildren(QLabel) if label.isVisibleTo(head)]

    assert words() == ["Where it looks", "Rows look at columns."]
    tip = head.help_button.toolTip()
    assert tip == "Where the numbers come from: One pass.\n\nWhat they do not mean: It explains nothing."
    head.help_button.click()
    assert words()[-1] == "One pass. It explains nothing."
    head.help_button.click()
    head.set_note("The model was trained further.")
    assert words()[-1] == "The model was trained further."
    assert export.name == "Where it looks"


def test_controls_stand_between_the_title_and_the_export(qtbot: QtBot, session: Session, theme: ThemeProvider) -> None:
    head = PanelHead(theme, ABOUT, ExportButton(session.notices, theme, QLabel(), lambda: dict))
    qtbot.addWidget(head)
    for name in ("first", "second"):
        head.add(QPushButton(name))
    head.resize(400, 80)
    head.show()
    buttons = sorted(head.findChildren(QPushButton), key=lambda button: button.x())
    assert [button.text() or button.accessibleName() for button in buttons] == ["first", "second", "Export"]
