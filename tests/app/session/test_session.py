"""The session: runs renamed, deleted and found, choices and designs kept, a tokenizer trained beside a run."""

from __future__ import annotations

import dataclasses
import json

import pytest
from tokenizers import Tokenizer

from app.session.session import Session
from models.library.library import Library
from models.settings.run_spec import RunSpec
from models.tokenizers import save_tokenizer
from tests.app.heard import Heard, Until, long


def test_delete_and_undo_a_run(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(tiny_spec)
    until(lambda: bool(session.training.run_id))  # type: ignore[union-attr]
    session.delete_run(session.training.run_id)  # type: ignore[union-attr]
    assert "stop it" in heard.failures.pop()
    until(lambda: not session.training_active)
    (run,) = session.list_runs()
    assert session.rename_run(run.id, "grown")
    assert session.find_run(run.id).name == "grown"
    assert not session.rename_run(run.id, "  ")
    session.open_chat_model(run.id)
    until(lambda: session.chat_state == "ready")
    session.delete_run(run.id)
    assert session.list_runs() == []
    assert session.chat_model is None
    heard.deleted[0]()
    assert [info.name for info in session.list_runs()] == ["grown"]


def test_rename_while_it_trains(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 1)
    run_id = session.training.run_id  # type: ignore[union-attr]
    assert session.rename_run(run_id, "renamed")
    assert session.training.name == "renamed"  # type: ignore[union-attr]
    listed: list[str] = []
    session.runs_changed.connect(lambda: listed.append(session.find_run(run_id).name))
    until(lambda: listed == ["renamed"])
    session.stop()
    until(lambda: not session.training_active)
    assert session.find_run(run_id).name == "renamed"
    assert session.find_run(run_id).status == "stopped"
    assert not heard.failures


def test_rename_while_it_is_opened_and_when_it_has_just_ended(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 1)
    run_id = session.training.run_id  # type: ignore[union-attr]
    session.stop()
    until(lambda: not session.training_active)
    session.resume_run(run_id)
    assert session.rename_run(run_id, "while it is opened")
    until(lambda: session.training is not None and session.training.status == "running")
    session.stop()
    until(lambda: session.find_run(run_id).status == "stopped")  # which the session does not know yet
    until(lambda: not session.training_active)
    assert session.find_run(run_id).name == session.training.name == "while it is opened"  # type: ignore[union-attr]
    session.resume_run(run_id)
    until(lambda: session.training is not None and session.training.status == "running")
    session.stop()
    until(lambda: session._training.live_trainer() is None)
    session._training.rename("just ended")
    until(lambda: session.find_run(run_id).name == "just ended")
    until(lambda: not session.training_active)
    assert not heard.failures


def test_a_tokenizer_that_cannot_be_deleted_stays_chosen(
    session: Session, heard: Heard, library: Library, byte_tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tokenizer(byte_tokenizer, library, "mine", {})
    session.tokenizers.choose("mine")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("models.library.library.os.replace", refuse)
    session.tokenizers.delete("mine")
    assert heard.failures
    assert session.tokenizers.name == "mine"
    assert session.tokenizers.current is not None
    monkeypatch.undo()
    session.tokenizers.delete("mine")
    assert session.tokenizers.name == ""


def test_another_window_that_trains_is_noticed(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, library: Library
) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 1)
    run_id = session.training.run_id  # type: ignore[union-attr]
    second = Session(library)
    second.start(warm_up=False)
    said = Heard(second)
    assert second.check_library() == []
    assert "tiny" in said.notices[0]
    second.resume_run(run_id)
    until(lambda: not second.training_active)
    assert "another window" in said.failures[0]
    second.delete_run(run_id)
    assert "being trained" in said.failures[1]
    second.close()
    session.stop()
    until(lambda: not session.training_active)
    assert not heard.failures


def test_a_run_whose_process_died_is_offered(
    library: Library, tiny_spec: RunSpec, session: Session, until: Until
) -> None:
    session.start_training(tiny_spec)
    until(lambda: not session.training_active)
    (run,) = session.list_runs()
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    (run.folder / "run.json").write_text(json.dumps(record | {"status": "running"}), "utf-8")
    assert [info.id for info in session.check_library()] == [run.id]


def test_choices_are_remembered(library: Library, session: Session) -> None:
    session.designs.set(dataclasses.replace(session.designs.current, n_layer=7))
    session.device.choose("cpu")
    again = Session(library)
    assert again.designs.current.n_layer == 7
    assert again.designs.name == ""
    assert again.device.name == "cpu"


def test_designs_are_saved_loaded_and_deleted(session: Session, heard: Heard) -> None:
    session.designs.set(dataclasses.replace(session.designs.current, n_layer=3))
    assert session.designs.save("three")
    assert session.designs.name == "three"
    assert session.designs.choose("gpt2-tiny")
    assert session.designs.current.position == "learned"
    assert session.designs.choose("three")
    assert session.designs.current.n_layer == 3
    assert not session.designs.save("a/b")
    session.designs.delete("three")
    assert session.designs.list() == []
    heard.deleted[0]()
    assert session.designs.list() == ["three"]


def test_damaged_settings_are_left_alone(library: Library, qapp: object) -> None:
    path = library.home / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{not json", "utf-8")
    session = Session(library)
    said = Heard(session)
    session.check_library()
    assert str(path) in said.notices[0]
    session.designs.set(dataclasses.replace(session.designs.current, n_layer=2))
    assert path.read_text("utf-8") == "{not json"


def test_a_tokenizer_is_trained_beside_a_training(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 1)
    assert session.train_tokenizer("words", "bpe", 300, tiny_spec.data)
    assert session.tokenizer_busy
    assert not session.train_tokenizer("others", "bpe", 300, tiny_spec.data)
    until(lambda: session.tokenizers.name == "words")
    assert session.tokenizers.current is not None
    assert session.tokenizers.current.get_vocab_size() <= 300
    assert session.training.status == "running"  # type: ignore[union-attr]
    assert not session.train_tokenizer("words", "bpe", 300, tiny_spec.data)
    assert "already" in heard.failures[-1]
    session.stop()
    until(lambda: not session.training_active)
