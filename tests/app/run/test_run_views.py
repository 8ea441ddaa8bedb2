"""Actions in the views of a run: forks, remedies, chats with a checkpoint, lineage."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QInputDialog, QLabel
from pytestqt.qtbot import QtBot

from terrarium.app.run.fork_dialog import ForkDialog
from terrarium.app.run.lr_dialog import LrDialog
from terrarium.app.run.spec_view import SpecView
from terrarium.app.session.life import Life
from terrarium.app.session.routes import DoToRun, OpenModel, Route, ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.corpora.corpus import build_examples_corpus
from terrarium.models.design import total_parameters, trained_parameters
from terrarium.models.diagnosis.findings import Remedy
from terrarium.models.library.library import Library
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from terrarium.models.settings.spec_file import load_spec
from terrarium.models.settings.tune_spec import TuneSpec
from tests.app.heard import Heard, Until, entries_of, long
from tests.models.training.support import make_run as prepared_run
from tests.models.training.support import train
from tests.runs_on_disk import make_run


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a library with a finished run, which has checkpoints of 4, 8 and 12."""
    library = Library(tmp_path_factory.mktemp("trained"))
    config = ModelConfig(vocab_size=261, context_length=32, n_layer=1, n_head=2, d_model=32)
    train(prepared_run(library, config, steps=12, checkpoint_interval=4, keep_checkpoints=9), library)
    return library.home


@pytest.fixture
def source(trained_home: Path, tab: TrainingTab, session: Session, until: Until) -> str:
    """That run, in the library of the window, and shown."""
    shutil.copytree(trained_home, session.library.home, dirs_exist_ok=True)
    session.runs.changed.emit()
    (run,) = session.runs.list()
    tab.show_run(run.id)
    until(lambda: tab.run_view.follower.is_loaded)
    return run.id


def dialog_of(tab: TrainingTab, kind: type) -> object:
    return next(iter(tab.window().findChildren(kind)))


def test_a_fork_from_the_head(tab: TrainingTab, session: Session, source: str, until: Until, qtbot: QtBot) -> None:
    qtbot.mouseClick(tab.run_view.head.fork, Qt.MouseButton.LeftButton)
    dialog = dialog_of(tab, ForkDialog)
    assert isinstance(dialog, ForkDialog)
    assert [dialog.checkpoint.itemData(i) for i in range(dialog.checkpoint.count())] == [12, 8, 4]
    assert dialog.form.config.steps == 24, "nothing is left from the run's end, so as many again"
    dialog.checkpoint.setCurrentIndex(1)
    assert dialog.form.config.steps == 12
    assert dialog.about.text() == "The fork trains 4 steps more, to step 12."
    dialog.form.apply({"steps": 8})
    assert "give it more steps" in dialog.problem
    assert not dialog.start.isEnabled()
    dialog.form.apply({"steps": 12})
    assert dialog.problem == ""
    assert dialog.form.row("objective").isHidden()
    dialog.name.setText("fork")
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    until(
        lambda: (
            session.training.state is not None
            and session.training.state.name == "fork"
            and session.training.state.is_over
        )
    )
    fork = next(run for run in session.runs.list() if run.name == "fork")
    assert (fork.status, fork.step, fork.parent) == ("finished", 12, (source, 8))
    assert tab.run_view.run_id == fork.id


def test_the_header_names_the_dataset(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until, heard: Heard
) -> None:
    said = {"messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello!"}]}
    corpus = build_examples_corpus(session.library, [said] * 4, [said], "talks", None, task="chat")
    data = DataSpec(source="dataset", dataset=corpus.sha, task="chat")
    train = dataclasses.replace(tiny_spec.train, steps=2, eval_interval=0, sample_interval=0)
    session.training.start(dataclasses.replace(tiny_spec, data=data, train=train))
    until(lambda: not session.training.active)
    assert not heard.failures
    tab.show_run(session.runs.list()[0].id)
    until(lambda: "talks (Conversations)" in tab.run_view.head.summary.text())


