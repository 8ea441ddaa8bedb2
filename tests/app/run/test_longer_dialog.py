"""A run is trained longer by a button: what is proposed, and what comes of it."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.run.longer_dialog import LongerDialog
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder, rename_run
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import RunSpec
from tests.app.heard import Heard, Until, entries_of, long
from tests.models.training.support import make_run as prepared_run
from tests.models.training.support import train


@pytest.fixture(scope="module")
def trained_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a library with a finished run of 12 steps."""
    library = Library(tmp_path_factory.mktemp("trained"))
    config = ModelConfig(vocab_size=261, context_length=32, n_layer=1, n_head=2, d_model=32)
    train(prepared_run(library, config, steps=12, checkpoint_interval=4), library)
    return library.home


@pytest.fixture
def run_id(trained_home: Path, tab: TrainingTab, session: Session, until: Until) -> str:
    """That run, in the library of the window, and shown."""
    shutil.copytree(trained_home, session.library.home, dirs_exist_ok=True)
    session.runs.changed.emit()
    (run,) = session.runs.list()
    rename_run(run.folder, "little")
    tab.show_run(run.id)
    until(lambda: tab.run_view.follower.is_loaded)
    return run.id


def dialog_of(tab: TrainingTab) -> LongerDialog:
    (dialog,) = tab.window().findChildren(LongerDialog)
    return dialog


def choose(dialog: LongerDialog, words: str) -> None:
    (button,) = (each for each in dialog.choices.buttons() if each.text() == words)
    button.click()


def test_a_finished_run_goes_on_as_a_new_one(
    tab: TrainingTab, session: Session, run_id: str, heard: Heard, until: Until
) -> None:
    tab.run_view.head.longer.click()
    dialog = dialog_of(tab)
    assert next(each.text() for each in dialog.choices.buttons()) == "As long again"
    assert dialog.n_more == 12
    choose(dialog, "Twice as long again")
    assert dialog.name.text() == "little, 36 steps"
    assert "rises again" in dialog.about.text()
    dialog.start.click()
    until(lambda: any(info.status == "finished" and info.step == 36 for info in session.runs.list()))
    assert not heard.failures
    longer = RunFolder.open(next(info.folder for info in session.runs.list() if info.id != run_id))
    rows = [row for row in longer.read_metrics() if row["kind"] == "train"]
    assert [row["step"] for row in rows] == list(range(1, 37)), "its curves go on"
    assert session.runs.find(run_id).step == 12, "the run itself stays as it is"


def test_a_number_that_is_typed_is_what_is_chosen(tab: TrainingTab, run_id: str) -> None:
    tab.run_view.head.longer.click()
    dialog = dialog_of(tab)
    dialog.steps.setValue(60)
    assert dialog.n_more == 60
    assert dialog.name.text() == "little, 72 steps"
    choose(dialog, "As long again")
    assert dialog.n_more == 12
    choose(dialog, "Another number of steps:")
    assert dialog.n_more == 60


def test_enter_after_a_number_trains_or_queues_it(
    tab: TrainingTab, session: Session, run_id: str, tiny_spec: RunSpec, qtbot: QtBot, until: Until
) -> None:
    tab.run_view.head.longer.click()
    dialog = dialog_of(tab)
    dialog.show()
    dialog.steps.setValue(3)
    assert dialog.start.isDefault()
    session.training.start(long(tiny_spec))
    until(lambda: not dialog.start.isEnabled())
    qtbot.keyClick(dialog.steps, Qt.Key.Key_Return)
    until(lambda: [item.name for item in session.queue.waiting] == ["little, 15 steps"])
    session.queue.hold()
    session.training.stop()
    until(lambda: not session.training.active)


def test_a_stopped_run_resumes_or_goes_beyond_its_plan(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: tab.run_view.live and session.training.state.step >= 2)  # type: ignore[union-attr]
    session.training.stop()
    until(lambda: not session.training.active)
    (info,) = session.runs.list()
    tab.do(info.id, "longer")
    dialog = dialog_of(tab)
    assert [each.text() for each in dialog.choices.buttons()][:2] == ["To the end of its plan", "As long again"]
    assert dialog.n_more == 1_000_000 - info.step
    assert not dialog.name.isVisible(), "it is the same run"
    dialog.start.click()
    until(lambda: session.training.trains(info.id))
    session.training.stop()
    until(lambda: not session.training.active)
    assert len(session.runs.list()) == 1


def test_a_run_that_stopped_early_says_so_and_is_not_resumed(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, heard: Heard, until: Until
) -> None:
    rate = {"lr": 1.0, "schedule": "constant", "warmup_steps": 0}  # at which no validation is better than the first
    train = dataclasses.replace(tiny_spec.train, steps=40, eval_interval=2, patience=2, **rate)
    session.training.start(dataclasses.replace(tiny_spec, train=train))
    until(lambda: session.training.state is not None and session.training.state.is_over)
    (info,) = session.runs.list()
    until(lambda: not tab.run_view.live)
    head = tab.run_view.head
    assert head.note.text() == info.early_stop
    assert info.early_stop.startswith("It stopped at step 4: 2 validations without a lower loss.")
    assert heard.notices == [f"“{info.name}”: {info.early_stop}"]
    assert not head.resume_saved.isVisible()
    assert head.longer.isVisible()
    resume = entries_of(tab.runs.make_menu(info.id))["Resume training"]
    assert not resume.isEnabled()
    assert "continues from there" in resume.toolTip().replace("\n", " ")
    head.longer.click()
    dialog = dialog_of(tab)
    choose(dialog, "To the end of its plan")
    assert dialog.name.isVisible(), "it is another run"
    dialog.start.click()
    until(lambda: any(each.status == "finished" and each.step == 40 for each in session.runs.list()))


def test_while_another_run_trains_it_is_queued(
    tab: TrainingTab, session: Session, run_id: str, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(long(tiny_spec))
    until(lambda: session.training.state.step >= 1)  # type: ignore[union-attr]
    tab.do(run_id, "longer")
    dialog = dialog_of(tab)
    assert not dialog.start.isEnabled()
    assert "add this one to the queue" in dialog.start.toolTip()
    dialog.wait.click()
    until(lambda: [item.name for item in session.queue.waiting] == ["little, 24 steps"])
    session.queue.hold()
    session.training.stop()
    until(lambda: not session.training.active)


def test_an_imported_model_says_why_not_and_offers_a_fine_tuning(
    tab: TrainingTab, session: Session, run_id: str
) -> None:
    RunFolder.open(session.runs.find(run_id).folder).update(status="imported")
    session.runs.changed.emit()
    entries_of(tab.runs.make_menu(run_id))["Train longer…"].trigger()
    dialog = dialog_of(tab)
    assert "without the state of its optimizer" in dialog.problem
    dialog.tune.click()
    form = tab.new_run
    assert tab.pages.currentWidget() is form
    assert form.choices.start.run_id == run_id
    assert "Choose at least one text file" in form.draft.problem, "it asks for the data"


def test_fine_tuning_starts_from_the_run_and_asks_for_data(
    tab: TrainingTab, run_id: str, tiny_spec: RunSpec, until: Until
) -> None:
    tab.run_view.head.tune.click()
    form = tab.new_run
    assert form.choices.start.run_id == run_id
    until(lambda: not form.start.isEnabled())
    form.data.set_files(tiny_spec.data.files)
    spec = form.draft.spec()
    assert spec.tune is not None
    assert spec.tune.parent == run_id
