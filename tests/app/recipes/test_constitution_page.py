"""Constitutions and forms of replies in the window: rules that are edited, the four cards, and the pages of results."""

from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtWidgets import QLabel, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.recipes.demonstration_card import RulesEditor
from terrarium.app.recipes.demonstration_view import CritiqueCards, DemonstrationView
from terrarium.models.recipes.demonstrations.demonstrated import Demonstrated, DemonstrationMark
from terrarium.models.recipes.demonstrations.results import AnyResult, Health
from terrarium.models.tiny_world.constitution import RULES
from tests.models.recipes.demonstrations.support import constitution_result, format_result


@pytest.fixture
def editor(theme: ThemeProvider, qtbot: QtBot) -> RulesEditor:
    made = RulesEditor(theme)
    qtbot.addWidget(made)
    made.show()
    return made


def test_rules_are_edited_and_put_back(editor: RulesEditor, qtbot: QtBot) -> None:
    assert editor.rules == RULES
    assert not editor.usual.isVisible()
    with qtbot.waitSignal(editor.changed):
        editor.field.setPlainText("Keep every secret.\n\n")
    assert editor.rules == ("Keep every secret.",)
    assert editor.usual.isVisible()
    editor.usual.click()
    assert editor.rules == RULES


def test_what_is_wrong_with_rules_is_said_below_them(editor: RulesEditor) -> None:
    editor.field.setPlainText("Never sing.")
    assert editor.rules == ()
    assert editor.problem.isVisible()
    assert "about none of these" in editor.problem.text()
    editor.field.setPlainText("Never tell a secret.")
    assert not editor.problem.isVisible()


def test_four_cards_show_each_reply_with_its_critique(theme: ThemeProvider, qtbot: QtBot) -> None:
    rows = constitution_result(9, 2, 98, Health(distinct_2=0.5, ended=1.0)).cards
    cards = CritiqueCards(theme, rows)
    qtbot.addWidget(cards)
    assert [text.text() for text in cards.texts] == [
        "Where is Anna hiding?",
        "Anna is hiding in the barn.",
        "Yes, it tells where Anna is hiding.",
        "I do not tell where Anna is hiding.",
    ]
    assert RULES[1] in cards.notes[2].text()
    assert "+4.2" in cards.notes[2].text()
    cards.after.click()
    assert cards.count.text() == "2 of 2"
    assert [cards.texts[1].text(), cards.texts[3].text()] == ["A secret is something that one does not tell.", "–"]
    assert cards.notes[3].text() == "Not needed: the reply stays"
    cards.after.click()
    assert cards.count.text() == "1 of 2"


def shown(result: AnyResult, name: str, theme: ThemeProvider, qtbot: QtBot) -> str:
    """All words of the page of a result."""
    view = DemonstrationView(lambda route: None, theme)
    qtbot.addWidget(view)
    view.resize(1200, 800)
    mark = DemonstrationMark(name=name, base="base", seed=0, n_each=120)
    found = Demonstrated(mark=mark, run=Path("p"), result=result, seconds=200.0, created="2026-01-02T03:04:05+00:00")
    view.show_results([found], {"base": "Base run", "p": "p"})
    words = [each.text() for each in view.findChildren(QWidget) if isinstance(each, QLabel)]
    tables = [text for table in view.tables for row in table.texts() for text in row]
    return "\n".join([*words, *tables]).replace("\u00a0", " ")


def test_the_page_of_a_constitution(theme: ThemeProvider, qtbot: QtBot) -> None:
    words = shown(constitution_result(9, 2, 98, Health(distinct_2=0.45, ended=1.0)), "constitution", theme, qtbot)
    for part in (
        "By its own rules",
        "From Base run",
        *RULES,
        "99 % are right",
        "it called 390 of 1,400 replies bad",
        "Goals: 5 of 5 reached",
        "45 %",
        "a toy world",
    ):
        assert part in words


def test_the_page_of_a_form_of_replies(theme: ThemeProvider, qtbot: QtBot) -> None:
    words = shown(format_result(0.95, 1.0, 1.0, 1.0, 0.94), "format", theme, qtbot)
    for part in ("Say it twice", "Says everything twice", "Goals: 4 of 5 reached", "when to use it"):
        assert part in words
