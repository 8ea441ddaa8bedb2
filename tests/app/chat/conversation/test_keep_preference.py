"""A version of a reply that is better than another one is kept as a preference, when the user says so."""

from __future__ import annotations

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.models.chat.prompting import PromptSettings
from tests.app.chat.chat_actor import Actor
from tests.app.chat.conversation.bench import Bench, last
from tests.app.heard import Heard


def kept(actor: Actor) -> list[tuple[str, str]]:
    pairs = actor.session.preferences.pairs
    return [(better.content, worse.content) for pair in pairs if (better := pair.better) and (worse := pair.worse)]


def press(bench: Bench, qtbot: QtBot) -> None:
    qtbot.mouseClick(last(bench).buttons.keep, Qt.MouseButton.LeftButton)


def test_the_shown_version_beats_the_other_one(asked: Bench, actor: Actor, qtbot: QtBot, heard: Heard) -> None:
    assert last(asked).buttons.keep.isHidden(), "there is nothing to compare with"
    asked.conversation.set_prompting(PromptSettings(system="Be brief."))
    asked.conversation.retry(last(asked).message.id)
    actor.reply(" It is Anna.")
    assert actor.session.preferences.pairs == (), "nothing is recorded silently"
    press(asked, qtbot)
    [pair] = actor.session.preferences.pairs
    assert kept(actor) == [("It is Anna.", "It is Ben.")]
    assert [dict(message) for message in pair.prompt] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Who is it?"},
    ]
    assert (pair.a.run, pair.a.step, pair.a.edited, pair.by) == ("r1", 41, False, "person")
    assert heard.notices == ["A preference was added to “My preferences” (see Judge replies)."]
    press(asked, qtbot)
    assert heard.notices[-1] == "That is in “My preferences” already."
    actor.session.undo.stack("chat").undo()
    assert kept(actor) == []
    actor.session.undo.stack("chat").redo()
    assert kept(actor) == [("It is Anna.", "It is Ben.")]


def test_an_edit_beats_what_the_model_wrote(asked: Bench, actor: Actor, qtbot: QtBot) -> None:
    last(asked).edited.emit("It is Ben, a friend.")
    assert "what you wrote is better than the other one" in last(asked).buttons.keep.toolTip()
    press(asked, qtbot)
    [pair] = actor.session.preferences.pairs
    assert kept(actor) == [("It is Ben, a friend.", "It is Ben.")]
    assert pair.a.edited
    assert not pair.b.edited


def test_of_several_versions_one_says_which(asked: Bench, actor: Actor, heard: Heard) -> None:
    for name in ("Anna", "Ben"):
        asked.conversation.retry(last(asked).message.id)
        actor.reply(f" It is {name}.")
    first, second, _ = asked.conversation.chat.siblings(last(asked).message.id)
    asked.conversation.show(second.id)
    menu = last(asked).buttons.keep.menu()
    assert menu is not None
    actions = {action.text(): action for action in menu.actions()}
    assert list(actions) == ["Better than version 1", "Better than version 3", "Better than all others"]
    actions["Better than version 1"].trigger()
    assert kept(actor) == [("It is Anna.", "It is Ben.")]
    actions["Better than all others"].trigger()
    assert heard.notices[-1] == "That is in “My preferences” already.", "versions 1 and 3 say the same"
    asked.conversation.show(first.id)
    menu = last(asked).buttons.keep.menu()
    assert menu is not None
    menu.actions()[1].trigger()
    assert heard.notices[-1] == "The two versions are the same, or one is empty: there is nothing to prefer."
