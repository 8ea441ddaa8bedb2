"""The session: runs renamed, deleted and found, choices and designs kept, a tokenizer trained beside a run."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator

import pytest
from tokenizers import Tokenizer

from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.app.tokenizer.making.training import TokenizerTraining
from terrarium.models.data.corpus_texts import CorpusChoice
from terrarium.models.events import Event, Finished, Phase, RunStarted
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from terrarium.models.tokenizers import save_tokenizer
from tests.app.heard import Heard, Until, long


def test_delete_and_undo_a_run(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(tiny_spec)
    until(lambda: bool(session.training.state.run_id))  # type: ignore[union-attr]
    session.runs.delete([session.training.state.run_id])  # type: ignore[union-attr]
    assert "stop it" in heard.failures.pop()
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    assert session.runs.rename(run.id, "grown")
    assert session.runs.find(run.id).name == "grown"
    assert not session.runs.rename(run.id, "  ")
    session.chat.open(run.id)
    until(lambda: session.chat.state == "ready")
    session.runs.delete([run.id])
    assert session.runs.list() == []
    assert session.chat.model is None
    heard.deleted[0]()
    assert [info.name for info in session.runs.list()] == ["grown"]


def test_rename_while_it_trains(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    run_id = session.training.state.run_id  # type: ignore[union-attr]
    assert session.runs.rename(run_id, "renamed")
    assert session.training.state.name == "renamed"  # type: ignore[union-attr]
    listed: list[str] = []
    session.runs.changed.connect(lambda: listed.append(session.runs.find(run_id).name))
    until(lambda: listed == ["renamed"])
    session.training.stop()
    until(lambda: not session.training.active)
    assert session.runs.find(run_id).name == "renamed"
    assert session.runs.find(run_id).status == "stopped"
    assert not heard.failures


def test_rename_while_it_is_opened_and_when_it_has_just_ended(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    run_id = session.training.state.run_id  # type: ignore[union-attr]
    session.training.stop()
    until(lambda: not session.training.active)
    session.training.resume_run(run_id)
    assert session.runs.rename(run_id, "while it is opened")
    until(lambda: session.training.state is not None and session.training.state.status == "running")
    session.training.stop()
    until(lambda: session.runs.find(run_id).status == "stopped")  # which the session does not know yet
    until(lambda: not session.training.active)
    assert session.runs.find(run_id).name == session.training.state.name == "while it is opened"  # type: ignore[union-attr]
    session.training.resume_run(run_id)
    until(lambda: session.training.state is not None and session.training.state.status == "running")
    session.training.stop()
    until(lambda: session.training.live_trainer() is None)
    session.training.rename(run_id, "just ended")
    until(lambda: session.runs.find(run_id).name == "just ended")
    until(lambda: not session.training.active)
    assert not heard.failures


def test_a_tokenizer_that_cannot_be_deleted_stays_chosen(
    session: Session,
    heard: Heard,
    library: Library,
    byte_tokenizer: Tokenizer,
    until: Until,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    save_tokenizer(byte_tokenizer, library, "mine", {})
    session.tokenizers.choose("mine")
    until(lambda: not session.tokenizers.is_loading)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("terrarium.models.library.library.replace_path", refuse)
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
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    run_id = session.training.state.run_id  # type: ignore[union-attr]
    second = Session(library)
    second.start(warm_up=False)
    said = Heard(second)
    assert second.runs.check() == []
    assert "tiny" in said.notices[0]
    second.training.resume_run(run_id)
    until(lambda: not second.training.active)
    assert "another window" in said.failures[0]
    second.runs.delete([run_id])
    assert "being trained" in said.failures[1]
    second.close()
    session.training.stop()
    until(lambda: not session.training.active)
    assert not heard.failures


def test_a_run_whose_process_died_is_offered(
    library: Library, tiny_spec: RunSpec, session: Session, until: Until
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    (run,) = session.runs.list()
    record = json.loads((run.folder / "run.json").read_text("utf-8"))
    (run.folder / "run.json").write_text(json.dumps(record | {"status": "running"}), "utf-8")
    assert [info.id for info in session.runs.check()] == [run.id]


def test_choices_are_remembered(library: Library, session: Session) -> None:
    session.designs.set(dataclasses.replace(session.designs.current, n_layer=7))
    session.device.choose("cpu")
    session.remembered.flush()
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
    assert session.remembered.problem is not None
    assert str(path) in session.remembered.problem
    session.designs.set(dataclasses.replace(session.designs.current, n_layer=2))
    assert path.read_text("utf-8") == "{not json"


class Endless:
    """A trainer that holds the worker until it is stopped, and computes nothing."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def events(self) -> Iterator[Event]:
        yield RunStarted(run_id="e", name="e", step=0, total_steps=2, device="CPU", precision="float32", threads=1)
        while not self.stopped.wait(0.01):
            yield Phase(name="Training")
        yield Finished(run_id="e", status="stopped", step=1)

    def request_stop(self, keep: bool, status: str) -> None:
        self.stopped.set()


def test_a_tokenizer_is_trained_beside_a_training(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.begin(TrainingState(name="e"), lambda: Endless())  # type: ignore[arg-type, return-value]
    until(lambda: session.training.state is not None and session.training.state.status == "running")
    text = CorpusChoice(source="files", files=tiny_spec.data.files)
    training = TokenizerTraining(session.library, session.tokenizers, session.notices, session)
    assert training.train("words", "bpe", 300, text)
    assert training.busy
    assert not training.train("others", "bpe", 300, text)
    until(lambda: session.tokenizers.name == "words" and not session.tokenizers.is_loading)
    assert session.tokenizers.current is not None
    assert session.tokenizers.current.get_vocab_size() <= 300
    assert session.training.state.status == "running"  # type: ignore[union-attr]
    assert not training.train("words", "bpe", 300, text)
    assert "already" in heard.failures[-1]
    session.training.stop()
    until(lambda: not session.training.active)


def test_old_deletions_are_deleted_for_good_at_launch(session: Session, until: Until) -> None:
    session.designs.save("old")
    session.designs.delete("old")
    session.designs.save("new")
    session.designs.delete("new")
    trash = session.library.trash
    (old,) = trash.glob("*/old.json")
    origin = old.with_name("origin.json")
    about = json.loads(origin.read_text("utf-8"))
    origin.write_text(json.dumps(about | {"deleted": "2026-01-01T00:00:00+00:00"}), "utf-8")
    session.trash.clear_expired()
    until(lambda: len(list(trash.iterdir())) == 1)  # a folder that is being deleted has another name at first
    assert not old.parent.exists()
