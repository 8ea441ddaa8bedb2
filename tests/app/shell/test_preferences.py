"""The preferences: each in one place, followed everywhere, found by searching; and the list of keys is whole."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QFileDialog,
    QLabel,
    QMenu,
    QProxyStyle,
    QStyle,
)
from pytestqt.qtbot import QtBot

import terrarium.app
from terrarium.app.kit.basics import prefers_reduced_motion
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.device import automatic_threads, usable_cores
from terrarium.app.session.session import Session
from terrarium.app.shell.keys import key_groups
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.preferences import Preferences
from terrarium.app.shell.preferences_window import PreferencesWindow
from terrarium.app.worker.job import INTERACTIVE, Job
from terrarium.models.events import Notice
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import RunSpec
from tests.app.heard import Until, long


@pytest.fixture
def window(session: Session, theme: ThemeProvider, qtbot: QtBot) -> Iterator[MainWindow]:
    """The shown window over an empty library."""
    window = MainWindow(session, theme)
    qtbot.addWidget(window)
    window.show()
    yield window
    window.close()


@pytest.fixture
def preferences(window: MainWindow) -> PreferencesWindow:
    """The preferences, opened as a user does."""
    entry = next(action for action in window.findChildren(QAction) if action.text() == "&Preferences…")
    assert entry.shortcut() == QKeySequence("Ctrl+,")
    assert entry.menuRole() == QAction.MenuRole.PreferencesRole
    entry.trigger()
    (dialog,) = window.findChildren(PreferencesWindow)
    assert dialog.isVisible()
    return dialog


def box(where: MainWindow | PreferencesWindow, name: str) -> QComboBox:
    """The combo box of this preference."""
    return next(each for each in where.findChildren(QComboBox) if each.accessibleName() == name)


def pick(box: QComboBox, words: str) -> None:
    """Choose an entry as a user does."""
    box.setCurrentIndex(box.findText(words))
    box.activated.emit(box.currentIndex())


def test_motion_is_reduced_by_the_preference_and_remembered(
    window: MainWindow, preferences: PreferencesWindow, session: Session, theme: ThemeProvider, qapp: QApplication
) -> None:
    for style in (None, "reduced"):
        qapp.setStyle(StillStyle() if style else "Fusion")
        pick(box(preferences, "Motion"), "System")
        assert prefers_reduced_motion() == bool(style), "as the system says"
        pick(box(preferences, "Motion"), "Reduced")
        assert prefers_reduced_motion()
    qapp.setStyle("Fusion")
    pick(box(preferences, "Motion"), "Reduced")
    Preferences(session, theme, window)
    assert prefers_reduced_motion(), "at the next launch"
    pick(box(preferences, "Motion"), "System")


class StillStyle(QProxyStyle):
    """The style of a system without animations."""

    def styleHint(self, hint, option=None, widget=None, returned=None):  # type: ignore[no-untyped-def]
        if hint == QStyle.StyleHint.SH_Widget_Animation_Duration:
            return 0
        return super().styleHint(hint, option, widget, returned)


def test_all_that_moves_by_itself_asks_whether_it_may() -> None:
    moving = re.compile(r"Q(Variant|Property)Animation\(|QTimeLine\(")
    app = Path(terrarium.app.__file__ or "").parent
    found = {path.relative_to(app).as_posix() for path in app.rglob("*.py") if moving.search(path.read_text("utf-8"))}
    assert found == {"kit/forms/config_form.py", "run_views/time_machine/panes.py"}
    for asks in ("kit/forms/config_form.py", "run_views/time_machine/panes.py", "builder/diagram/block_diagram.py"):
        assert "prefers_reduced_motion()" in (app / asks).read_text("utf-8")


def test_a_choice_is_followed_everywhere_and_remembered(
    window: MainWindow, preferences: PreferencesWindow, library: Library
) -> None:
    menu = next(menu for menu in window.findChildren(QMenu) if menu.title() == "Th&eme")
    pick(box(preferences, "Theme"), "Dark")
    assert window.theme.mode == "dark"
    assert [entry.text() for entry in menu.actions() if entry.isChecked()] == ["Dark"]
    menu.actions()[1].trigger()
    assert box(preferences, "Theme").currentText() == "Light"
    pick(box(preferences, "Text size"), "110\N{NO-BREAK SPACE}%")
    assert window.theme.text_scale == pytest.approx(1.1)
    next(action for action in window.findChildren(QAction) if action.text() == "&Larger").trigger()
    assert box(preferences, "Text size").currentText() == "125\N{NO-BREAK SPACE}%"
    window.preferences.text_size.choose(1.0)
    pick(box(preferences, "Device"), "CPU")
    bar = next(each for each in window.findChildren(QComboBox) if each.accessibleName() == "Device")
    assert bar.currentText() == "CPU"
    pick(bar, "Auto")
    assert box(preferences, "Device").currentText() == "Auto"
    window.session.remembered.flush()
    again = Session(library)
    assert (again.remembered.get("theme", ""), again.device.name) == ("light", "auto")


def test_the_number_of_threads(
    window: MainWindow, preferences: PreferencesWindow, library: Library, until: Until
) -> None:
    assert box(preferences, "Threads").currentText() == f"Automatic ({automatic_threads()})"
    seen: list[str] = []

    def set_three() -> Iterator[Notice]:
        import torch

        torch.set_num_threads(3)
        yield from ()

    def ask() -> Iterator[Notice]:
        import torch

        yield Notice(sentence=str(torch.get_num_threads()))

    session = window.session
    session.worker.submit(Job("three", set_three, INTERACTIVE))
    pick(box(preferences, "Threads"), "1")
    session.worker.job_events.connect(lambda job, events: seen.extend(e.sentence for e in events if job.name == "ask"))
    done: list[str] = []
    session.worker.job_finished.connect(lambda job: done.append(job.name))
    until(lambda: "Set threads" in done)
    session.worker.submit(Job("ask", ask, INTERACTIVE))
    until(lambda: bool(seen))
    assert seen == ["1"]
    session.remembered.flush()
    assert Session(library).device.threads == 1
    session.remembered.set("threads", 10 * usable_cores())  # from a larger computer
    session.remembered.flush()
    assert Session(library).device.threads == usable_cores()


def test_preferences_and_keys_are_found(preferences: PreferencesWindow, qtbot: QtBot) -> None:
    everything = preferences.shown
    assert everything[:7] == ["Theme", "Text size", "Motion", "Detail", "Device", "Threads", "Library"]
    qtbot.keyClicks(preferences.search, "dark")
    assert preferences.shown == ["Theme"]
    preferences.search.setText("FOLDER")
    assert "Library" in preferences.shown
    preferences.search.setText("f2")
    assert preferences.shown == ["Rename"]
    window = preferences.parentWidget()
    assert window is not None
    next(entry for entry in window.findChildren(QAction) if entry.text() == "&Keyboard shortcuts").trigger()
    assert "Rename" in preferences.shown
    assert "Theme" not in preferences.shown
    preferences.search.setText("nonsense")
    assert preferences.shown == []
    assert any(label.text().endswith("“nonsense”.") for label in preferences.findChildren(QLabel) if label.isVisible())
    preferences.search.clear()
    assert preferences.shown == everything


def test_quitting_without_a_question(window: MainWindow, tiny_spec: RunSpec, until: Until, qtbot: QtBot) -> None:
    session = window.session
    session.training.start(long(dataclasses.replace(tiny_spec)))
    until(lambda: session.training.state is not None and session.training.state.step >= 1)
    window.close()
    question = window.closing.box
    assert question is not None
    always = question.checkBox()
    assert always is not None
    always.setChecked(True)
    stay = next(button for button in question.buttons() if button.text() == "Keep training")
    qtbot.mouseClick(stay, Qt.MouseButton.LeftButton)
    assert window.preferences.asks_on_quit
    window.preferences.on_quit.choose("save")
    window.close()
    assert not window.isVisible()
    (run,) = session.runs.list()
    assert run.status == "paused"


def test_another_folder_for_the_library(
    window: MainWindow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theme: ThemeProvider
) -> None:
    monkeypatch.delenv("TERRARIUM_HOME")
    monkeypatch.setattr("terrarium.models.library.library.user_config_dir", lambda *_, **__: str(tmp_path / "config"))
    (tmp_path / "new").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path / "new"))
    window.show_preferences()
    (dialog,) = window.findChildren(PreferencesWindow)
    dialog.library.change.click()
    assert f"the library is {tmp_path / 'new'}" in dialog.library.note.text()
    assert Library().home == tmp_path / "new"


def test_the_list_of_keys_is_whole(window: MainWindow) -> None:
    """Every shortcut of every page is in it, and nothing twice in one group."""
    groups = dict(key_groups(window.menuBar()))
    listed = {row.keys for rows in groups.values() for row in rows}
    assert all(len({row.what for row in rows}) == len(rows) for rows in groups.values())
    for name in ("training", "tokenizer", "builder", "chat", "quickstart"):
        window.pages.page(name)
    used = {shortcut.key() for shortcut in window.findChildren(QShortcut)}
    used |= {keys for action in window.findChildren(QAction) for keys in action.shortcuts()}
    used |= {each.shortcut() for each in window.findChildren(QAbstractButton) if not each.shortcut().isEmpty()}
    assert len(used) > 20
    native = QKeySequence.SequenceFormat.NativeText
    missing = {keys.toString(native) for keys in used} - listed
    assert not missing
