"""Replies with their formatting: Markdown, plain at one click, and as tokens while the glass box is open."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.conversation.bubble import looks_like_code
from terrarium.app.chat.conversation.glass_replies import GlassReplies
from terrarium.app.glass.focus import Focus
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from tests.app.chat.chat_actor import TALKER, Actor
from tests.app.chat.conversation.bench import Bench, last

REPLY = " It is **Ben**:\n\n- he ran\n- he slept"


def test_a_reply_is_formatted_as_it_grows_and_a_message_of_the_user_is_not(bench: Bench, actor: Actor) -> None:
    bench.composer.sent.emit("Who is **it**?")
    actor.begin(*REPLY.partition("he ran")[0].split("|"))
    assert last(bench).bubble.words.toPlainText() == "It is Ben:"
    actor.say("he ran\n- he slept")
    actor.end()
    assert last(bench).bubble.words.toPlainText() == "It is Ben:\n•\the ran\n•\the slept"
    assert last(bench).bubble.text == REPLY.strip()
    assert bench.view.messages[0].bubble.words.toPlainText() == "Who is **it**?"
    assert bench.view.messages[0].buttons.format.isHidden()


def test_another_theme_while_a_reply_grows_changes_no_word_of_it(bench: Bench, actor: Actor) -> None:
    bench.composer.sent.emit("Who is it?")
    actor.begin(" It\n", "  is")
    bench.theme.theme_changed.emit()
    actor.say(" **Ben**", " today")
    bench.theme.theme_changed.emit()
    actor.say(", and **Anna")
    actor.say("**.")
    actor.end()
    assert last(bench).bubble.words.toPlainText() == "It\nis Ben today, and Anna."


def test_a_continued_text_stays_plain(bench: Bench, actor: Actor) -> None:
    actor.play(dataclasses.replace(TALKER, mode="text"))
    bench.composer.sent.emit("# a comment\n")
    actor.reply("x = **kwargs** y")
    assert last(bench).bubble.words.toPlainText() == "# a comment\nx = **kwargs** y"
    assert last(bench).buttons.format.isHidden()


def test_code_that_is_continued_has_letters_of_one_width(bench: Bench, actor: Actor) -> None:
    actor.play(dataclasses.replace(TALKER, mode="text"))
    bench.composer.sent.emit("def fit(self):")
    actor.begin("\n    return", " 1")
    words = last(bench).bubble.words

    def families() -> set[str]:
        cursor, found = words.textCursor(), set()
        for position in range(1, words.document().characterCount()):
            cursor.setPosition(position)
            found.add(cursor.charFormat().font().family())
        return found

    mono = {bench.theme.mono_font().family()}
    assert families() == mono, "while it is written"
    actor.end()
    assert families() == mono
    assert words.toPlainText() == "def fit(self):\n    return 1"


@pytest.mark.parametrize(
    ("text", "is_code"),
    [
        ("class KMeans(", True),
        ('def f(x):\n    """Say what\n    it is\n    about.', True),
        ("total = 0\nfor x in xs:\n    total += x", True),
        ("Once upon a time\nthere was a dog;\nit ran (fast).", False),
        ("ROMEO:\nIf you go:\nreturn to me;\n\nJULIET:\nNo.", False),
        ("import taxes are high", False),
        ("", False),
    ],
)
def test_code_is_known_by_its_lines(text: str, is_code: bool) -> None:
    assert looks_like_code(text) == is_code


def test_replies_are_plain_at_one_click_which_is_remembered(
    qtbot: QtBot, session: Session, theme: ThemeProvider, bench: Bench, actor: Actor
) -> None:
    bench.composer.sent.emit("Who?")
    actor.reply(REPLY)
    for plain in (True, False):
        tab = ChatTab(session, theme)
        qtbot.addWidget(tab)
        tab.conversation.open(bench.conversation.chat)
        [_, reply] = tab.page.view.messages
        formatted = "It is Ben:\n•\the ran\n•\the slept"
        assert reply.bubble.words.toPlainText() == (formatted if plain else REPLY.strip())
        qtbot.mouseClick(reply.buttons.format, Qt.MouseButton.LeftButton)
        assert reply.bubble.words.toPlainText() == (REPLY.strip() if plain else formatted)


def test_a_plain_reply_offers_no_formats(bench: Bench, actor: Actor) -> None:
    bench.composer.sent.emit("Who?")
    actor.reply(" The dog is in the park.")
    assert last(bench).buttons.format.isHidden()


def test_tokens_copy_and_editing_see_the_plain_text(qtbot: QtBot, bench: Bench, actor: Actor) -> None:
    focus = Focus(bench)
    replies = GlassReplies(actor.session, bench.conversation, bench.view, focus, bench.theme)
    bench.composer.sent.emit("Who?")
    actor.reply(" It is", " **Ben**")
    replies.set_on(True)
    assert last(bench).bubble.words.isHidden()
    replies.set_on(False)
    assert last(bench).bubble.words.toPlainText() == "It is Ben"
    last(bench).buttons.copy.click()
    assert QGuiApplication.clipboard().text() == "It is **Ben**"
    last(bench).edit()
    editor = last(bench).editor
    assert editor is not None
    assert editor.field.toPlainText() == "It is **Ben**"
