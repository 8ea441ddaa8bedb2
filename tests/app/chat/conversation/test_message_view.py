"""The buttons and figures of older messages are seen only where one is, with the pointer or the keyboard."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QPointF, Qt
from PySide6.QtGui import QEnterEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.conversation.message_view import MessageView
from tests.app.chat.chat_actor import Actor


def is_seen(view: MessageView) -> bool:
    """Whether its details are painted, and take clicks."""
    effect = view.buttons.graphicsEffect()
    takes_clicks = not view.buttons.testAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
    assert takes_clicks != effect.isEnabled()
    return takes_clicks


def exchanged(tab: ChatTab, actor: Actor) -> list[MessageView]:
    for question in ("Who?", "Where?"):
        tab.page.composer.sent.emit(question)
        actor.reply(" Ben", ".")
    return tab.page.view.messages


def point_at(view: MessageView, here: bool) -> None:
    at = QPointF(2, 2)
    event = QEnterEvent(at, at, at) if here else QEvent(QEvent.Type.Leave)
    QApplication.sendEvent(view, event)


def test_only_the_newest_message_keeps_its_details(tab: ChatTab, actor: Actor) -> None:
    views = exchanged(tab, actor)
    assert [is_seen(view) for view in views] == [False, False, False, True]
    heights = [view.height() for view in views]
    point_at(views[1], True)
    assert is_seen(views[1])
    point_at(views[1], False)
    assert not is_seen(views[1])
    assert [view.height() for view in views] == heights, "nothing moves"


def test_the_keyboard_reaches_them(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    views = exchanged(tab, actor)
    tab.activateWindow()
    qtbot.waitUntil(tab.isActiveWindow)
    views[1].buttons.copy.setFocus(Qt.FocusReason.TabFocusReason)
    assert is_seen(views[1])
    assert not is_seen(views[0])
    tab.page.composer.field.setFocus()
    assert not is_seen(views[1])


def test_an_exchange_is_low(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    views = exchanged(tab, actor)
    spacing = views[2].y() - views[1].geometry().bottom()
    qtbot.waitUntil(lambda: views[2].height() + views[3].height() + 2 * spacing < 150)
    assert "  ·  " in views[1].note.text()
    assert "seed" not in views[1].note.text()
    assert "Random seed" in views[1].note.toolTip()