def test_a_remedy_starts_a_new_run_or_asks_for_a_fork(
    tab: TrainingTab, session: Session, source: str, until: Until
) -> None:
    tab.run_view.views.remedy_asked.emit(source, Remedy(words="", changes={"train.lr": 1e-4}))
    until(lambda: len(session.runs.list()) == 2 and not session.training.active)
    new = session.runs.list()[0]
    spec = session.runs.spec(new.id)
    assert spec is not None
    assert (spec.train.lr, new.parent) == (1e-4, None)
    tab.run_view.show_run(source)
    tab.run_view.views.remedy_asked.emit(source, Remedy(words="", changes={"train.lr": 2e-4}, fork_step=8))
    dialog = dialog_of(tab, ForkDialog)
    assert isinstance(dialog, ForkDialog)
    assert (dialog.checkpoint.currentData(), dialog.form.config.lr) == (8, 2e-4)
    dialog.reject()


def test_chatting_with_an_earlier_checkpoint(
    tab: TrainingTab, session: Session, went: list[Route], source: str, until: Until
) -> None:
    session.go(OpenModel(source, step=4))
    until(lambda: session.chat.model is not None)
    assert session.chat.model is not None
    assert (session.chat.model.which, session.chat.model.step) == (source, 4)
    assert ShowPlace("chat") in went


def test_the_menu_controls_the_training(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    session.training.start(long(tiny_spec))
    head = tab.run_view.head
    until(lambda: tab.run_view.live and session.training.state.step >= 2)  # type: ignore[union-attr]
    actions = entries_of(head.more.menu())
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("The bird", True))
    actions["Sample now…"].trigger()
    until(lambda: any(sample.prompt == "The bird" for sample in session.training.history.samples))
    actions["Change the learning rate…"].trigger()
    dialog = dialog_of(tab, LrDialog)
    assert isinstance(dialog, LrDialog)
    assert dialog.scale.value() == pytest.approx(1.0, abs=2e-3)
    dialog.scale.setValue(0.25)
    qtbot.mouseClick(dialog.apply, Qt.MouseButton.LeftButton)
    until(lambda: any(mark.event == "learning rate" for mark in session.training.history.marks))
    actions["Save a checkpoint now"].trigger()
    until(lambda: session.training.state is not None and session.training.state.saved_step is not None)
    actions["Stop and discard the run"].trigger()
    until(lambda: not session.training.active)
    assert session.runs.list() == []


def test_after_a_failed_training_the_menu_of_any_run_works(tab: TrainingTab, session: Session, source: str) -> None:
    head = tab.run_view.head
    head.show_live(TrainingState(name="failed", life=Life(status="stopping")), "none")
    assert not head.more.isEnabled()
    head.show_resting(session.runs.find(source))
    assert head.more.isEnabled()


def test_controls_are_enabled_while_steps_run_and_dialogs_close_at_the_end(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    head = tab.run_view.head
    head.show_live(TrainingState(name="tiny"), "none")
    session.training.start(long(tiny_spec))
    before = [action for words, action in entries_of(head.more.menu()).items() if not words.startswith("Stop")]
    assert before
    assert not any(action.isEnabled() for action in before)
    assert all("Only while it learns" in action.toolTip() for action in before)
    until(lambda: tab.run_view.live and session.training.state.step >= 1)  # type: ignore[union-attr]
    steering = entries_of(head.more.menu())
    assert steering["Pause and free the device"].isEnabled()
    steering["Change the learning rate…"].trigger()
    ends: list[int] = []
    dialog_of(tab, LrDialog).finished.connect(ends.append)
    session.training.stop()
    until(lambda: bool(ends))


def test_settings_are_exported(
    tab: TrainingTab,
    session: Session,
    source: str,
    heard: Heard,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
    until: Until,
) -> None:
    path = session.library.home / "out.toml"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(session.library.home))
    session.go(DoToRun(source, "toml"))
    assert load_spec(path).train == session.runs.spec(source).train  # type: ignore[union-attr]
    assert "terrarium train out.toml" in heard.notices.pop()
    session.go(DoToRun(source, "tensorboard"))
    until(lambda: bool(heard.notices))
    assert f"The curves are in {session.library.home / source}" in heard.notices[-1]
    assert not heard.failures


