"""The sides of the chat tab: what stands there, and what is folded away."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from app.chat.tab import ChatTab
from app.kit.theme import ThemeProvider
from app.session.session import Session
from tests.app.chat.chat_actor import Actor


def test_the_right_side_folds_away_and_stays_so(
    qtbot: QtBot, tab: ChatTab, session: Session, theme: ThemeProvider
) -> None:
    side = tab.side
    assert side.isVisible()
    qtbot.mouseClick(side.fold, Qt.MouseButton.LeftButton)
    assert not side.isVisible()
    assert side.rail.isVisible()
    assert "Show" in side.fold.toolTip()
    again = ChatTab(session, theme)
    qtbot.addWidget(again)
    again.resize(tab.size())
    again.show()
    assert not again.side.isVisible()


def test_another_view_unfolds_and_the_same_one_folds(qtbot: QtBot, tab: ChatTab) -> None:
    rail = tab.side.rail

    def press(name: str) -> None:
        place = rail.tabRect(tab.side.names.index(name)).center()
        qtbot.mouseClick(rail, Qt.MouseButton.LeftButton, pos=place)

    press("settings")
    assert not tab.side.isVisible()
    press("inputs")
    assert tab.side.isVisible()
    assert tab.side.current == "inputs"
    qtbot.keyClick(rail, Qt.Key.Key_Space)
    assert not tab.side.isVisible()
    qtbot.keyClick(rail, Qt.Key.Key_Up)
    assert (tab.side.isVisible(), tab.side.current) == (True, "ablation")


def test_a_narrow_window_starts_folded(qtbot: QtBot, session: Session, theme: ThemeProvider) -> None:
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(960, 480)
    tab.show()
    assert not tab.side.isVisible()


def test_side_by_side_has_settings_but_no_glass_box(tab: ChatTab, actor: Actor) -> None:
    tab.side.show_view("inputs")
    tab.modes.show_view("compare")
    assert tab.side.current == "settings"
    assert not tab.side.rail.isTabEnabled(1)
    tab.modes.show_view("chat")
    assert tab.side.rail.isTabEnabled(1)


def test_folding_once_does_not_end_the_automatic_folding(qtbot: QtBot, tab: ChatTab) -> None:
    side = tab.side
    for _ in range(2):
        qtbot.mouseClick(side.fold, Qt.MouseButton.LeftButton)
    tab.resize(960, 480)
    assert not side.isVisible()
    qtbot.mouseClick(side.fold, Qt.MouseButton.LeftButton)
    assert side.isVisible()
    tab.resize(1280, 650)
    assert side.isVisible()
    tab.resize(960, 480)
    assert not side.isVisible()


def test_the_list_of_chats_comes_back_after_large_text(qtbot: QtBot, tab: ChatTab, theme: ThemeProvider) -> None:
    assert tab.chats.isVisible()
    theme.set_text_scale(1.5)
    tab.side.set_folded(False)
    tab.resize(1000, 480)
    tab.resize(1280, 650)
    theme.set_text_scale(1.0)
    qtbot.waitUntil(lambda: tab.chats.isVisible() and tab.side.isVisible(), timeout=5000)
