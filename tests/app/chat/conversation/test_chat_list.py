"""The list of chats: found, renamed, copied, exchanged, opened."""

from __future__ import annotations

from pytestqt.qtbot import QtBot

from app.chat.archive.message_tree import Chat, Message
from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench, texts


def test_chats_are_found_renamed_copied_and_exchanged(qtbot: QtBot, asked: Bench, actor: Actor, tmp_path) -> None:  # type: ignore[no-untyped-def]
    chats, talk = asked.chats, asked.talk
    first = talk.chat.id
    qtbot.waitUntil(lambda: chats.list.count() == 1)
    talk.rename(first, "  About   Ben ")
    qtbot.waitUntil(lambda: chats.list.item(0).text() == "About Ben")
    assert talk.chat.name == "About Ben"
    chats.list.duplicate_asked.emit(first)
    qtbot.waitUntil(lambda: chats.list.count() == 2)
    assert {chats.list.item(i).text() for i in range(2)} == {"About Ben", "About Ben (copy)"}
    chats.search.setText("ben copy")
    qtbot.waitUntil(lambda: chats.list.count() == 1)
    chats.search.setText("nowhere")
    qtbot.waitUntil(lambda: chats.no_match.isVisible())
    chats.search.clear()
    for ending in ("json", "md"):
        assert talk.shelf.export(first, tmp_path / f"chat.{ending}")
    assert "### User\n\nWho is it?" in (tmp_path / "chat.md").read_text()
    talk.shelf.import_file(tmp_path / "chat.json")
    qtbot.waitUntil(lambda: talk.chat.id != first)
    assert texts(asked) == ["Who is it?", "It is Ben."]
    with qtbot.waitSignal(actor.session.notices.failed) as failed:
        talk.shelf.import_file(tmp_path / "chat.md")
    assert "chat.md is not valid JSON" in failed.args[0]


def test_what_can_be_done_to_a_chat_is_in_a_menu(qtbot: QtBot, asked: Bench) -> None:
    chats = asked.chats
    qtbot.waitUntil(lambda: chats.list.count() == 1)
    assert chats.more.isEnabled()
    menu = chats.more.menu()
    assert menu is not None
    duplicate = next(action for action in menu.actions() if action.text() == "Duplicate")
    duplicate.trigger()
    qtbot.waitUntil(lambda: chats.list.count() == 2)
    chats.new_chat()
    assert not chats.more.isEnabled(), "an empty chat is not kept yet"


def test_a_chat_that_cannot_be_read_is_told_of_and_the_one_before_stays(
    qtbot: QtBot, asked: Bench, actor: Actor
) -> None:
    asked.talk.shelf.store.path("bad").write_text("no chat")
    asked.chats.refresh()
    qtbot.waitUntil(lambda: asked.chats.list.count() == 2)
    lines = [asked.chats.list.item(i) for i in range(2)]
    assert any("bad.json is damaged" in line.toolTip() for line in lines)
    with qtbot.waitSignal(actor.session.notices.failed) as failed:
        asked.chats.list.chosen.emit("bad")
    assert "bad.json is damaged" in failed.args[0]
    assert texts(asked) == ["Who is it?", "It is Ben."]
    qtbot.waitUntil(lambda: asked.chats.list.current_key == asked.talk.chat.id)


def test_leaving_for_another_chat_stops_the_reply_and_keeps_it(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    other = Chat().with_message(Message(content="Another"))
    asked.talk.shelf.save(other)
    asked.composer.sent.emit("More?")
    actor.begin(" half")
    kept = asked.talk.chat.id
    asked.talk.open_saved(other.id)
    qtbot.waitUntil(lambda: texts(asked) == ["Another"])
    assert actor.stopped == 1
    asked.talk.shelf.flush()
    assert asked.talk.shelf.store.load(kept).path[-1].content == "half"