def test_the_queue_is_shown_reordered_and_emptied(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    assert not tab.queue.isVisibleTo(tab)
    train = dataclasses.replace(tiny_spec.train, steps=1, eval_interval=0, sample_interval=0)
    session.queue.add([dataclasses.replace(tiny_spec, name=name, train=train) for name in ("a", "b", "c")])
    panel = tab.queue
    assert panel.isVisibleTo(tab)
    assert panel.start.isVisibleTo(tab)
    panel.list.setCurrentRow(2)
    qtbot.keyClick(panel.list, Qt.Key.Key_Up, Qt.KeyboardModifier.AltModifier)
    assert [item.name for item in session.queue.waiting] == ["a", "c", "b"]
    assert panel.list.currentRow() == 1
    offered: list[object] = []
    session.notices.deleted.connect(lambda words, undo: offered.append(undo))
    qtbot.keyClick(panel.list, Qt.Key.Key_Delete)
    assert [item.name for item in session.queue.waiting] == ["a", "b"]
    assert panel.list.currentRow() == 1, "the next one, so that the keyboard goes on from there"
    offered[0]()  # type: ignore[operator]
    assert [item.name for item in session.queue.waiting] == ["a", "c", "b"]
    panel.make_menu(session.queue.waiting[2]).actions()[1].trigger()  # “First”
    assert [item.name for item in session.queue.waiting] == ["b", "a", "c"]
    qtbot.mouseClick(panel.start, Qt.MouseButton.LeftButton)
    until(lambda: not session.queue.is_draining and not session.training.active)
    assert [run.name for run in reversed(session.runs.list())] == ["b", "a", "c"]
    assert not panel.isVisibleTo(tab)


def test_an_imported_model_shows_only_scores_and_lineage(
    tab: TrainingTab, library: Library, tiny_config: ModelConfig
) -> None:
    make_run(library, tiny_config, "trained", losses=(3.0, 2.0))
    make_run(library, tiny_config, "from elsewhere", status="imported")
    view = tab.run_view
    view.show_run("trained")
    view.views.show_view("doctor")
    view.show_run("from elsewhere")
    assert view.views.current == "lineage"
    enabled = [name for i, name in enumerate(view.views.names) if view.views.bar.isTabEnabled(i)]
    assert enabled == ["scores", "lineage"]
    assert (view.head.count.text(), view.head.progress.isHidden()) == ("", True)
    assert "seed" not in view.head.summary.text()
    view.show_run("trained")
    assert view.views.current == "doctor"
    assert not view.head.progress.isHidden()


def test_the_list_follows_the_status_of_the_training(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    model = tab.runs.runs
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state is not None and session.training.state.step > 1)
    until(lambda: bool(model.all_runs))
    model.set_query("status:running")
    assert len(model.runs) == 1
    session.training.pause()
    until(lambda: session.training.state is not None and session.training.state.status == "paused")
    assert not model.runs
    session.training.resume()
    until(lambda: session.training.state is not None and session.training.state.status == "running")
    assert len(model.runs) == 1
    session.training.stop()
    until(lambda: not session.training.active)
    assert not model.runs


def test_the_settings_of_a_fine_tuning_say_what_it_trains(tiny_spec: RunSpec, qtbot: QtBot) -> None:
    spec = dataclasses.replace(tiny_spec, tune=TuneSpec(parent="base@4", mode="lora", lora_r=2))
    view = SpecView(spec)
    qtbot.addWidget(view)
    trained, whole = trained_parameters(spec.model, spec.tune), total_parameters(spec.model)
    shown = [label.text() for label in view.findChildren(QLabel)]
    assert shown[shown.index("Train") + 1] == "LoRA"
    assert shown[shown.index("Trained parameters") + 1] == f"{trained.total:,} of {whole + trained.added:,}"
    plain = SpecView(tiny_spec)
    qtbot.addWidget(plain)
    assert "Fine-tuning" not in [label.text() for label in plain.findChildren(QLabel)]
