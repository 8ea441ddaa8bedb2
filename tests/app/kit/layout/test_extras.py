"""What a link hides and shows while the detail is simple."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.layout.advanced_settings import AdvancedSettings, MoreLink, reveal
from terrarium.app.kit.layout.section import Section
from terrarium.app.kit.theme import ThemeProvider


class Level(QObject):
    """How much is shown."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.is_simple = False

    def choose(self, *, is_simple: bool) -> None:
        self.is_simple = is_simple
        self.changed.emit()


def test_a_link_hides_counts_and_shows(qtbot: QtBot) -> None:
    page, level, field = QWidget(), Level(), QLineEdit()
    qtbot.addWidget(page)
    link = MoreLink("setting", level)
    lines = QVBoxLayout(page)
    lines.addWidget(field)
    lines.addWidget(link)
    extras = AdvancedSettings(link, [field], 1, lambda: int(bool(field.text())))
    page.show()
    assert field.isVisible()
    assert not link.isVisible()
    level.choose(is_simple=True)
    assert not field.isVisible()
    assert link.text() == "1 more setting"
    field.setText("x")
    extras.refresh()
    assert link.text() == "1 more setting (1 changed)"
    link.click()
    assert field.isVisible()
    assert link.text() == "Fewer settings"
    level.choose(is_simple=False)
    assert field.isVisible()
    assert not link.isVisible()


def test_without_a_detail_nothing_is_hidden(qtbot: QtBot) -> None:
    link = MoreLink("view")
    qtbot.addWidget(link)
    link.set_hidden(3)
    assert not link.is_folded
    assert link.isHidden()


def test_what_is_deep_inside_is_revealed(qtbot: QtBot, theme: ThemeProvider) -> None:
    page, level, field = QWidget(), Level(), QLineEdit()
    qtbot.addWidget(page)
    level.is_simple = True
    section = Section("Rare", theme, folded=True)
    section.set_body(field)
    link = MoreLink("group", level)
    lines = QVBoxLayout(page)
    lines.addWidget(section)
    lines.addWidget(link)
    AdvancedSettings(link, [section], 1, lambda: 0)
    page.show()
    assert not section.isVisible()
    reveal(field)
    assert field.isVisible()
    qtbot.waitUntil(field.hasFocus)
