"""The sides of the chat tab: what stands there, and what is folded away."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QHelpEvent
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.help.panels import PANELS
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.routes import Route, ShowTokenizer
from terrarium.app.session.session import Session
from terrarium.models.events import TokenMade
from tests.app.chat.chat_actor import TALKER, Actor
from tests.app.leading import FewTabs


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> ChatTab:
    """The tab as it is for somebody who has left the right side open."""
    session.remembered.set("chat side folded", False)
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


@pytest.fixture
def fresh(qtbot: QtBot, session: Session, theme: ThemeProvider) -> ChatTab:
    """The tab at the first launch."""
    tab = ChatTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


@pytest.fixture
def actor_of(session: Session, fresh: ChatTab, monkeypatch: pytest.MonkeyPatch) -> Actor:
    """The model of the fresh tab."""
    return Actor(session, monkeypatch)


def test_the_glass_box_opens_by_itself_on_the_most_surprising_token(
    fresh: ChatTab, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not fresh.side.isVisible()
    assert fresh.chats.isVisible()
    actor = Actor(session, monkeypatch)
    fresh.page.composer.sent.emit("Where is Anna?")
    actor.begin(" Anna", " is", " here")
    surprising = TokenMade(id=20, text=" now", probability=0.01, entropy=1.0, rank=9, draw=0.5)
    session.chat.events_received.emit((surprising,))
    assert not fresh.side.isVisible(), "not before the reply has ended"
    actor.end()
    assert (fresh.side.isVisible(), fresh.side.current) == (True, "pass")
    text = fresh.focus.text
    assert text is not None
    assert fresh.focus.position == text.n_prompt + 3
    assert fresh.focus.is_at_start
    assert fresh.page.view.width() >= 640
    fresh.focus.lock(text.n_prompt)
    fresh.page.composer.sent.emit("And Ben?")
    actor.reply(" Ben", " is")
    assert fresh.focus.text is not text, "the newest reply is inspected"
    assert fresh.focus.is_at_start


def test_it_opens_too_where_a_conversation_is_opened_again(
    qtbot: QtBot, fresh: ChatTab, session: Session, theme: ThemeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = Actor(session, monkeypatch)
    fresh.page.composer.sent.emit("Where is Anna?")
    actor.reply(" Anna", " is", " here")
    first = fresh.conversation.chat.id
    fresh.conversation.chat_library.flush()
    later = ChatTab(session, theme)
    qtbot.addWidget(later)
    later.resize(1280, 650)
    later.show()
    assert not later.side.isVisible()
    later.chats.list.chosen.emit(first)
    qtbot.waitUntil(lambda: later.side.isVisible() and later.focus.is_at_start)


def test_replies_of_another_model_are_said_to_be_such(fresh: ChatTab, actor_of: Actor) -> None:
    fresh.page.composer.sent.emit("Where is Anna?")
    actor_of.reply(" Anna", " is", " here")
    actor_of.play(dataclasses.replace(TALKER, run_id="r2"))
    assert fresh.focus.text is None
    assert "did not write these replies" in fresh.focus.absence


def test_who_folds_the_glass_box_is_left_alone(
    qtbot: QtBot, fresh: ChatTab, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    qtbot.mouseClick(fresh.side.fold, Qt.MouseButton.LeftButton)
    assert fresh.side.isVisible()
    qtbot.mouseClick(fresh.side.fold, Qt.MouseButton.LeftButton)
    actor = Actor(session, monkeypatch)
    fresh.page.composer.sent.emit("Where is Anna?")
    actor.reply(" Anna", " is", " here")
    assert not fresh.side.isVisible()


def test_the_view_is_remembered_but_not_that_of_side_by_side(
    qtbot: QtBot, tab: ChatTab, session: Session, theme: ThemeProvider
) -> None:
    tab.side.show_view("layers")
    tab.modes.show_view("compare")
    assert tab.side.current == "settings"
    again = ChatTab(session, theme)
    qtbot.addWidget(again)
    assert again.side.current == "layers"
    tab.modes.show_view("chat")
    assert tab.side.current == "layers"


@pytest.mark.parametrize("view", ["settings", *PANELS])
def test_the_conversation_has_640_pixels_beside_every_panel(
    qtbot: QtBot, tab: ChatTab, session: Session, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    actor = Actor(session, monkeypatch)
    tab.page.composer.sent.emit("Where is Anna?")
    actor.reply(" Anna", " is", " here")
    tab.side.show_view(view)
    tab.resize(1278, 590)  # a window of 1280 × 720
    qtbot.waitUntil(lambda: tab.page.view.width() >= 640)
    assert tab.side.isVisible()
    shown = tab.chats.isVisible()
    tab.side.show_view("next")
    assert tab.chats.isVisible() == shown, "the list does not come and go with the panel"


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
    assert (tab.side.isVisible(), tab.side.current) == (True, "settings")
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


@pytest.mark.parametrize("view", ["settings", "attention"])
def test_both_sides_fit_beside_the_guide_where_only_the_rail_gives_way(
    qtbot: QtBot, tab: ChatTab, actor: Actor, monkeypatch: pytest.MonkeyPatch, view: str
) -> None:
    rail, tips = tab.side.rail, list[str]()
    monkeypatch.setattr(QToolTip, "showText", lambda place, words, widget: tips.append(words))
    assert rail.shows_names
    tab.side.show_view(view)
    tab.resize(962, 590)  # the guide open in a window of 1280 × 720
    tab.side.set_folded(False)
    tab.side.show_view(view)
    qtbot.waitUntil(lambda: tab.side.isVisible() and not rail.shows_names)
    assert tab.minimumSizeHint().width() <= 962
    assert tab.width() == 962
    place = rail.tabRect(tab.side.names.index("attention")).center()
    QApplication.sendEvent(rail, QHelpEvent(QEvent.Type.ToolTip, place, rail.mapToGlobal(place)))
    assert "Attention: What each head" in tips[0]
    tab.resize(1280, 650)
    qtbot.waitUntil(lambda: rail.shows_names)


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
    tab.resize(1440, 650)
    assert tab.chats.isVisible()
    theme.set_text_scale(1.5)
    tab.side.set_folded(False)
    tab.resize(1000, 480)
    tab.resize(1440, 650)
    theme.set_text_scale(1.0)
    qtbot.waitUntil(lambda: tab.chats.isVisible() and tab.side.isVisible(), timeout=5000)


def test_each_stage_of_the_whole_pass_leads_to_its_place(
    tab: ChatTab, session: Session, went: list[Route], monkeypatch: pytest.MonkeyPatch
) -> None:
    FewTabs(session, chat=tab)
    opened = tab.side.view("pass").view.door_opened
    opened.emit("embeddings")
    assert tab.modes.current == "embeddings"
    tab.modes.show_view("chat")
    actor = Actor(session, monkeypatch)
    tab.page.composer.sent.emit("Where is Anna?")
    actor.reply(" Anna", " is", " here")
    for name in ("attention", "layers", "ablation", "next"):
        tab.side.show_view("pass")
        opened.emit(name)
        assert tab.side.current == name
    opened.emit("tokenizer")
    assert went[-1] == ShowTokenizer("")


def test_replies_have_no_colours_before_a_newcomer_asks_for_them(
    qtbot: QtBot, fresh: ChatTab, actor_of: Actor, session: Session, theme: ThemeProvider
) -> None:
    assert fresh.page.legend.quantity == "surprisal"
    session.detail.choose(SIMPLE)
    fresh.page.composer.sent.emit("Where is Anna?")
    actor_of.reply(" Anna", " is", " here")
    assert fresh.side.current == "pass"
    assert [tokens.quantity for tokens, _ in fresh.replies.tokens.values()] == [""]
    fresh.side.show_view("attention")
    assert fresh.page.legend.quantity == ""
    fresh.side.show_view("next")  # the panel about what the colours show
    assert [tokens.quantity for tokens, _ in fresh.replies.tokens.values()] == ["surprisal"]
    choice = fresh.page.legend.choice
    choice.setCurrentText("None")
    choice.activated.emit(choice.currentIndex())  # the user's own choice
    session.detail.choose(EVERYTHING)
    assert fresh.page.legend.quantity == ""
    again = ChatTab(session, theme)
    qtbot.addWidget(again)
    assert again.page.legend.quantity == ""


def test_the_chats_can_be_shown_instead_of_the_right_side(qtbot: QtBot, tab: ChatTab) -> None:
    assert not tab.chats.isVisible()
    assert tab.show_chats.isVisible()
    qtbot.mouseClick(tab.show_chats, Qt.MouseButton.LeftButton)
    assert (tab.chats.isVisible(), tab.side.isVisible(), tab.show_chats.isVisible()) == (True, False, False)
    tab.side.show_view("attention")
    assert tab.side.is_folded or tab.show_chats.isVisible()


def test_the_context_fills_while_a_reply_is_written(
    fresh: ChatTab, actor_of: Actor, session: Session, byte_tokenizer: Tokenizer
) -> None:
    session.chat.tokenizer = byte_tokenizer
    actor_of.play(dataclasses.replace(TALKER, mode="text", context_length=50))
    context = fresh.page.context
    fresh.page.composer.sent.emit("def")
    actor_of.begin("(", "self", ")")
    (reply,) = (segment for segment in context.segments if segment.name == "Reply so far")
    assert reply.n_tokens == 3
    assert context.segments[-1].n_tokens == 50 - sum(segment.n_tokens for segment in context.segments[:-1])
    assert context.words.text().endswith(f"{context.segments[-1].n_tokens} free")
    actor_of.end()
    assert not any(segment.n_tokens for segment in context.segments if segment.name == "Reply so far")
