"""What is undone in conversations: edits, choices of a version, names and deletions."""

from __future__ import annotations

from PySide6.QtGui import QUndoStack

from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench, last, texts


def steps(actor: Actor) -> QUndoStack:
    return actor.session.undo.stack("chat")


def test_an_edited_reply_is_taken_away_and_put_back(asked: Bench, actor: Actor) -> None:
    last(asked).edited.emit("It is Anna.")
    assert texts(asked) == ["Who is it?", "It is Anna."]
    assert steps(actor).undoText() == "edit of a reply"
    steps(actor).undo()
    assert (texts(asked), len(asked.conversation.chat.messages)) == (["Who is it?", "It is Ben."], 2)
    steps(actor).redo()
    assert texts(asked) == ["Who is it?", "It is Anna."]


def test_an_edited_message_shows_the_one_before_and_nothing_is_lost(asked: Bench, actor: Actor) -> None:
    asked.view.messages[0].edited.emit("Where is it?")
    actor.reply(" Here.")
    steps(actor).undo()
    assert texts(asked) == ["Who is it?", "It is Ben."]
    steps(actor).redo()
    assert texts(asked) == ["Where is it?", "Here."]


def test_undoing_while_a_reply_is_written_stops_it(asked: Bench, actor: Actor) -> None:
    asked.view.messages[0].edited.emit("Where is it?")
    actor.begin(" He")
    steps(actor).undo()
    assert actor.stopped == 1
    assert texts(asked) == ["Who is it?", "It is Ben."]


def test_choices_of_a_version_are_one_step_and_name_the_chat_where_they_were_made(asked: Bench, actor: Actor) -> None:
    for name in ("Anna", "Carl"):
        asked.conversation.retry(last(asked).message.id)
        actor.reply(f" It is {name}.")
    first, second, _ = asked.conversation.chat.siblings(last(asked).message.id)
    asked.conversation.show(second.id)
    asked.conversation.show(first.id)
    assert steps(actor).undoText() == "choice of another version"
    one = asked.conversation.chat.id
    asked.chats.new_chat()
    steps(actor).undo()
    assert asked.conversation.chat.id == one, "the chat is opened again"
    assert texts(asked) == ["Who is it?", "It is Carl."]
    assert not steps(actor).canUndo()
    steps(actor).redo()
    assert texts(asked) == ["Who is it?", "It is Ben."]


def test_names_and_deletions_of_chats_are_undone(asked: Bench, actor: Actor) -> None:
    conversation = asked.conversation
    id = conversation.chat.id
    conversation.rename(id, "Ben")
    conversation.delete(id)
    assert conversation.chat_library.store.path(id).exists() is False
    assert texts(asked) == []
    steps(actor).undo()
    steps(actor).undo()
    chat = conversation.chat_library.load(id)
    assert chat is not None
    assert chat.title == "Who is it?"
    steps(actor).redo()
    steps(actor).redo()
    assert not conversation.chat_library.store.path(id).exists()
