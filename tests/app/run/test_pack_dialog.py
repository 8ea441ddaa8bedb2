"""Saving a run as one file from the window, and opening it there: by menu, by drop, and several at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QFileDialog, QPushButton
from pytestqt.qtbot import QtBot

from terrarium.app.kit.file_dialogs import dropped_paths
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.run.pack_dialog import PackDialog
from terrarium.app.session.routes import DoToRun, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.events import result_of
from terrarium.models.library.run_record import checkpoint_step
from terrarium.models.runs.run_file.unpacking import unpack_run
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.run_spec import RunSpec
from tests.app.heard import Heard, Until


@pytest.fixture
def window(qtbot: QtBot, session: Session, theme: ThemeProvider) -> Iterator[MainWindow]:
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    yield window
    session.close()


@pytest.fixture
def run_id(session: Session, tiny_spec: RunSpec, until: Until) -> str:
    assert session.training.start(tiny_spec)
    until(lambda: not session.training.active)
    return session.runs.list()[0].id


def dropped(window: MainWindow, *paths: Path) -> bool:
    """Drop files on it; whether it took them, which no page did before."""
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPoint(9, 9), Qt.DropAction.CopyAction, data, buttons, keys)
    event.ignore()
    runs_only = all(path.suffix == ".terrarium" for path in paths)
    assert bool(dropped_paths(event)) != runs_only, "pages take other files, and leave these to the window"
    window.dragEnterEvent(event)  # type: ignore[arg-type]  # all that it reads is in both
    if event.isAccepted():
        window.dropEvent(event)
    return event.isAccepted()


def test_saved_and_opened_in_the_window(
    window: MainWindow,
    session: Session,
    theme: ThemeProvider,
    heard: Heard,
    run_id: str,
    until: Until,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "mine.terrarium"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(file.with_suffix("")), ""))
    window.session.go(ShowRun(run_id))
    view = window.training.run_view
    window.session.go(DoToRun(run_id, "file"))
    (dialog,) = window.findChildren(PackDialog)
    assert dialog.all_checkpoints.isEnabled()
    dialog.all_checkpoints.setChecked(True)
    next(each for each in dialog.findChildren(QPushButton) if each.text() == "Save…").click()
    assert view.packer.progress is not None
    until(lambda: not view.packer.busy)
    assert not heard.failures
    assert view.packer.progress is None
    assert heard.notices[-1].startswith(f"Saved as {file}, ")

    assert not dropped(window, tmp_path / "text.txt", file)
    assert dropped(window, file, file)
    until(lambda: len(session.runs.list()) == 3 and not window.imports.importer.busy)
    assert not heard.failures
    names = {info.name for info in session.runs.list()}
    assert names == {"tiny", "tiny 2", "tiny 3"}
    until(lambda: view.run_id == next(info.id for info in session.runs.list() if info.name == "tiny 3"))
    opened = RunFolder.open(session.runs.find(view.run_id).folder)
    original = RunFolder.open(session.runs.find(run_id).folder)
    assert [checkpoint_step(path) for path in opened.checkpoints()] == [
        checkpoint_step(path) for path in original.checkpoints()
    ]
    until(lambda: len(view.history.val) > 0)
    view.views.show_view("machine")
    assert view.views.current == "machine", "as of a run that was trained here"
    assert any("is now in your library" in sentence for sentence in window.toasts.sentences)


def test_a_file_that_is_none_is_one_sentence(
    window: MainWindow, session: Session, heard: Heard, until: Until, tmp_path: Path
) -> None:
    file = tmp_path / "x.terrarium"
    file.write_bytes(b"no")
    window.imports.open_files([file])
    until(lambda: len(heard.failures) == 1)
    assert "no Terrarium file" in heard.failures[0]
    assert session.runs.list() == []


def test_cancelled_nothing_is_left(
    window: MainWindow, session: Session, run_id: str, until: Until, tmp_path: Path
) -> None:
    packer = window.training.run_view.packer
    run = RunFolder.open(session.runs.find(run_id).folder)
    file = tmp_path / "out" / "x.terrarium"
    assert packer.start(run, file, all_checkpoints=False, chats=False)
    assert not packer.start(run, file, all_checkpoints=False, chats=False)
    packer.close()
    assert not packer.busy
    assert not file.exists() or result_of(unpack_run(file, session.library)).name
    assert list(file.parent.glob(".tmp*")) == []
