"""The training tab: making a run, watching it, and the list of runs."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog, QMenu, QWidget
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.plots.curve_points import smooth
from terrarium.app.runs.run_actions import run_actions
from terrarium.app.runs.run_model import loss_points
from terrarium.app.session.run_history import RunHistory, Table
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.events import Finished, SampleMade, TrainMetrics, ValMetrics
from terrarium.models.library.run_record import RunInfo
from terrarium.models.recipes.job import RunJob
from terrarium.models.recipes.quickstart import QuickStart
from terrarium.models.runs.run_queue import RunQueue
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.run_spec import DataSpec, RunSpec
from tests.app.heard import entries_of
from tests.app.leading import FewTabs
from tests.runs_on_disk import make_run

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tab(session: Session, theme: ThemeProvider, qtbot: QtBot) -> TrainingTab:
    """The shown tab over an empty library."""
    tab = TrainingTab(session, theme)
    FewTabs(session, training=tab)
    qtbot.addWidget(tab)
    tab.resize(1280, 640)
    tab.show()
    return tab


@pytest.fixture
def run(tab: TrainingTab, session: Session, tiny_config: ModelConfig, until: Until) -> RunInfo:
    """A finished run of 12 steps, which is shown."""
    config = dataclasses.replace(tiny_config, n_layer=1)
    make_run(session.library, config, "tiny", losses=[3.0 - step / 8 for step in range(12)], steps=12)
    session.runs.changed.emit()
    tab.show_run("tiny")
    until(lambda: tab.run_view.follower.is_loaded)
    return session.runs.list()[0]


def endless(spec: RunSpec) -> RunSpec:
    return dataclasses.replace(spec, train=dataclasses.replace(spec.train, steps=1_000_000, checkpoint_interval=1000))


def test_a_run_is_made_with_the_form_and_watched_to_its_end(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    session.designs.set(tiny_spec.model)
    new = tab.new_run
    new.data.source.setCurrentIndex(new.data.source.findData("files"))
    until(lambda: not new.start.isEnabled())
    assert "Choose at least one text file" in new.draft.problem
    new.data.set_files(("gone.txt",))
    new.form.set_config(tiny_spec.train)
    new.name.setText("grown by hand")
    until(lambda: new.start.isEnabled())
    qtbot.mouseClick(new.start, Qt.MouseButton.LeftButton)
    until(lambda: not session.training.active)
    assert session.runs.list() == []
    assert new.name.text() == "grown by hand", "nothing typed is lost"
    new.data.set_files(tiny_spec.data.files)
    until(lambda: new.start.isEnabled())
    qtbot.mouseClick(new.start, Qt.MouseButton.LeftButton)
    assert session.training.active
    until(lambda: not session.training.active)
    assert tab.runs.current_id == session.training.state.run_id  # type: ignore[union-attr]
    assert tab.run_view.run_id == tab.runs.current_id
    assert not tab.run_view.live
    (run,) = session.runs.list()
    assert (run.name, run.status, run.step) == ("grown by hand", "finished", 12)
    assert tab.run_view.head.chat.isVisibleTo(tab)
    assert not tab.run_view.head.resume_saved.isVisibleTo(tab)


def test_the_buttons_follow_the_state_of_the_run(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until, qtbot: QtBot
) -> None:
    session.training.start(endless(tiny_spec))
    view, head = tab.run_view, tab.run_view.head
    until(lambda: view.live and session.training.state.step >= 1)  # type: ignore[union-attr]
    qtbot.mouseClick(head.pause, Qt.MouseButton.LeftButton)
    until(lambda: head.resume.isVisibleTo(tab) and head.resume.isEnabled())
    assert not head.pause.isVisibleTo(tab)
    step = session.training.state.step  # type: ignore[union-attr]
    qtbot.mouseClick(head.step, Qt.MouseButton.LeftButton)
    until(lambda: session.training.state.step == step + 1 and head.step.isEnabled())  # type: ignore[union-attr]
    qtbot.mouseClick(head.resume, Qt.MouseButton.LeftButton)
    until(lambda: head.pause.isVisibleTo(tab) and session.training.state.step > step + 1)  # type: ignore[union-attr]
    qtbot.mouseClick(head.stop, Qt.MouseButton.LeftButton)
    until(lambda: not session.training.active)
    until(lambda: head.resume_saved.isVisibleTo(tab))
    assert session.runs.list()[0].status == "stopped"
    qtbot.mouseClick(head.resume_saved, Qt.MouseButton.LeftButton)
    until(lambda: view.live and session.training.state.status == "running")  # type: ignore[union-attr]
    session.training.stop()
    until(lambda: not session.training.active)
    assert head.resume_saved.text() == "Resume training"
    saved = session.runs.list()[0].step
    qtbot.mouseClick(head.resume_saved, Qt.MouseButton.LeftButton)
    until(lambda: view.live and session.training.state.step > saved)  # type: ignore[union-attr]
    session.training.stop(keep=False)
    until(lambda: not session.training.active)
    assert head.resume_saved.text() == f"Resume from step {saved:,}"


@pytest.mark.usefixtures("little_quickstart")
def test_a_quick_start_that_was_cut_off_before_its_evaluation_is_evaluated(
    tab: TrainingTab, session: Session, story_file: Path, until: Until, qtbot: QtBot
) -> None:
    job = RunJob(session.library, QuickStart(0.001, files=[story_file]), device="cpu")
    events = job.events()
    assert next(event for event in events if isinstance(event, Finished))
    events.close()  # as when the program is killed there
    assert job.run is not None
    session.runs.changed.emit()
    tab.show_run(job.run.id)
    head = tab.run_view.head
    until(lambda: head.resume_saved.isVisibleTo(tab))
    assert head.resume_saved.text() == "Evaluate now"
    assert "its model was not evaluated" in head.resume_saved.toolTip()
    qtbot.mouseClick(head.resume_saved, Qt.MouseButton.LeftButton)
    until(lambda: session.training.state is not None and session.training.state.is_over)
    assert session.training.state is not None
    assert session.training.state.has_result
    until(lambda: not head.resume_saved.isVisibleTo(tab))
    assert not session.runs.find(job.run.id).can_resume


def test_a_run_shows_its_own_settings_not_the_forms(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, run: RunInfo
) -> None:
    tab.new_run.form.set_config(dataclasses.replace(tiny_spec.train, steps=999))
    session.designs.choose("gpt2-tiny")
    tab.show_new_run()
    tab.show_run(run.id)
    assert "1 layer × 32" in tab.run_view.head.summary.text()
    assert "step 12 of 12" in tab.run_view.head.count.text()


@pytest.mark.usefixtures("run")
def test_runs_are_renamed_deleted_and_restored(
    tab: TrainingTab, session: Session, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    undos: list[Callable[[], None]] = []
    session.notices.deleted.connect(lambda words, undo: undos.append(undo))
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("better", True))
    tab.runs.setFocus()
    qtbot.keyClick(tab.runs, Qt.Key.Key_F2)
    assert session.runs.list()[0].name == "better"
    qtbot.keyClick(tab.runs, Qt.Key.Key_Delete)
    assert session.runs.list() == []
    assert tab.pages.currentWidget() is tab.new_run
    undos[0]()
    assert tab.runs.runs.rowCount() == 1


def test_the_menu_offers_what_is_possible(tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until) -> None:
    session.training.start(endless(tiny_spec))
    until(lambda: tab.run_view.live and session.training.state.step >= 1)  # type: ignore[union-attr]
    run_id = tab.run_view.run_id
    listed = entries_of(tab.runs.make_menu(run_id))
    assert listed.keys() == entries_of(tab.run_view.head.more.menu()).keys(), "it is one menu"
    grey = {words: action.toolTip() for words, action in listed.items() if not action.isEnabled()}
    assert {"Resume training", "Train longer…", "Delete"} <= grey.keys()
    assert all(grey.values()), "each says why"
    session.training.stop()
    until(lambda: not session.training.active)
    listed = entries_of(tab.runs.make_menu(run_id))
    assert listed.keys() == entries_of(tab.run_view.head.more.menu()).keys()
    assert all(entry.isEnabled() for entry in listed.values())
    head = tab.run_view.head.more.menu()
    until(lambda: len(head.findChildren(QMenu)) == 1)  # however often it was opened


def test_a_menu_that_was_open_while_its_run_ended_stops_no_other(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    training = session.training
    training.start(endless(tiny_spec))
    until(lambda: tab.run_view.live and training.state.step >= 1)  # type: ignore[union-attr]
    menu = tab.runs.make_menu(tab.run_view.run_id)
    entries = entries_of(menu)
    training.stop()
    until(lambda: not training.active)
    training.start(endless(tiny_spec))
    until(lambda: training.state is not None and training.state.step >= 1)
    for words in ("Stop and discard the run", "Stop without saving", "Pause and free the device"):
        entries[words].trigger()
        assert training.state is not None
        assert not training.state.wants_stop, words
    training.stop()
    until(lambda: not training.active)


def test_a_damaged_run_is_listed_with_its_problem(tab: TrainingTab, session: Session, run: RunInfo) -> None:
    (run.folder / "run.json").write_text("{", "utf-8")
    broken = session.library.runs / "broken"
    broken.mkdir()
    session.runs.changed.emit()
    assert tab.runs.runs.rowCount() == 2
    assert {tab.runs.runs.status(info) for info in tab.runs.runs.runs} == {"damaged"}
    tab.show_run(run.id)
    tab.grab()


def test_an_impossible_form_cannot_start(tab: TrainingTab, session: Session, until: Until) -> None:
    new = tab.new_run
    assert new.draft.spec().data.source == "tiny-world"
    assert new.draft.spec().train.prompts
    new.data.source.setCurrentIndex(new.data.source.findData("stdlib"))
    until(lambda: new.draft.spec().train.prompts == ("Return the ",))
    assert new.draft.spec().tokenizer.kind == "bpe"
    assert new.draft.spec().name


def test_a_training_that_ends_before_it_has_a_run_leads_back_to_the_form(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, tmp_path: Path, until: Until
) -> None:
    no_text = dataclasses.replace(tiny_spec, data=dataclasses.replace(tiny_spec.data, files=(str(tmp_path / "no"),)))
    session.training.start(no_text)
    assert tab.pages.currentWidget() is tab.run_view
    until(lambda: not session.training.active)
    assert tab.pages.currentWidget() is tab.new_run
    assert not tab.run_view.head.stop.isEnabled()


def test_a_paused_run_is_resumed_after_the_one_that_trains(
    tab: TrainingTab, session: Session, run: RunInfo, tiny_spec: RunSpec, until: Until
) -> None:
    """Its menu offers that instead of a resume; a run that has come to its end has neither."""
    training = session.training
    training.start(endless(tiny_spec))
    until(lambda: training.state is not None and training.state.step >= 2)
    training.stop()
    until(lambda: not training.active)
    paused = next(info for info in session.runs.list() if info.id != run.id)
    training.start(dataclasses.replace(endless(tiny_spec), name="other"))
    until(lambda: training.state is not None and training.state.step >= 1)

    def first(run_id: str) -> tuple[str, bool]:
        (action, *_), *_ = (group.actions for group in run_actions(session, run_id))
        return action.name, not action.problem

    assert first(run.id) == ("resume", False)
    assert first(paused.id) == ("queue", True)
    tab.do(paused.id, "queue")
    assert [item.run for item in session.queue.waiting] == [paused.id]
    session.queue.remove(session.queue.waiting[0].id)
    training.stop()
    until(lambda: not training.active)
    assert first(paused.id) == ("resume", True)


def test_the_queue_does_not_switch_pages(tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until) -> None:
    short = dataclasses.replace(tiny_spec.train, steps=1, eval_interval=0, sample_interval=0)
    first = dataclasses.replace(tiny_spec, name="first", train=short)
    second = dataclasses.replace(endless(tiny_spec), name="second")
    session.training.start(first)
    session.queue.add([second])
    until(
        lambda: (
            session.training.state is not None
            and session.training.state.name == "second"
            and session.training.state.step > 0
        )
    )
    assert tab.pages.currentWidget() is tab.run_view  # the one before it was looked at
    assert tab.run_view.live
    tab.show_new_run()
    session.training.stop()
    until(lambda: not session.training.active and not session.queue.waiting)
    assert tab.pages.currentWidget() is tab.new_run
    assert tab.runs.current_id == ""


def test_the_run_in_view_stays_where_the_next_one_cannot_start(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, tmp_path: Path, until: Until
) -> None:
    short = dataclasses.replace(tiny_spec.train, steps=1, eval_interval=0, sample_interval=0)
    gone = DataSpec(source="files", files=(str(tmp_path / "no.txt"),))
    shown: list[QWidget] = []
    session.training.start(dataclasses.replace(tiny_spec, name="first", train=short))
    session.queue.add([dataclasses.replace(tiny_spec, name="second", data=gone)])
    until(lambda: tab.run_view.run_id != "")
    tab.pages.currentChanged.connect(lambda: shown.append(tab.pages.currentWidget()))
    until(lambda: any(item.problem for item in session.queue.waiting) and not session.training.active)
    assert tab.run_view.run_id == session.runs.list()[0].id
    assert shown == []


def test_a_run_of_the_users_is_shown_after_the_queue_could_start_none(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    for name in ("deleted", "deleted too"):
        RunQueue(session.library).add_run(name, name)
    session.queue.start()
    until(lambda: not session.queue.is_draining)
    assert all(item.problem for item in session.queue.waiting)
    session.training.start(tiny_spec)
    assert tab.pages.currentWidget() is tab.run_view
    until(lambda: not session.training.active)


def test_a_run_that_ended_here_is_followed_when_another_process_resumes_it(
    tab: TrainingTab, session: Session, tiny_spec: RunSpec, until: Until
) -> None:
    session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    run, history = session.runs.list()[0], tab.run_view.history
    until(lambda: tab.run_view.follower.is_loaded)
    pace = {"tokens_per_s": 1.0, "seconds_left": 0.0}
    row = TrainMetrics(step=13, total_steps=20, tokens=1, elapsed_s=9.0, loss=1.0, lr=1e-3, grad_norm=1.0, **pace)
    with (run.folder / "metrics.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps({"kind": "train", **dataclasses.asdict(row)}) + "\n")
    tab.run_view.follower.poll()
    until(lambda: history.train["step"][-1] == 13)


def test_a_vanished_run_is_reported_and_leaves_the_list(tab: TrainingTab, session: Session, run: RunInfo) -> None:
    shutil.rmtree(run.folder)
    said: list[str] = []
    session.notices.notified.connect(said.append)
    tab.run_view.show_run(run.id)
    assert "no longer in the library" in said[0]
    assert tab.pages.currentWidget() is tab.new_run
    assert tab.runs.runs.rowCount() == 0


# -- What the charts are made of --------------------------------------------------------------------------


def test_smoothing_is_the_moving_average_without_its_bias() -> None:
    values = np.array([5.0, 1.0, np.nan, 3.0, 2.0, 8.0])
    shown = smooth(values, 0.8)
    total = weight = 0.0
    for value, got in zip(values, shown, strict=True):
        total, weight = 0.8 * total, 0.8 * weight
        if np.isfinite(value):
            total, weight = total + value, weight + 1.0
            assert got == pytest.approx(total / weight)
        else:
            assert np.isnan(got)
    assert smooth(values, 0.0) is values


def test_a_table_grows_and_keeps_its_rows() -> None:
    table = Table(("step", "loss"))
    for i in range(1000):
        table.append({"step": i, "loss": None if i == 3 else i / 2})
    assert len(table) == 1000
    assert table["step"][-1] == 999
    assert np.isnan(table["loss"][3])


def test_history_is_the_same_from_rows_and_from_events() -> None:
    train = {"step": 1, "tokens": 64, "elapsed_s": 0.5, "loss": 5.0, "lr": 0.1, "grad_norm": 1.0, "tokens_per_s": 10.0}
    val = {"step": 1, "tokens": 64, "elapsed_s": 0.5, "loss": 4.5, "bits_per_byte": 2.0}
    sample = {"step": 1, "prompt": "a", "seed": 3, "text": "b", "top": [[1, 0.5]]}
    rows = RunHistory()
    rows.take("metrics", [{"kind": "train", **train}, {"kind": "val", **val}, {"kind": "later"}])
    rows.take("samples", [sample])
    live = RunHistory()
    live.add(TrainMetrics(total_steps=2, seconds_left=1.0, **train))  # type: ignore[arg-type]
    live.add(ValMetrics(**val))  # type: ignore[arg-type]
    live.add(SampleMade(step=1, prompt="a", seed=3, text="b", top=((1, 0.5),)))
    assert rows.train["loss"].tolist() == live.train["loss"].tolist() == [5.0]
    assert rows.val["bits_per_byte"].tolist() == live.val["bits_per_byte"].tolist() == [2.0]
    assert rows.samples == live.samples


def test_rows_of_an_unknown_shape_are_left_out() -> None:
    good = {"step": 1, "prompt": "a", "text": "b", "top": []}
    strange = (
        {},
        {**good, "step": None},
        {**good, "step": math.inf},
        {**good, "top": [1]},
        {**good, "top": [["x", 1]]},
    )
    metrics = [{"kind": "train"}, {"kind": "val", "step": "x"}, {"kind": ["train"]}, {"kind": "train", "step": 2}]
    rows = RunHistory()
    rows.take("metrics", [*metrics, {"kind": "val", "step": 2, "loss": "low"}])
    rows.take("samples", [*strange, good])
    assert rows.train["step"].tolist() == [2]
    assert len(rows.val) == 0
    assert [sample.text for sample in rows.samples] == ["b"]


def test_a_sparkline_reads_few_points_of_a_long_file(tmp_path: Path) -> None:
    assert loss_points(tmp_path) == ()
    lines = [f'{{"kind": "train", "step": {i}, "loss": {10 - i / 1000}}}' for i in range(5000)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"kind": "tr', "utf-8")
    points = loss_points(tmp_path)
    assert 40 <= len(points) <= 48
    assert list(points) == sorted(points, reverse=True)
    assert points[0] == 10.0
