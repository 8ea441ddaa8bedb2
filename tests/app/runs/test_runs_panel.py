"""The column of the runs: searching, sorting, selecting, notes, and runs that other processes write."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from PySide6.QtCore import QItemSelectionModel, Qt
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.follower import RunFollower
from terrarium.app.runs.runs_panel import NotesDialog, RunsPanel
from terrarium.app.session.run_history import RunHistory
from terrarium.app.session.session import Session
from terrarium.models.library.run_notes import read_notes, write_notes
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.record import metrics_row
from tests import ROOT
from tests.app.heard import Heard
from tests.app.leading import FewTabs
from tests.runs_on_disk import make_run, metrics_line

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def some_runs(session: Session, tiny_config: ModelConfig) -> list[Path]:
    """Four runs, a the oldest and best; b and c are tagged."""
    library = session.library
    folders = [
        make_run(library, tiny_config, name, losses=(loss,), created=f"2026-01-0{i}T00:00:00")
        for i, (name, loss) in enumerate((("a", 1.0), ("b", 2.0), ("c", 3.0), ("d", 4.0)), start=1)
    ]
    write_notes(folders[1], "", ("sweep",))
    write_notes(folders[2], "Diverged.", ("sweep",))
    return folders


@pytest.fixture
def panel(some_runs: list[Path], session: Session, theme: ThemeProvider, qtbot: QtBot) -> RunsPanel:
    panel = RunsPanel(session, theme)
    FewTabs(session, training=MagicMock(do=panel.do))
    qtbot.addWidget(panel)
    panel.resize(256, 700)
    panel.show()
    return panel


def looked(panel: RunsPanel) -> RunsPanel:
    """The panel, which does not wait for its clock to look at the library again."""
    panel.list.runs.poll()
    return panel


def names(panel: RunsPanel) -> str:
    return "".join(run.name for run in panel.list.runs.runs)


def test_runs_are_found_and_sorted(panel: RunsPanel, until: Until) -> None:
    assert names(panel) == "dcba"
    until(lambda: all(run.best_loss is not None and run.size_bytes for run in panel.list.runs.all_runs))
    panel.order.setCurrentIndex(panel.order.findData("best"))
    assert names(panel) == "abcd"
    panel.search.setText("tag:sweep")
    assert names(panel) == "bc"
    panel.search.setText("tag:sweep diverged")
    assert names(panel) == "c"
    panel.search.setText("nothing like it")
    assert panel.pages.currentWidget() is panel.no_match
    panel.search.clear()
    assert names(panel) == "abcd"
    panel.grab()


def test_runs_hidden_by_a_search_stay_chosen(panel: RunsPanel, qtbot: QtBot) -> None:
    chosen: list[str] = []
    panel.run_chosen.connect(chosen.append)
    assert panel.list.choose("a")
    panel.search.setText("tag:sweep")
    panel.search.setText("")
    assert (chosen, panel.list.current_id) == (["a"], "a")
    assert [index.row() for index in panel.list.selectedIndexes()] == [3]


def test_several_runs_are_compared_or_deleted(panel: RunsPanel, session: Session, heard: Heard, qtbot: QtBot) -> None:
    told: list[object] = []
    panel.runs_selected.connect(told.append)
    panel.run_chosen.connect(told.append)
    places = [panel.list.visualRect(panel.list.runs.index(row)).center() for row in range(4)]
    view = panel.list.viewport()
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, pos=places[0])
    qtbot.mouseClick(view, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.ControlModifier, places[2])
    assert told == ["d", "d", ("d", "b")]  # the second is the click, after which the chosen one is shown again
    assert [action.text() for action in panel.list.make_menu("b").actions() if action.text()] == [
        "Compare 2 runs",
        "Delete 2 runs",
    ]
    assert panel.compare_button.isVisibleTo(panel)
    panel.list.setFocus()
    qtbot.keyClick(panel.list, Qt.Key.Key_Delete)
    assert {run.name for run in session.runs.list()} == {"a", "c"}
    assert len(heard.deleted) == 1
    heard.deleted[0]()
    assert names(panel) == "dcba"
    session.runs.delete(("b", "gone", "d"))
    assert "no longer in the library" in heard.failures.pop()
    assert (names(panel), panel.list.chosen) == ("ca", ("c",))


def test_a_run_is_renamed_and_gets_notes(
    panel: RunsPanel, session: Session, some_runs: list[Path], monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    panel.list.choose("a")
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("better", True))
    panel.list.setFocus()
    qtbot.keyClick(panel.list, Qt.Key.Key_F2)
    assert names(panel) == "dcbbetter"
    dialog = NotesDialog(session, session.runs.find("a"), ["sweep"])
    qtbot.addWidget(dialog)
    dialog.tags.setText("base line, sweep,, sweep")
    dialog.notes.setPlainText("As good as it gets.\n")
    dialog.accept()
    assert read_notes(some_runs[0]).tags == ("base-line", "sweep")
    panel.search.setText("tag:base-line good")
    assert names(panel) == "better"


def test_a_vanished_run_is_reported_without_a_dialog(
    panel: RunsPanel, session: Session, some_runs: list[Path], heard: Heard
) -> None:
    n = panel.list.runs.rowCount()
    for do in (panel.rename, panel.edit_notes, panel.reveal):
        shutil.move(some_runs[0], some_runs[0].parent.parent)
        do("a")
        assert "no longer in the library" in heard.notices.pop()
        assert panel.list.runs.rowCount() == n - 1
        shutil.move(some_runs[0].parent.parent / some_runs[0].name, some_runs[0])
        session.runs.changed.emit()


def test_damaged_notes_are_shown_and_not_overwritten(
    session: Session, some_runs: list[Path], qtbot: QtBot, heard: Heard
) -> None:
    (some_runs[1] / "notes.json").write_text("{")
    dialog = NotesDialog(session, session.runs.find("b"), [])
    qtbot.addWidget(dialog)
    assert not dialog.notes.isEnabled()
    assert not session.runs.set_notes("b", "new", ())
    assert (some_runs[1] / "notes.json").read_text() == "{"


def test_runs_of_other_processes_appear_and_update(
    panel: RunsPanel, session: Session, tiny_config: ModelConfig, until: Until
) -> None:
    panel.list.choose("b")
    folder = make_run(session.library, tiny_config, "e", losses=(3.0,), created="2026-02-01T00:00:00", status="queued")
    until(lambda: names(looked(panel)) == "edcba")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(metrics_line("val", 200, 0.5))
    until(lambda: [(run.step, run.best_loss) for run in looked(panel).list.runs.runs[:1]] == [(200, 0.5)])
    assert panel.list.runs.facts(panel.list.runs.runs[0])[0] == "Lowest loss 0.500"
    assert panel.list.current_id == "b"
    assert [index.row() for index in panel.list.selectedIndexes()] == [3]
    panel.grab()


def test_the_score_of_a_task_says_that_it_is_of_the_validation(
    panel: RunsPanel, some_runs: list[Path], until: Until
) -> None:
    measured = metrics_row("val", step=9, tokens=9, elapsed_s=9.0, loss=0.1, metric="accuracy", metric_value=1.0)
    with (some_runs[3] / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(measured) + "\n")
    until(lambda: looked(panel).list.runs.runs[0].best_metric is not None)
    model = panel.list.runs
    words = "Accuracy 100.0\N{NO-BREAK SPACE}% on validation"
    assert model.facts(model.runs[0])[0] == words
    assert f"best {words}" in model.data(model.index(0), Qt.ItemDataRole.ToolTipRole)


def test_a_run_not_read_yet_is_chosen_when_it_appears(
    panel: RunsPanel, session: Session, tiny_config: ModelConfig, until: Until
) -> None:
    make_run(session.library, tiny_config, "new", losses=(3.0,))
    assert not panel.list.choose("new")
    panel.list.reload()
    until(lambda: panel.list.current_id == "new")


def test_the_selection_survives_reordering(panel: RunsPanel, until: Until) -> None:
    until(lambda: all(run.best_loss for run in panel.list.runs.all_runs))
    for row in (0, 2):
        panel.list.selectionModel().select(panel.list.runs.index(row), QItemSelectionModel.SelectionFlag.Select)
    assert panel.list.chosen == ("d", "b")
    panel.order.setCurrentIndex(panel.order.findData("name"))
    assert [panel.list.runs.runs[index.row()].name for index in sorted(panel.list.selectedIndexes())] == ["b", "d"]


_TRAINS = """
import itertools, sys, time
from pathlib import Path
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.training.record import metrics_row
run = RunFolder.open(Path(sys.argv[1]))
run.acquire()
run.update(status="running")
for step in itertools.count(1):
    run.append("metrics", metrics_row("train", step=step, tokens=step, elapsed_s=0.01 * step, loss=1.0))
    time.sleep(0.01)
