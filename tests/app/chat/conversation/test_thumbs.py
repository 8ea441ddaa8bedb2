"""A thumb on a reply is kept when it is clicked, one for each reply, and can be taken back."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.preferences.store import PreferenceSet
from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench, last


def kept(actor: Actor) -> list[tuple[str, bool]]:
    """As on disk, which is what the session says."""
    session = actor.session
    stored = PreferenceSet(session.library, session.preferences.name).read_thumbs().thumbs
    assert stored == session.preferences.thumbs
    return [(thumb.reply.content, thumb.is_good) for thumb in stored]


def shown(bench: Bench) -> list[str]:
    buttons = last(bench).buttons
    return [str(button.property("iconName")) for button in (buttons.good, buttons.bad)]


def click(bench: Bench, qtbot: QtBot, which: str) -> None:
    qtbot.mouseClick(getattr(last(bench).buttons, which), Qt.MouseButton.LeftButton)


def test_a_thumb_is_kept_changed_and_taken_back(asked: Bench, actor: Actor, qtbot: QtBot) -> None:
    asked.conversation.set_prompting(PromptSettings(system="Be brief."))
    assert kept(actor) == [], "nothing is recorded silently"
    assert shown(asked) == ["thumbs-up", "thumbs-down"]
    click(asked, qtbot, "good")
    assert kept(actor) == [("It is Ben.", True)]
    assert shown(asked) == ["thumbs-up-fill", "thumbs-down"]
    [thumb] = actor.session.preferences.thumbs
    assert [dict(message) for message in thumb.prompt] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who is it?"},
    ]
    assert (thumb.reply.run, thumb.reply.step, thumb.by, thumb.message) == ("r1", 41, "person", last(asked).message.id)
    click(asked, qtbot, "bad")
    assert kept(actor) == [("It is Ben.", False)], "one thumb for each reply"
    click(asked, qtbot, "bad")
    assert kept(actor) == []
    assert shown(asked) == ["thumbs-up", "thumbs-down"]
    stack = actor.session.undo.stack("chat")
    assert stack.undoText() == "removal of a thumb"
    for expected in (False, True):
        stack.undo()
        assert kept(actor) == [("It is Ben.", expected)]
    stack.undo()
    assert kept(actor) == []
    stack.redo()
    assert kept(actor) == [("It is Ben.", True)]
    assert shown(asked) == ["thumbs-up-fill", "thumbs-down"]


def test_thumbs_belong_to_the_set_and_to_the_version(asked: Bench, actor: Actor, qtbot: QtBot) -> None:
    click(asked, qtbot, "good")
    asked.conversation.retry(last(asked).message.id)
    actor.reply(" It is Anna.")
    assert shown(asked) == ["thumbs-up", "thumbs-down"], "another version is another reply"
    click(asked, qtbot, "bad")
    assert kept(actor) == [("It is Ben.", True), ("It is Anna.", False)]
    actor.session.preferences.choose("others")
    assert shown(asked) == ["thumbs-up", "thumbs-down"]
    actor.session.preferences.choose("My preferences")
    assert shown(asked) == ["thumbs-up", "thumbs-down-fill"]
    assert asked.view.messages[0].buttons.good.isHidden(), "the user's own messages have none"
