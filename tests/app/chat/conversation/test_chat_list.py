"""The list of chats: found, renamed, copied, exchanged, opened."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from terrarium.app.chat.archive.message_tree import Chat, Message
from terrarium.models.chat.prompting import PromptSettings
from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench, texts


def test_chats_are_found_renamed_copied_and_exchanged(qtbot: QtBot, asked: Bench, actor: Actor, tmp_path) -> None:  # type: ignore[no-untyped-def]
    chats, conversation = asked.chats, asked.conversation
    first = conversation.chat.id
    qtbot.waitUntil(lambda: chats.list.count() == 1)
    conversation.rename(first, "  About   Ben ")
    qtbot.waitUntil(lambda: chats.list.item(0).text() == "About Ben")
    assert conversation.chat.name == "About Ben"
    chats.list.duplicate_requested.emit(first)
    qtbot.waitUntil(lambda: chats.list.count() == 2)
    assert {chats.list.item(i).text() for i in range(2)} == {"About Ben", "About Ben (copy)"}
    chats.search.setText("ben copy")
    qtbot.waitUntil(lambda: chats.list.count() == 1)
    chats.search.setText("nowhere")
    qtbot.waitUntil(lambda: chats.no_match.isVisible())
    chats.search.clear()
    for ending in ("json", "md"):
        assert conversation.chat_library.export(first, tmp_path / f"chat.{ending}")
    assert "### User\n\nWho is it?" in (tmp_path / "chat.md").read_text()
    conversation.chat_library.import_file(tmp_path / "chat.json")
    qtbot.waitUntil(lambda: conversation.chat.id != first)
    assert texts(asked) == ["Who is it?", "It is Ben."]
    with qtbot.waitSignal(actor.session.notices.failed) as failed:
        conversation.chat_library.import_file(tmp_path / "chat.md")
    assert "chat.md is not valid JSON" in failed.args[0]


def test_the_actions_of_a_chat_are_in_a_menu(qtbot: QtBot, asked: Bench) -> None:
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


def test_a_new_chat_has_no_system_prompt_of_the_one_before(asked: Bench) -> None:
    """Users of chat programs expect a new chat to know nothing of another one."""
    conversation = asked.conversation
    conversation.set_prompting(PromptSettings(system="You are a pirate.", template="{{ 1 }}", when_full="stop"))
    asked.chats.new_chat()
    assert conversation.chat.prompting == PromptSettings(when_full="stop"), "how it ends is no part of a chat"
    conversation.set_prompting(PromptSettings(system="Be brief."))
    asked.chats.new_chat()
    assert conversation.chat.prompting.system == "Be brief.", "it was written for this empty chat"


def test_an_unreadable_chat_is_reported_and_the_open_one_stays(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    bad = asked.conversation.chat_library.store.path("bad")
    bad.parent.mkdir(parents=True, exist_ok=True)  # the open one may not be saved yet
    bad.write_text("no chat")
    asked.chats.refresh()
    qtbot.waitUntil(lambda: asked.chats.list.count() == 2)
    lines = [asked.chats.list.item(i) for i in range(2)]
    assert any("bad.json is damaged" in line.toolTip().replace("\n", " ") for line in lines)
    with qtbot.waitSignal(actor.session.notices.failed) as failed:
        asked.chats.list.chosen.emit("bad")
    assert "bad.json is damaged" in failed.args[0]
    assert texts(asked) == ["Who is it?", "It is Ben."]
    qtbot.waitUntil(lambda: asked.chats.list.current_key == asked.conversation.chat.id)


def test_leaving_for_another_chat_stops_the_reply_and_keeps_it(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    other = Chat().with_message(Message(content="Another"))
    asked.conversation.chat_library.save(other)
    asked.composer.sent.emit("More?")
    actor.begin(" half")
    kept = asked.conversation.chat.id
    asked.conversation.open_saved(other.id)
    qtbot.waitUntil(lambda: texts(asked) == ["Another"])
    assert actor.stopped == 1
    asked.conversation.chat_library.flush()
    assert asked.conversation.chat_library.store.load(kept).path[-1].content == "half"


def test_what_an_imported_chat_needs_is_computed_off_the_windows_thread(
    qtbot: QtBot, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parsing and sorting a chat of 20 MB takes a second."""
    prepare, threads = Chat.prepared, []
    monkeypatch.setattr(Chat, "prepared", lambda chat: threads.append(threading.current_thread()) or prepare(chat))
    (tmp_path / "chat.json").write_text(json.dumps([{"role": "user", "content": "Hello."}]), encoding="utf-8")
    conversation = bench.conversation
    with qtbot.waitSignal(conversation.chat_changed):
        conversation.chat_library.import_file(tmp_path / "chat.json")
    with qtbot.waitSignal(conversation.chat_changed):
        conversation.open_saved(conversation.chat.id)
    assert len(threads) == 2
    assert threading.main_thread() not in threads
    assert vars(conversation.chat).keys() >= {"path", "rows"}, "they are kept"
