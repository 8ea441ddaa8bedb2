"""What can be undone, and how the stacks, the messages and the trash agree on it."""

from __future__ import annotations

import dataclasses

import pytest
from tokenizers import Tokenizer

from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step, Undo
from terrarium.models.library.run_notes import read_notes
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from tests.app.heard import Heard, Until
from tests.app.small_models import put_model
from tests.runs_on_disk import make_run

DESIGN = dataclasses.replace(PRESETS["gpt2-tiny"], n_layer=3)


@pytest.fixture
def mine(session: Session) -> Session:
    session.designs.set(DESIGN)
    assert session.designs.save("mine")
    return session


@pytest.fixture
def run_id(session: Session, tiny_config: ModelConfig) -> str:
    return make_run(session.library, tiny_config, "tiny").name


def test_steps_with_one_key_are_one_step(session: Session) -> None:
    undo, done = Undo(session), []
    for n in (1, 2, 3):
        undo.add("builder", Step(f"step {n}", lambda n=n: done.append(-n), lambda n=n: done.append(n), key="same"))
    stack = undo.stack("builder")
    assert (stack.count(), stack.undoText()) == (1, "step 3")
    stack.undo()
    stack.redo()
    assert done == [-1, 3]
    undo.close()


def test_a_step_that_cannot_be_undone_is_forgotten(session: Session) -> None:
    undo = Undo(session)
    undo.add("builder", Step("first", lambda: True, lambda: True))
    undo.add("builder", Step("second", lambda: False, lambda: True))
    undo.stack("builder").undo()
    assert (undo.stack("builder").count(), undo.stack("builder").undoText()) == (1, "first")
    undo.close()


def test_a_design_is_renamed_and_deleted_and_all_of_it_undone_and_redone(mine: Session) -> None:
    stack = mine.undo.stack("builder")
    assert mine.designs.rename("mine", "better")
    mine.designs.delete("better")
    assert stack.undoText() == "deletion of design “better”"
    stack.undo()
    assert (mine.designs.list(), stack.undoText()) == (["better"], "renaming of design “mine”")
    stack.undo()
    assert (mine.designs.list(), mine.designs.name) == (["mine"], "")
    stack.redo()
    stack.redo()
    assert (mine.designs.list(), stack.canRedo()) == ([], False)
    stack.undo()
    assert mine.designs.list() == ["better"]


def test_undo_in_the_message_is_undo_in_the_menu_and_the_other_way_round(mine: Session, heard: Heard) -> None:
    stack, withdrawn = mine.undo.stack("builder"), []
    mine.notices.undone.connect(withdrawn.append)
    mine.designs.delete("mine")
    heard.deleted[-1]()
    assert (mine.designs.list(), stack.canUndo(), stack.canRedo()) == (["mine"], False, True)
    stack.redo()
    stack.undo()
    assert (mine.designs.list(), withdrawn) == (["mine"], ["Design “mine” deleted"])
    heard.deleted[-1]()
    assert (mine.designs.list(), heard.failures) == (["mine"], [])


def test_a_message_may_undo_what_is_not_the_newest_step(mine: Session, heard: Heard) -> None:
    mine.designs.delete("mine")
    mine.designs.set(DESIGN)
    assert mine.designs.save("other")
    assert mine.designs.rename("other", "third")
    heard.deleted[0]()
    assert mine.designs.list() == ["mine", "third"]
    stack = mine.undo.stack("builder")
    assert stack.undoText() == "renaming of design “other”"
    stack.undo()
    assert not stack.canUndo(), "the deletion was undone by its message"


def test_what_the_trash_restored_or_lost_is_no_step_any_more(mine: Session, heard: Heard) -> None:
    stack = mine.undo.stack("builder")
    mine.designs.delete("mine")
    [token] = [folder.name for folder in mine.library.trash.iterdir()]
    mine.trash.restore((token,))
    assert (mine.designs.list(), stack.canUndo(), heard.failures) == (["mine"], False, [])


def test_a_restored_design_that_got_another_name_is_deleted_again_under_that(mine: Session) -> None:
    stack = mine.undo.stack("builder")
    mine.designs.delete("mine")
    mine.designs.set(PRESETS["gpt2-tiny"])
    assert mine.designs.save("mine")
    stack.undo()
    assert mine.designs.list() == ["mine", "mine-2"]
    stack.redo()
    assert mine.designs.list() == ["mine"]


def test_runs_are_renamed_annotated_and_deleted_and_all_of_it_undone(session: Session, run_id: str) -> None:
    runs, stack = session.runs, session.undo.stack("training")
    runs.rename(run_id, "other")
    runs.set_notes(run_id, "It works.", ("good",))
    runs.delete((run_id,))
    assert runs.list() == []
    stack.undo()
    assert [run.name for run in runs.list()] == ["other"]
    assert stack.undoText() == "change of the notes and tags of “other”"
    stack.undo()
    assert read_notes(runs.find(run_id).folder).tags == ()
    stack.undo()
    assert [run.name for run in runs.list()] == ["tiny"]
    for _ in range(3):
        stack.redo()
    assert (runs.list(), stack.canRedo()) == ([], False)


def test_a_deletion_is_said_once_and_its_undo_leaves_nothing_that_is_false(
    session: Session, byte_tokenizer: Tokenizer, heard: Heard, until: Until
) -> None:
    model = put_model(session.library, byte_tokenizer, "decoder-only", name="mine")
    withdrawn: list[str] = []
    session.notices.outdated.connect(withdrawn.append)
    session.chat.open(model)
    until(lambda: session.chat.model is not None)
    session.runs.delete((model,))
    assert session.runs.look_up(model) is None, "as a view asks that showed it"
    assert [said for said in heard.notices if "no longer in the library" in said] == []
    lost = [said for said in heard.notices if "model of this chat was deleted" in said]
    assert len(lost) == 1
    session.undo.stack("training").undo()
    assert withdrawn == lost
    until(lambda: session.chat.model is not None and session.chat.model.run_id == model)


def test_a_tokenizer_is_renamed_and_deleted_and_brought_back(session: Session) -> None:
    from terrarium.models.tokenizers import save_tokenizer, train_tokenizer

    save_tokenizer(train_tokenizer((), "byte", 0), session.library, "bytes", {})
    session.tokenizers.add("bytes")
    stack = session.undo.stack("tokenizer")
    assert session.tokenizers.rename("bytes", "all bytes")
    session.tokenizers.delete("all bytes")
    stack.undo()
    stack.undo()
    assert [info.name for info in session.tokenizers.list()] == ["bytes"]
