"""The session: training, steering, chatting while training, resuming, deleting, and what it says when it cannot."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterator

import pytest
from pytestqt.qtbot import QtBot

from app.chat_control import ReplyStarted
from app.session import Session
from app.status import duration
from app.training_control import TrainingState
from models.events import Blocked, Event, Finished, Phase, ReplyFinished, RunStarted, TokenMade, TrainMetrics
from models.inference.settings import SamplingConfig
from models.library import Library
from models.training.run_folder import RunFolder
from models.training.spec import RunSpec

Until = Callable[[Callable[[], bool]], None]


class Heard:
    """What a session said."""

    def __init__(self, session: Session) -> None:
        self.failures: list[str] = []
        self.notices: list[str] = []
        self.deleted: list[str] = []
        self.statuses: list[str] = []
        self.events: list[Event] = []
        self.chat: list[Event] = []
        session.job_failed.connect(lambda sentence, details: self.failures.append(sentence))
        session.notice.connect(self.notices.append)
        session.deleted.connect(lambda words, token: self.deleted.append(token))
        session.training_events.connect(self.events.extend)
        session.chat_events.connect(self.chat.extend)

        def note_status() -> None:
            status = session.training.status if session.training is not None else ""
            if not self.statuses or self.statuses[-1] != status:
                self.statuses.append(status)

        session.training_changed.connect(note_status)


@pytest.fixture
def heard(session: Session) -> Heard:
    return Heard(session)


def long(spec: RunSpec) -> RunSpec:
    """The same run, but one that does not end by itself."""
    return dataclasses.replace(spec, train=dataclasses.replace(spec.train, steps=1_000_000, checkpoint_interval=1000))


def test_a_run_from_start_to_finish(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    assert session.start_training(tiny_spec)
    assert session.training is not None
    assert session.training.status == "preparing"
    until(lambda: not session.training_active)
    assert not heard.failures
    assert heard.statuses == ["preparing", "running", "finished"]
    assert session.training.over
    assert session.training.step == session.training.total_steps == 12
    steps = [event.step for event in heard.events if isinstance(event, TrainMetrics)]
    assert steps == list(range(1, 13))
    assert list(session.history.train["step"]) == steps
    assert len(session.history.val) == 4
    assert [sample.prompt for sample in session.history.samples[:2]] == ["The cat", "The dog"]
    # The list and the folder say the same as the events did.
    (run,) = session.list_runs()
    assert (run.status, run.step) == ("finished", 12)
    again = session.run_history(run.id)
    assert again.train["loss"].tolist() == pytest.approx(session.history.train["loss"].tolist())
    assert session.run_spec(run.id).train == tiny_spec.train  # type: ignore[union-attr]


def test_pause_step_resume_stop(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 2)
    session.pause()
    assert session.training is not None
    until(lambda: session.training.status == "paused")  # type: ignore[union-attr]
    step = session.training.step
    assert session.status.words == "tiny is paused"
    session.step()
    until(lambda: session.training.step == step + 1 and session.training.status == "paused")  # type: ignore[union-attr]
    session.resume()
    until(lambda: session.training.step > step + 2)  # type: ignore[union-attr]
    assert session.training.status == "running"
    session.stop()
    until(lambda: not session.training_active)
    assert session.training.status == "stopped"
    assert session.training.saved_step == session.training.step
    assert heard.statuses == [
        *("preparing", "running", "pausing", "paused", "running", "paused", "running", "stopping", "stopped"),
    ]
    (run,) = session.list_runs()
    assert run.status == "stopped"
    assert not heard.failures


def test_stop_while_paused_keeps_what_there_is(session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 2)
    session.pause()
    until(lambda: session.training.status == "paused")  # type: ignore[union-attr]
    session.stop()
    until(lambda: not session.training_active)
    run = RunFolder.open(session.list_runs()[0].folder)
    assert run.latest_checkpoint() is not None


def test_pause_and_free_the_device_then_go_on(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 2)
    session.pause(free=True)
    until(lambda: not session.training_active)
    (run,) = session.list_runs()
    assert run.status == "paused"
    assert session.resume_run(run.id)
    until(lambda: session.training is not None and session.training.step > run.step)
    # The curve goes on where it was, without a gap or a second start.
    steps = session.history.train["step"].tolist()
    assert steps == [float(step) for step in range(1, len(steps) + 1)]
    session.stop()
    until(lambda: not session.training_active)
    assert not heard.failures


def test_a_second_start_is_refused_in_a_sentence(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.start_training(long(tiny_spec))
    assert not session.start_training(tiny_spec)
    assert not session.start_quickstart()
    assert all("already" in sentence for sentence in heard.failures)
    session.stop()
    until(lambda: not session.training_active)


def test_a_failed_run_says_why(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    missing = dataclasses.replace(tiny_spec.data, files=("/nowhere/text.txt",))
    session.start_training(dataclasses.replace(tiny_spec, data=missing))
    until(lambda: not session.training_active)
    assert session.training is not None
    assert session.training.status == "failed"
    assert "/nowhere/text.txt" in session.training.problem
    assert heard.failures == [session.training.problem]


def test_chat_with_the_model_as_it_is_while_it_trains(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 2)
    assert session.open_chat_model("live")
    until(lambda: session.chat_state == "ready")
    model = session.chat_model
    assert model is not None
    assert (model.which, model.talks, model.source) == ("live", False, "files")
    assert session.send_chat("The cat", SamplingConfig(max_tokens=5, temperature=0.0))
    until(lambda: any(isinstance(event, ReplyFinished) for event in heard.chat))
    first = next(event for event in heard.chat if isinstance(event, ReplyStarted))
    assert first.step >= 2
    assert sum(isinstance(event, TokenMade) for event in heard.chat) == 5
    # The training goes on, and when it ends the chat goes on with its checkpoint.
    step = session.training.step  # type: ignore[union-attr]
    until(lambda: session.training.step > step)  # type: ignore[union-attr]
    session.stop()
    until(lambda: not session.training_active and session.chat_state == "ready")
    assert session.chat_model is not None
    assert session.chat_model.which == session.training.run_id  # type: ignore[union-attr]
    assert session.chat_model.step == session.training.step  # type: ignore[union-attr]
    assert not heard.failures


def test_a_reply_can_be_stopped(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, qtbot: QtBot) -> None:
    session.start_training(tiny_spec)
    until(lambda: not session.training_active)
    session.open_chat_model(session.list_runs()[0].id)
    until(lambda: session.chat_state == "ready")
    # A tiny model fills its context within milliseconds, so nobody may look away between asking and stopping.
    with qtbot.waitSignal(session.reply_ended, timeout=60_000):
        session.send_chat("The cat", SamplingConfig(max_tokens=100_000))
        session.stop_chat()
    assert session.chat_state == "ready"
    assert not any(isinstance(event, ReplyFinished) for event in heard.chat)
    assert not heard.failures


def test_opening_another_model_ends_the_reply(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    session.start_training(tiny_spec)
    until(lambda: not session.training_active)
    run_id = session.list_runs()[0].id
    session.open_chat_model(run_id)
    until(lambda: session.chat_state == "ready")
    # A tiny model fills its context within milliseconds, so nobody may look away between asking and opening.
    with qtbot.waitSignal(session.reply_ended, timeout=60_000):
        session.send_chat("The cat", SamplingConfig(max_tokens=100_000))
        session.open_chat_model(run_id)
    until(lambda: session.chat_state == "ready")
    assert not heard.failures


def test_chat_without_a_model_is_refused(session: Session, heard: Heard, until: Until) -> None:
    assert not session.send_chat("Hello", SamplingConfig())
    assert session.open_chat_model("live")
    until(lambda: session.chat_state == "none")
    assert len(heard.failures) == 2
    assert all("run" in sentence for sentence in heard.failures)


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
    session.undo_delete(heard.deleted[0])
    assert [info.name for info in session.list_runs()] == ["grown"]


def test_rename_while_it_trains(session: Session, heard: Heard, tiny_spec: RunSpec, until: Until) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 1)
    run_id = session.training.run_id  # type: ignore[union-attr]
    assert session.rename_run(run_id, "renamed")
    until(lambda: session.find_run(run_id).name == "renamed")
    session.stop()
    until(lambda: not session.training_active)
    assert session.find_run(run_id).name == "renamed"
    assert session.find_run(run_id).status == "stopped"
    assert not heard.failures


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


def test_closing_saves_and_the_next_launch_goes_on(
    library: Library, tiny_spec: RunSpec, until: Until, qapp: object
) -> None:
    first = Session(library)
    first.start(warm_up=False)
    first.start_training(long(tiny_spec))
    until(lambda: first.training is not None and first.training.step >= 3)
    first.close()
    (run,) = first.list_runs()
    assert run.status == "paused"
    assert run.step >= 3
    second = Session(library)
    second.start(warm_up=False)
    assert second.resume_run(run.id)
    until(lambda: second.training is not None and second.training.step > run.step)
    second.close()


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
    session.set_design(dataclasses.replace(session.design, n_layer=7))
    session.set_device("cpu")
    again = Session(library)
    assert again.design.n_layer == 7
    assert again.design_name == ""
    assert again.device_name == "cpu"


def test_designs_are_saved_loaded_and_deleted(session: Session, heard: Heard) -> None:
    session.set_design(dataclasses.replace(session.design, n_layer=3))
    assert session.save_design("three")
    assert session.design_name == "three"
    assert session.load_design("gpt2-tiny")
    assert session.design.position == "learned"
    assert session.load_design("three")
    assert session.design.n_layer == 3
    assert not session.save_design("a/b")
    session.delete_design("three")
    assert session.list_designs() == []
    session.undo_delete(heard.deleted[0])
    assert session.list_designs() == ["three"]


def test_damaged_settings_are_left_alone(library: Library, qapp: object) -> None:
    path = library.home / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text("{not json", "utf-8")
    session = Session(library)
    said = Heard(session)
    session.check_library()
    assert str(path) in said.notices[0]
    session.set_design(dataclasses.replace(session.design, n_layer=2))
    assert path.read_text("utf-8") == "{not json"


def test_a_tokenizer_is_trained_beside_a_training(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.start_training(long(tiny_spec))
    until(lambda: session.training is not None and session.training.step >= 1)
    assert session.train_tokenizer("words", "bpe", 300, tiny_spec.data)
    assert session.tokenizer_busy
    assert not session.train_tokenizer("others", "bpe", 300, tiny_spec.data)
    until(lambda: session.tokenizer_name == "words")
    assert session.tokenizer is not None
    assert session.tokenizer.get_vocab_size() <= 300
    assert session.training.status == "running"  # type: ignore[union-attr]
    assert not session.train_tokenizer("words", "bpe", 300, tiny_spec.data)
    assert "already" in heard.failures[-1]
    session.stop()
    until(lambda: not session.training_active)


def test_the_events_of_a_training_end_with_its_status(
    session: Session, heard: Heard, tiny_spec: RunSpec, until: Until
) -> None:
    session.start_training(tiny_spec)
    until(lambda: not session.training_active)
    assert isinstance(heard.events[0], Phase)
    assert isinstance(heard.events[-1], Finished)
    assert all(math.isfinite(loss) for loss in session.history.train["loss"])


class FullDisk:
    """A trainer whose disk is full when it first wants to save."""

    def __init__(self) -> None:
        self.asked = 0
        self.stopped = False

    def events(self) -> Iterator[Event]:
        yield RunStarted(
            run_id="full", name="full", step=0, total_steps=2, device="CPU", precision="float32", threads=1
        )
        self.asked += 1
        while self.asked < 3 and not self.stopped:
            yield Blocked(reason="The disk is full: free some space.")
            self.asked += 1
        yield Finished(run_id="full", status="finished", step=2)

    def request_stop(self, keep: bool, status: str) -> None:
        self.stopped = True


def test_a_blocked_training_waits_says_why_and_tries_again(session: Session, until: Until) -> None:
    control, trainer = session._training, FullDisk()
    control._again.setInterval(10)
    control._start(TrainingState(name="full"), lambda: control._train(trainer))
    until(lambda: session.training is not None and session.training.status == "blocked")
    assert session.training is not None
    assert "free some space" in session.training.problem
    assert "free some space" in session.status.words
    until(lambda: not session.training_active)
    assert trainer.asked == 3
    assert session.training.status == "finished"
    assert session.training.problem == ""


def test_a_blocked_training_can_be_stopped(session: Session, until: Until) -> None:
    control, trainer = session._training, FullDisk()
    control._again.setInterval(1_000_000)
    control._start(TrainingState(name="full"), lambda: control._train(trainer))
    until(lambda: session.training is not None and session.training.status == "blocked")
    session.stop(keep=False)
    until(lambda: not session.training_active)
    assert trainer.stopped


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.4, 61, 3661)] == ["0 s", "59 s", "1 min 1 s", "1 h 1 min"]
