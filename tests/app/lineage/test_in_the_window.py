"""The lineage in the real window: from a stage to judging its replies, and back to who wins."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.lineage.lineage_view import LineageView
from terrarium.app.preferences.judge_page import JudgePage
from terrarium.app.session.candidates import Candidate
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.library.library import Library
from tests.app.heard import Until


@pytest.fixture
def window(family: Library, session: Session, theme: ThemeProvider, qtbot: QtBot) -> Iterator[MainWindow]:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.resize(1280, 720)
    window.show()
    qtbot.waitExposed(window)
    window.show_tab("training")
    yield window
    window.close()


def test_from_a_stage_to_its_replies_on_the_compare_page(window: MainWindow, until: Until, qtbot: QtBot) -> None:
    training = window.training
    training.show_run("sft")
    training.run_view.views.show_view("lineage")
    view: LineageView = training.run_view.views.view("lineage")
    until(lambda: "dpo" in view.stages.cards)
    qtbot.mouseClick(view.stages.cards["dpo"], Qt.MouseButton.LeftButton)
    until(lambda: training.run_view.run_id == "dpo" and view.tree is not None)
    menu = view.stages.cards["dpo"].next_button.menu()
    next(action for action in menu.actions() if action.text() == "Compare it blind with sft…").trigger()
    assert window.pages.current == "chat"
    chat = window.pages.page("chat")
    assert isinstance(chat, ChatTab)
    assert chat.modes.current == "prefer"
    page = chat.modes.pages.page("prefer")
    assert isinstance(page, JudgePage)
    assert (page.first.candidate, page.second.candidate) == (Candidate("dpo"), Candidate("sft"))
    assert page.start_button.isVisibleTo(page)
    menu = view.stages.cards["sft"].next_button.menu()
    next(action for action in menu.actions() if action.text() == "Collect preferences…").trigger()
    assert (page.first.candidate, page.second.candidate) == (Candidate("sft"), None), "one model twice"
    for part in ("tree", "ask", "rates", "origin"):
        window.show_tab("training")
        view.show_part(part)
        until(lambda: not view.rates.busy)
        assert view.minimumSizeHint().width() <= view.width()
