"""A conversation on screen: versions, editing, going on, the tree, and the glass box in replies."""

from __future__ import annotations

import dataclasses
import json

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.chat.archive.message_tree import Chat, Message
from terrarium.app.chat.conversation.glass_replies import GlassReplies
from terrarium.app.chat.conversation.tree_view import ChatTree
from terrarium.app.glass.focus import Focus
from terrarium.app.glass.read_text import ReadText
from terrarium.app.kit.layout.tab_order import stops_in
from terrarium.models.chat.prompting import PromptSettings
from tests.app.chat.chat_actor import TALKER, Actor
from tests.app.chat.conversation.bench import Bench, last, texts


def test_editing_a_message_sends_it_as_a_new_version(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    mine = asked.view.messages[0]
    qtbot.mouseClick(mine.buttons.edit, Qt.MouseButton.LeftButton)
    assert mine.editor is not None
    assert not mine.bubble.isVisible()
    mine.editor.field.setPlainText("Where is it?")
    qtbot.keyClick(mine.editor.field, Qt.Key.Key_Return)
    assert actor.asked[-1][0] == [{"role": "user", "content": "Where is it?"}]
    assert texts(asked) == ["Where is it?", ""]
    actor.reply(" Here.")
    assert texts(asked) == ["Where is it?", "Here."]
    edited = asked.view.messages[0].buttons
    assert edited.version.text() == "2/2"
    qtbot.mouseClick(edited.older, Qt.MouseButton.LeftButton)
    assert texts(asked) == ["Who is it?", "It is Ben."]
    assert not asked.view.messages[0].buttons.older.isEnabled()


def test_a_cancelled_or_unchanged_edit_changes_nothing(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    before = asked.conversation.chat
    for key in (Qt.Key.Key_Escape, Qt.Key.Key_Return):
        qtbot.keyClick(asked.composer.field, Qt.Key.Key_Up)
        editor = asked.view.messages[0].editor
        assert editor is not None
        if key == Qt.Key.Key_Escape:
            editor.field.setPlainText("another")
        qtbot.keyClick(editor.field, key)
        assert asked.view.messages[0].editor is None
        assert asked.view.messages[0].bubble.isVisible()
    assert asked.conversation.chat == before


def test_after_a_cancelled_edit_the_focus_stays_at_the_message(qtbot: QtBot, asked: Bench) -> None:
    asked.activateWindow()
    message = asked.view.messages[0]
    message.edit()
    assert message.editor is not None
    qtbot.waitUntil(message.editor.field.hasFocus)
    qtbot.keyClick(message.editor.field, Qt.Key.Key_Escape)
    assert message.buttons.edit.hasFocus()
    stops = stops_in(message)
    assert stops[stops.index(message.buttons.edit) + 1] is message.buttons.copy


def test_a_reply_can_be_edited_and_says_so(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    qtbot.mouseClick(last(asked).buttons.edit, Qt.MouseButton.LeftButton)
    editor = last(asked).editor
    assert editor is not None
    editor.field.setPlainText("It is Clara.")
    qtbot.mouseClick(editor.save, Qt.MouseButton.LeftButton)
    assert (texts(asked)[-1], last(asked).note.text()) == ("It is Clara.", "edited by you")
    assert not last(asked).buttons.continue_button.isVisible()
    asked.composer.sent.emit("Sure?")
    assert actor.asked[-1][0][1] == {"role": "assistant", "content": "It is Clara."}


def test_a_cut_off_reply_continues_as_another_version(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    assert not last(asked).buttons.continue_button.isVisible(), "it ended by itself"
    asked.composer.sent.emit("Tell me more.")
    actor.reply(" Once", " upon", reason="length")
    seed = actor.asked[-1][1].seed
    qtbot.mouseClick(last(asked).buttons.continue_button, Qt.MouseButton.LeftButton)
    assert (actor.begun, actor.asked[-1][1].seed) == ((10, 11), seed)
    actor.reply(" a", " time.", begun=" Once upon")
    generation = last(asked).message.generation
    assert generation is not None
    assert texts(asked)[-1] == "Once upon a time."
    assert (generation.ids, generation.n_prefix, generation.n_tokens) == ((10, 11, 10, 11), 2, 4)
    assert last(asked).buttons.version.text() == "2/2"
    qtbot.keyClick(asked, Qt.Key.Key_Left, Qt.KeyboardModifier.AltModifier)
    assert texts(asked)[-1] == "Once upon"
    n_asked = len(actor.asked)
    qtbot.keyClick(asked, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert (len(actor.asked), actor.begun) == (n_asked + 1, ())
    qtbot.keyClick(asked, Qt.Key.Key_R, Qt.KeyboardModifier.ControlModifier)
    assert len(actor.asked) == n_asked + 1, "one reply at a time"


def test_only_the_model_that_wrote_a_reply_can_continue_it(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    asked.conversation.retry(last(asked).message.id)
    actor.reply(" Once", reason="length")
    assert last(asked).buttons.continue_button.isEnabled()
    actor.session.chat.model = dataclasses.replace(TALKER, run_id="another")
    actor.be("ready")
    assert not last(asked).buttons.continue_button.isEnabled()
    assert last(asked).buttons.retry.isEnabled()
    actor.be("none")
    assert not last(asked).buttons.retry.isEnabled()
    assert not asked.view.messages[0].buttons.edit.isEnabled(), "nobody would reply"
    qtbot.mouseClick(last(asked).buttons.older, Qt.MouseButton.LeftButton)
    assert texts(asked)[-1] == "It is Ben.", "what was said can be looked at without a model"


@pytest.mark.parametrize("mode", ["text", "talk"])
def test_what_fills_the_context_alone_cannot_be_continued(bench: Bench, actor: Actor, mode: str) -> None:
    actor.play(dataclasses.replace(TALKER, mode=mode, context_length=4))  # it reads three tokens
    bench.composer.sent.emit("def fit")
    actor.reply("(", reason="stopped")
    button = last(bench).buttons.continue_button
    assert button.isEnabled(), "three and one fit"
    bench.conversation.retry(last(bench).message.id)
    actor.reply("(", "self", reason="length")
    button = last(bench).buttons.continue_button
    assert not button.isEnabled()
    assert "The context is full" in button.toolTip()
    assert ("Notebook" in button.toolTip()) == (mode == "text")


@pytest.mark.parametrize(
    ("n", "when_full", "is_possible"), [(90, "slide", True), (110, "slide", False), (97, "stop", False)]
)
def test_a_reply_that_does_not_fit_beside_its_message_alone_cannot_be_continued(
    asked: Bench, actor: Actor, byte_tokenizer: Tokenizer, n: int, when_full: str, is_possible: bool
) -> None:
    actor.session.chat.tokenizer = byte_tokenizer  # a token for each letter, of a context of 128
    asked.composer.sent.emit("Tell me all about it.")
    asked.conversation.set_prompting(PromptSettings(when_full=when_full))
    actor.reply(*"x" * n, reason="length")
    button = last(asked).buttons.continue_button
    assert button.isEnabled() == is_possible, "with older messages left out"
    assert ("The context is full" in button.toolTip()) != is_possible
    asked.conversation.set_prompting(PromptSettings())
    assert button.isEnabled() == (n < 100), "it follows the settings"


def test_older_messages_make_room_for_a_longer_reply(asked: Bench, actor: Actor) -> None:
    actor.play(dataclasses.replace(TALKER, context_length=4))
    asked.composer.sent.emit("Tell me more.")
    actor.reply(" Once", " upon", reason="length")
    assert last(asked).buttons.continue_button.isEnabled()


def test_a_reply_branches_from_another_token(asked: Bench, actor: Actor) -> None:
    asked.conversation.branch_from_token(last(asked).message.id, 2, 77)
    assert actor.begun == (10, 11, 77)
    actor.reply(" Clara.", begun=" It is not")
    generation = last(asked).message.generation
    assert generation is not None
    assert texts(asked)[-1] == "It is not Clara."
    assert generation.tokens[:2] == asked.conversation.chat.messages[1].generation.tokens[:2]  # type: ignore[union-attr]
    assert (generation.tokens[2].probability, generation.tokens[2].entropy, generation.tokens[2].draw) == (
        None,
        1.0,
        None,
    )


def test_the_tree_shows_all_branches_and_goes_to_each(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    tree = ChatTree(asked.conversation, asked.theme)
    qtbot.addWidget(tree)
    tree.resize(240, 300)
    tree.show()
    asked.conversation.retry(last(asked).message.id)
    assert not tree.isEnabled(), "no branch can be left while it is being written"
    actor.reply(" Nobody.")
    rows = [tree.model().index(i, 0) for i in range(tree.model().rowCount())]
    words = [row.data() for row in rows]
    assert words == ["Who is it?", "It is Ben.", "Nobody."]
    assert tree.currentIndex().data() == "Nobody."
    qtbot.keyClick(tree, Qt.Key.Key_Up)
    assert texts(asked) == ["Who is it?", "It is Ben."]
    with qtbot.waitSignal(tree.navigated):
        qtbot.mouseClick(
            tree.viewport(), Qt.MouseButton.LeftButton, pos=tree.visualRect(tree.model().index(2, 0)).center()
        )
    assert texts(asked) == ["Who is it?", "Nobody."]
    tree.grab()


def test_of_long_messages_only_the_last_ones_are_laid_out(qtbot: QtBot, bench: Bench) -> None:
    chat = Chat()
    for i in range(4):
        chat = chat.with_message(Message(id=f"{i}", parent=f"{i - 1}" if i else "", content="word " * 16_000))
    bench.conversation.open(chat)
    assert [view.message.id for view in bench.view.messages] == ["3"]
    assert bench.view.earlier.text() == "Show 1 earlier message"
    qtbot.mouseClick(bench.view.earlier, Qt.MouseButton.LeftButton)
    assert [view.message.id for view in bench.view.messages] == ["2", "3"]


def test_the_tree_reads_only_the_messages_that_it_shows(
    qtbot: QtBot, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    monkeypatch.setattr(Message, "beginning", property(lambda message: read.append(message.id) or message.id))
    messages = tuple(Message(id=f"{i}", parent=f"{i - 1}" if i else "") for i in range(2_000))
    bench.conversation.open(Chat(name="long", messages=messages))
    tree = ChatTree(bench.conversation, bench.theme)
    qtbot.addWidget(tree)
    tree.resize(240, 300)
    tree.show()
    tree.grab()
    assert "1999" in read
    assert len(set(read)) < 100
    assert tree.model().rowCount() == 2_000


def test_a_partial_reply_survives_a_kill(qtbot: QtBot, bench: Bench, actor: Actor) -> None:
    bench.composer.sent.emit("Tell me a story.")
    actor.begin(" Once", " upon")
    path = bench.conversation.chat_library.store.path(bench.conversation.chat.id)
    qtbot.waitUntil(lambda: path.exists() and len(json.loads(path.read_text())["messages"]) == 2)
    left = bench.conversation.chat_library.store.load(bench.conversation.chat.id).path[-1]
    assert (left.content, left.generation is not None and left.generation.can_continue) == ("Once upon", True)
    actor.end()
    bench.conversation.open(
        Chat(messages=(Message(id="u"), Message(id="r", parent="u", role="assistant", generation=left.generation)))
    )
    assert not last(bench).buttons.continue_button.isHidden()


def test_a_long_conversation_shows_its_end_and_more_on_request(qtbot: QtBot, bench: Bench, actor: Actor) -> None:
    messages = [
        Message(id=str(i), parent=str(i - 1) if i else "", role="assistant" if i % 2 else "user", content=f"text {i}")
        for i in range(100)
    ]
    bench.conversation.open(Chat(messages=tuple(messages)))
    assert texts(bench) == [f"text {i}" for i in range(84, 100)]
    kept = last(bench)
    qtbot.mouseClick(bench.view.earlier, Qt.MouseButton.LeftButton)
    assert texts(bench) == [f"text {i}" for i in range(68, 100)]
    assert last(bench) is kept
    bench.view.go_to("3")
    assert texts(bench) == [f"text {i}" for i in range(3, 100)]


def test_a_scrolled_up_view_does_not_follow_the_reply(qtbot: QtBot, bench: Bench, actor: Actor) -> None:
    bench.composer.sent.emit("Tell me a story.")
    actor.begin(*(f" line {i}\n" for i in range(60)))
    bar = bench.view.verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 200 and bar.value() == bar.maximum())
    bar.setValue(10)
    end = bar.maximum()
    actor.say(*(f" more {i}\n" for i in range(20)))
    qtbot.waitUntil(lambda: bar.maximum() > end)
    assert bar.value() == 10
    actor.end()


def test_the_glass_box_shows_replies_as_tokens_and_branches(qtbot: QtBot, asked: Bench, actor: Actor) -> None:
    focus = Focus(asked)
    glass = GlassReplies(actor.session, asked.conversation, asked.view, focus, asked.theme)
    actor.session.chat.model_changed.emit()
    assert focus.text is not None
    assert (focus.text.ids, focus.text.n_prompt, focus.text.draws) == ((1, 2, 3, 10, 11, 12), 3, (0.25,) * 3)
    glass.set_on(True)
    assert last(asked).bubble.words.isHidden()
    assert len(glass.tokens) == 1
    first = focus.text
    focus.branch_requested.emit(4, 77)
    assert actor.begun == (10, 77)
    actor.reply(" was.", begun=" It never")
    assert focus.text.ids == (1, 2, 3, 10, 77, 10)
    asked.conversation.show(asked.conversation.chat.messages[1].id)
    assert focus.text is first
    asked.hide()
    other = ReadText(ids=(1,), words=("a",), n_prompt=0)
    focus.show(other)
    glass.set_on(False)
    glass.set_on(True)
    assert focus.text is other, "another page's, while that is in view"
    asked.show()
    assert focus.text is first
    glass.set_on(False)
    assert not last(asked).bubble.words.isHidden()
    qtbot.mouseClick(last(asked).buttons.copy, Qt.MouseButton.LeftButton)
    assert QGuiApplication.clipboard().text() == "It is Ben."


def test_a_failed_reply_is_not_called_stopped(bench: Bench, actor: Actor) -> None:
    bench.composer.sent.emit("Who?")
    actor.begin(" Half")
    assert last(bench).note.text() == "1 token"
    assert last(bench).fresh.isHidden()
    actor.session.chat.reply_failed = True
    actor.be("ready")
    actor.session.chat.reply_ended.emit()
    assert "cut off by an error" in last(bench).note.text().replace("\N{NO-BREAK SPACE}", " ")
    assert not last(bench).buttons.continue_button.isHidden()


def test_a_message_that_is_too_long_cannot_be_edited(asked: Bench, actor: Actor) -> None:
    asked.conversation.edit(asked.conversation.chat.path[1].id, "word " * 25_000)
    edit = last(asked).buttons.edit
    assert not edit.isEnabled()
    assert "100,000 characters" in edit.toolTip()
    assert asked.view.messages[0].buttons.edit.isEnabled()
