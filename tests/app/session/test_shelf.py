"""A step of a shelf is about one thing, whatever that is called and wherever it is by then."""

from __future__ import annotations

from pathlib import Path

import pytest

from terrarium.app.session.session import Session
from terrarium.app.session.shelf import Shelf
from tests.app.heard import Heard


@pytest.fixture
def shelf(session: Session) -> Shelf:
    """Designs that contain the names under which they were made."""
    folder = session.library.designs
    folder.mkdir(parents=True, exist_ok=True)

    def rename(key: str, name: str) -> str:
        if (folder / f"{name}.json").exists():
            raise ValueError(f"There is a {name} already.")
        (folder / f"{key}.json").rename(folder / f"{name}.json")
        return name

    return Shelf("design", session.trash, session, rename=rename)


def put(session: Session, name: str) -> Path:
    path = session.library.designs / f"{name}.json"
    path.write_text(name, encoding="utf-8")
    return path


def contents(session: Session) -> dict[str, str]:
    return {path.stem: path.read_text(encoding="utf-8") for path in session.library.designs.glob("*.json")}


def test_a_step_follows_a_thing_that_came_back_under_another_name(session: Session, shelf: Shelf, heard: Heard) -> None:
    stack = session.undo.stack("builder")
    put(session, "first")
    assert shelf.rename("first", "mine")
    shelf.delete("mine")
    put(session, "mine")  # another one, which has the name now
    stack.undo()
    assert contents(session) == {"mine": "mine", "mine-2": "first"}
    stack.undo()
    assert contents(session) == {"mine": "mine", "first": "first"}
    stack.redo()
    assert stack.undoText() == "", "the name is taken, which is said, and the step is dropped"
    assert heard.failures == ["There is a mine already."]
    assert contents(session) == {"mine": "mine", "first": "first"}


def test_a_step_of_a_thing_in_the_trash_is_dropped_in_silence(session: Session, shelf: Shelf, heard: Heard) -> None:
    stack, said = session.undo.stack("builder"), list[str]()
    put(session, "first")
    shelf.rename("first", "mine")
    step = stack.command(0)
    shelf.delete("mine")
    put(session, "mine")
    session.undo.take_back("builder", step)
    assert step.isObsolete()
    assert contents(session) == {"mine": "mine"}
    shelf.add_step("mine", "change", said.append, said.append)
    stack.undo()
    stack.redo()
    assert (said, heard.failures) == (["mine", "mine"], [])


def test_many_are_deleted_by_one_step_and_those_that_may_not_stay(session: Session, heard: Heard) -> None:
    folder, stack, gone = session.library.designs, session.undo.stack("builder"), list[tuple[str, ...]]()
    folder.mkdir(parents=True, exist_ok=True)

    def prepare(key: str) -> bool:
        return key != "used" or session.notices.refuse("It is in use.")

    shelf = Shelf("design", session.trash, session, prepare=prepare)
    shelf.deleted.connect(gone.append)
    for name in ("one", "two", "used"):
        put(session, name)
    shelf.delete("one", "two", "used")
    assert (contents(session), heard.failures) == ({"used": "used"}, ["It is in use."])
    assert stack.undoText() == "deletion of 2 designs"
    stack.undo()
    stack.redo()
    stack.undo()
    assert contents(session) == {"one": "one", "two": "two", "used": "used"}
    assert gone == [("one", "two")] * 2
    shelf.delete("one", names={"one": "One"})
    shelf.delete("two", names={"two": ""})
    assert (stack.undoText(), stack.command(0).text()) == ("deletion of design", "deletion of design “One”")