"""
"""What another process does that trains a run, but for the training."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_run_trained_elsewhere_is_followed_and_shown_as_interrupted(
    panel: RunsPanel, session: Session, tiny_config: ModelConfig, until: Until
) -> None:
    folder = make_run(session.library, tiny_config, "tiny", created="2026-02-01T00:00:00")
    process = subprocess.Popen([sys.executable, "-c", _TRAINS, str(folder)], cwd=ROOT)
    model, follower, history = panel.list.runs, RunFollower(panel), RunHistory()
    try:
        until(lambda: any(run.name == "tiny" and run.status == "running" and run.step > 3 for run in model.runs))
        run = next(run for run in model.runs if run.name == "tiny")
        follower.follow(run.folder, history)
        until(lambda: len(history.train) > 3)
        seen = len(history.train)
        until(lambda: len(history.train) > seen)
        assert history.train["step"].tolist() == list(range(1, len(history.train) + 1))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        follower.stop()
    until(lambda: next(run for run in model.runs if run.name == "tiny").status == "interrupted")


def test_names_and_notes_that_look_like_markup_are_tips_as_they_are(
    session: Session, tiny_config: ModelConfig, theme: ThemeProvider, qtbot: QtBot
) -> None:
    folder = make_run(session.library, tiny_config, "plain", losses=(1.0,))
    assert session.runs.rename(folder.name, "<h1>big</h1>")
    write_notes(folder, "<img src='x'>", ("<b>",))
    panel = RunsPanel(session, theme)
    qtbot.addWidget(panel)
    tip = str(panel.list.runs.index(0, 0).data(Qt.ItemDataRole.ToolTipRole))
    assert "&lt;h1&gt;big&lt;/h1&gt;" in tip
    assert "<h1>" not in tip
    assert "<img" not in tip
