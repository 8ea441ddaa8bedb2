"""The chat tab, with a model that is played by the test."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QPushButton
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.archive.message_tree import GenerationInfo
from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.chat.conversation.message_view import MessageView
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.models.events import TokenMade
from terrarium.models.tiny_world.starters import STARTER_KINDS
from tests.app.chat.chat_actor import TALKER, Actor


def last(tab: ChatTab) -> MessageView:
    return tab.page.view.messages[-1]


def generation(tab: ChatTab) -> GenerationInfo:
    found = last(tab).message.generation
    assert found is not None
    return found


def note(tab: ChatTab) -> str:
    return last(tab).note.text().replace("\N{NO-BREAK SPACE}", " ")


def texts(tab: ChatTab) -> list[str]:
    return [view.bubble.text for view in tab.page.view.messages]


def test_without_runs_it_offers_to_train_one(qtbot: QtBot, tab: ChatTab, session: Session) -> None:
    assert not tab.page.composer.send.isEnabled()
    train = tab.page.pages.train
    assert train.isVisible()
    with qtbot.waitSignal(session.routed) as requested:
        qtbot.mouseClick(train, Qt.MouseButton.LeftButton)
    assert requested.args == [ShowPlace("training")]


def test_whoever_comes_to_the_tab_can_write_at_once(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    tab.setFocus()  # as the window does where it shows a tab
    qtbot.waitUntil(lambda: QApplication.focusWidget() is tab.page.composer.field)


def test_enter_sends_and_shift_enter_starts_a_line(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    field = tab.page.composer.field
    qtbot.keyClicks(field, "Where is")
    qtbot.keyClick(field, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
    qtbot.keyClicks(field, "Anna?")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert actor.asked[0][0] == [{"role": "user", "content": "Where is\nAnna?"}]
    assert field.toPlainText() == ""
    assert tab.page.view.messages[0].bubble.text == "Where is\nAnna?"


def test_a_reply_streams_in_with_its_statistics(tab: ChatTab, actor: Actor) -> None:
    tab.page.composer.sent.emit("Where is Anna?")
    assert tab.page.composer.stop.isVisible()
    assert not tab.page.composer.send.isVisible()
    actor.begin(" Anna", " is")
    assert last(tab).bubble.text == "Anna is", "the template's space before a reply is not shown"
    actor.session.chat.events_received.emit((TokenMade(id=9, text=" here. ", probability=0.5, entropy=1.0, rank=1),))
    actor.end()
    assert last(tab).bubble.text == "Anna is here."
    assert "321 tokens/s" in note(tab)
    assert "12 tokens read and 3 written, of a context of 128" in last(tab).note.toolTip()
    assert generation(tab).step == 41
    assert tab.page.composer.send.isVisible()


def test_stop_keeps_the_partial_reply(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    tab.page.composer.sent.emit("Tell me a story.")
    actor.begin(" Once", " upon")
    qtbot.mouseClick(tab.page.composer.stop, Qt.MouseButton.LeftButton)
    assert actor.stopped == 1
    assert last(tab).bubble.text == "Once upon"
    assert "stopped by you" in note(tab)
    assert generation(tab).reason == "stopped"


def test_a_reply_that_fails_can_be_tried_again(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    tab.page.composer.sent.emit("Hello?")
    actor.be("ready")
    actor.session.chat.reply_ended.emit()
    assert note(tab) == "No reply."
    qtbot.mouseClick(last(tab).buttons.retry, Qt.MouseButton.LeftButton)
    actor.reply(" Yes.")
    assert last(tab).bubble.text == "Yes."
    assert len(tab.conversation.chat.messages) == 2


def test_retry_keeps_the_earlier_reply_beside_the_new_one(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    tab.page.composer.sent.emit("Who?")
    actor.reply(" Ben.")
    qtbot.mouseClick(last(tab).buttons.retry, Qt.MouseButton.LeftButton)
    actor.reply(" Clara.")
    assert actor.asked[1][0] == actor.asked[0][0], "the first reply is no part of the second question"
    assert actor.asked[1][1].seed != actor.asked[0][1].seed
    assert (last(tab).bubble.text, last(tab).buttons.version.text()) == ("Clara.", "2/2")
    qtbot.mouseClick(last(tab).buttons.older, Qt.MouseButton.LeftButton)
    assert last(tab).bubble.text == "Ben."
    tab.page.composer.sent.emit("And then?")
    assert actor.asked[-1][0] == [
        {"role": "user", "content": "Who?"},
        {"role": "assistant", "content": "Ben."},
        {"role": "user", "content": "And then?"},
    ]
    actor.reply(" Nothing.")


def test_a_fixed_seed_is_kept(tab: ChatTab, actor: Actor) -> None:
    tab.sampling.new_each_time.setChecked(False)
    tab.sampling.seed.setValue(123)
    tab.sampling.slider("temperature").set_value(0.0)
    tab.page.composer.sent.emit("Who?")
    assert (actor.asked[0][1].seed, actor.asked[0][1].temperature) == (123, 0.0)


def test_chats_are_saved_opened_and_deleted_with_undo(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    def listed(n: int) -> None:
        qtbot.waitUntil(lambda: tab.chats.list.count() == n)

    tab.page.composer.sent.emit("First")
    actor.reply(" one")
    first = tab.conversation.chat
    qtbot.keyClick(tab, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert tab.page.view.messages == []
    tab.page.composer.sent.emit("Second")
    actor.reply(" two")
    listed(2)
    tab.chats.list.chosen.emit(first.id)
    qtbot.waitUntil(lambda: texts(tab) == ["First", "one"])
    with qtbot.waitSignal(actor.session.notices.deleted) as deleted:
        tab.chats.list.delete_requested.emit(first.id)
    assert tab.page.view.messages == []
    listed(1)
    deleted.args[1]()
    listed(2)


def test_leaving_a_chat_stops_its_reply_and_keeps_it(tab: ChatTab, actor: Actor) -> None:
    tab.page.composer.sent.emit("First")
    actor.begin(" half")
    first = tab.conversation.chat.id
    tab.chats.new_chat()
    assert actor.stopped == 1
    assert tab.page.view.messages == []
    tab.conversation.chat_library.flush()
    assert [message.content for message in tab.conversation.chat_library.store.load(first).path] == ["First", "half"]


def test_quitting_saves_the_latest_message(tab: ChatTab, actor: Actor, qapp: QApplication) -> None:
    tab.page.composer.sent.emit("First")
    actor.reply(" one")
    qapp.aboutToQuit.emit()
    assert tab.conversation.chat_library.store.load(tab.conversation.chat.id) == tab.conversation.chat


def test_plain_text_models_continue_the_prompt(qtbot: QtBot, tab: ChatTab, actor: Actor) -> None:
    actor.play(dataclasses.replace(TALKER, mode="text", source="files"))
    assert not tab.page.starters.isVisible()
    assert not tab.models.world.isVisible()
    assert "for the model to continue" in tab.page.composer.field.placeholderText()
    tab.page.composer.sent.emit("Once upon")
    actor.reply(" a", " time ")
    assert actor.asked[0][0] == "Once upon"
    assert last(tab).bubble.text == " a time "
    assert not tab.page.view.messages[0].bubble.isVisible()
    qtbot.mouseClick(last(tab).buttons.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "Once upon a time "


def press(qtbot: QtBot, tab: ChatTab, kind: str) -> None:
    (chip,) = (b for b in tab.page.starters.findChildren(QPushButton) if b.property("kind") == kind)
    qtbot.mouseClick(chip, Qt.MouseButton.LeftButton)


@pytest.mark.parametrize("kind", STARTER_KINDS)
def test_a_starter_is_fresh_and_knows_the_right_answer(qtbot: QtBot, tab: ChatTab, actor: Actor, kind: str) -> None:
    assert tab.models.world.text().startswith("Tiny World 7, synthetic: ")
    tab.page.composer.sent.emit("Hello")
    actor.reply(" Hi.")
    press(qtbot, tab, kind)
    turn = tab.conversation.chat.message(tab.page.view.messages[-2].message.id)
    assert actor.asked[-1][0] == [{"role": "user", "content": turn.content}]
    actor.reply(f" {turn.gold}")
    assert not last(tab).gold.isVisible()
    qtbot.mouseClick(last(tab).buttons.reveal, Qt.MouseButton.LeftButton)
    assert last(tab).gold.text().startswith("✓  Right: ")
    qtbot.mouseClick(last(tab).buttons.retry, Qt.MouseButton.LeftButton)
    actor.reply(" Nobody knows.")
    qtbot.mouseClick(last(tab).buttons.reveal, Qt.MouseButton.LeftButton)
    assert last(tab).gold.text().startswith("✗  Not right. ")
    assert turn.gold in last(tab).gold.text()
    tab.conversation.chat_library.flush()
    assert tab.conversation.chat_library.store.load(tab.conversation.chat.id) == tab.conversation.chat


def test_a_note_shows_that_the_model_is_reading(tab: ChatTab, actor: Actor) -> None:
    tab.page.composer.sent.emit("Hello")
    assert note(tab) == "Reading…"


def test_looking_inside_asks_a_question_first_where_there_is_no_reply_yet(
    tab: ChatTab, actor: Actor, session: Session
) -> None:
    session.chat.state = "loading"
    tab.look_inside(TALKER.run_id)
    assert tab.side.current == "next"
    assert not actor.asked, "not before the model is ready"
    session.chat.state = "ready"
    session.chat.changed.emit()
    session.chat.changed.emit()
    assert len(actor.asked) == 1
    assert texts(tab)[0] == actor.asked[0][0][0]["content"]
    actor.reply("In the barn.")
    before = tab.conversation.chat.id
    tab.side.show_view("settings")
    tab.look_inside(TALKER.run_id)
    assert tab.side.current == "next"
    assert len(actor.asked) == 1, "the reply that is there is shown"
    actor.play(dataclasses.replace(TALKER, which="r2", run_id="r2"))
    tab.look_inside("r2")
    assert len(actor.asked) == 2, "that was another model's"
    assert tab.conversation.chat.id != before


def test_the_meter_counts_the_text_that_was_written(
    tab: ChatTab, actor: Actor, session: Session, byte_tokenizer: Tokenizer
) -> None:
    session.chat.tokenizer = byte_tokenizer
    actor.play(dataclasses.replace(TALKER, mode="text", context_length=5))
    tab.page.composer.sent.emit("def")
    actor.reply("(", "self", reason="length")  # after three tokens
    assert tab.page.context.words.text() == "5 of 5 tokens used, 0 free for the reply"
    assert tab.page.context.segments[1].n_tokens == 5
    tab.page.composer.field.setPlainText("ab")
    assert tab.page.context.words.text() == "2 of 5 tokens used, 3 free for the reply", "another text begins anew"
