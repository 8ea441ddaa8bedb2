"""The set that judged pairs go to: read once, extended, and the same for all windows."""

from __future__ import annotations

import pytest

from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step
from terrarium.models.library.library import Library
from terrarium.models.preferences import store
from terrarium.models.preferences.store import PreferenceSet, StoredPairs, list_sets
from tests.app.heard import Heard
from tests.models.preferences.support import make_pair, make_thumb


def test_a_choice_does_not_read_all_others_again(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    reads, read = list[str](), PreferenceSet.read

    def counted(self: PreferenceSet) -> StoredPairs:
        reads.append(self.name)
        return read(self)

    monkeypatch.setattr(store.PreferenceSet, "read", counted)
    preferences = session.preferences
    for i in range(20):
        preferences.add([make_pair(i)], "choice")
    assert preferences.add_simulated([make_pair(i) for i in range(20, 30)])
    session.undo.stack("chat").undo()
    assert (len(preferences.pairs), len(reads)) == (29, 1)
    assert preferences.pairs == read(preferences.current()).pairs


def test_what_another_window_adds_is_seen(session: Session, library: Library) -> None:
    heard: list[int] = []
    session.preferences.changed.connect(lambda: heard.append(len(session.preferences.pairs)))
    assert session.preferences.pairs == ()
    PreferenceSet(library, session.preferences.name).add([make_pair()])
    session.preferences.refresh()
    session.preferences.refresh()
    assert heard == [1]


def test_a_step_of_another_set_is_undone_there(session: Session, library: Library) -> None:
    preferences = session.preferences
    preferences.add([make_pair()], "choice")
    assert preferences.choose("others")
    preferences.add([make_pair(1), make_pair(2)], "choice")
    stack = session.undo.stack("chat")
    stack.undo()
    stack.undo()
    assert preferences.pairs == PreferenceSet(library, "My preferences").read().pairs == ()
    stack.redo()
    assert len(PreferenceSet(library, "My preferences").read().pairs) == 1
    assert preferences.names() == ["My preferences", "others"]


def test_steps_of_a_set_that_was_renamed_are_undone_there(session: Session, library: Library, heard: Heard) -> None:
    preferences = session.preferences
    preferences.add([make_pair()], "choice")
    preferences.rate(make_thumb())
    preferences.rename("happy")
    preferences.choose("My preferences")
    preferences.add([make_pair(1)], "choice")  # another set that has the name now
    preferences.choose("happy")
    stack = session.undo.stack("chat")
    choice, thumb = stack.command(0), stack.command(1)
    assert isinstance(choice, Step)
    assert isinstance(thumb, Step)
    session.undo.take_back("chat", choice)
    session.undo.take_back("chat", thumb)
    assert preferences.pairs == PreferenceSet(library, "happy").read().pairs == ()
    assert preferences.thumbs == PreferenceSet(library, "happy").read_thumbs().thumbs == ()
    assert len(PreferenceSet(library, "My preferences").read().pairs) == 1
    assert not heard.failures


def test_what_cannot_be_undone_is_said_and_forgotten(session: Session, library: Library, heard: Heard) -> None:
    """Another window has renamed the set."""
    preferences, undone = session.preferences, list[str]()
    preferences.add([make_pair()], "choice", on_undone=lambda: undone.append("undone"))
    store.rename_set(library, "My preferences", "elsewhere")
    stack = session.undo.stack("chat")
    stack.undo()
    assert "Nothing was undone" in heard.failures[-1]
    assert not undone
    assert not stack.canRedo()
    assert len(PreferenceSet(library, "elsewhere").read().pairs) == 1
    assert list_sets(library) == ["elsewhere"], "nothing is made of the one that is gone"


def test_a_name_that_cannot_be_one_is_said(session: Session, heard: Heard) -> None:
    assert not session.preferences.choose("a/b")
    assert session.preferences.name == "My preferences"
    assert "may not contain" in heard.failures[0]


def test_damaged_lines_are_reported_once_and_kept(session: Session, heard: Heard) -> None:
    path = session.preferences.current().path
    path.parent.mkdir(parents=True)
    path.write_text("{broken\n", encoding="utf-8")
    for _ in range(2):
        session.preferences.refresh()
    assert heard.notices == ["Skipped 1 damaged line of “My preferences”; its file is kept."]
    session.preferences.add([make_pair()], "choice")
    assert path.read_text(encoding="utf-8").startswith("{broken\n")
    with path.open("a", encoding="utf-8") as file:
        file.write("[]\n")
    session.preferences.refresh()
    assert heard.notices[1:] == ["Skipped 2 damaged lines of “My preferences”; its file is kept."]
    assert len(session.preferences.pairs) == 1


def test_a_set_is_renamed_deleted_and_restored(session: Session, heard: Heard) -> None:
    preferences, stack = session.preferences, session.undo.stack("chat")
    preferences.delete()
    assert stack.count() == 0, "there is nothing to delete yet"
    preferences.add([make_pair()], "choice")
    preferences.rename("happy")
    assert (preferences.name, len(preferences.pairs), preferences.names()) == ("happy", 1, ["happy", "My preferences"])
    preferences.rename("a/b")
    assert "may not contain" in heard.failures[-1]
    preferences.delete()
    assert (preferences.name, preferences.pairs, preferences.is_stored()) == ("My preferences", (), False)
    assert stack.undoText() == "deletion of preference set “happy”"
    stack.undo()
    assert "happy" in preferences.names()
    assert preferences.choose("happy")
    assert len(preferences.pairs) == 1
    stack.undo()
    assert (preferences.name, len(preferences.pairs)) == ("My preferences", 1)
    stack.undo()
    assert preferences.pairs == ()
