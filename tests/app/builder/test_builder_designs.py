"""Designs in the builder tab: saved, renamed, duplicated, deleted with Undo, imported, exported."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QFileDialog, QInputDialog
from pytestqt.qtbot import QtBot

from terrarium.app.builder.builder_tab import BuilderTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.settings.presets import PRESETS
from tests.app.heard import Heard


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> BuilderTab:
    tab = BuilderTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


def save_as(qtbot: QtBot, tab: BuilderTab, name: str) -> None:
    tab.bar.name.selectAll()
    qtbot.keyClicks(tab.bar.name, name)
    qtbot.mouseClick(tab.bar.save, Qt.MouseButton.LeftButton)


def menu(tab: BuilderTab, name: str) -> Any:
    return tab.bar.action(name)


def test_save_never_overwrites_another_design(qtbot: QtBot, tab: BuilderTab, session: Session) -> None:
    tab.form.apply({"n_layer": 3})
    save_as(qtbot, tab, "mine")
    assert session.designs.name == "mine"
    assert tab.bar.line.text() == "Saved as “mine”"
    tab.form.apply({"n_layer": 5})
    qtbot.keyClick(tab.bar.name, Qt.Key.Key_Return)
    assert session.designs.list() == ["mine"], "the opened design is saved under its own name"
    session.designs.choose("gpt2-tiny")
    save_as(qtbot, tab, "mine")
    assert sorted(session.designs.list()) == ["mine", "mine-2"]
    save_as(qtbot, tab, "gpt2-tiny")
    assert sorted(session.designs.list()) == ["gpt2-tiny-2", "mine", "mine-2"]
    assert session.designs.choose("mine")
    assert tab.form.config.n_layer == 5
    assert tab.list.current_key == "mine"


def test_designs_are_renamed_deleted_and_brought_back(
    qtbot: QtBot, tab: BuilderTab, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not menu(tab, "rename").isEnabled(), "a preset stays"
    assert not menu(tab, "delete").isEnabled()
    tab.form.apply({"n_layer": 3})
    save_as(qtbot, tab, "mine")
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("better", True))
    menu(tab, "rename").trigger()
    assert (session.designs.list(), session.designs.name, tab.bar.name.text()) == (["better"], "better", "better")
    tab.list.setFocus()
    with qtbot.waitSignal(session.notices.deleted) as deleted:
        qtbot.keyClick(tab.list, Qt.Key.Key_Delete)
    assert session.designs.list() == []
    assert (session.designs.current.n_layer, session.designs.name) == (3, ""), "what is on screen stays"
    deleted.args[1]()
    assert tab.list.keys[-1] == tab.list.current_key == session.designs.name == "better"


def test_after_a_deletion_the_keyboard_goes_on_from_there(qtbot: QtBot, tab: BuilderTab, session: Session) -> None:
    for i, name in enumerate(("a", "b", "c"), start=1):
        tab.form.apply({"n_layer": i})
        save_as(qtbot, tab, name)
    for key, name in ((Qt.Key.Key_Down, "c"), (Qt.Key.Key_Up, "a")):
        session.designs.choose("b")
        tab.list.setFocus()
        with qtbot.waitSignal(session.notices.deleted) as deleted:
            qtbot.keyClick(tab.list, Qt.Key.Key_Delete)
        assert tab.list.hasFocus()
        qtbot.keyClick(tab.list, key)
        assert session.designs.name == name
        deleted.args[1]()


def test_a_rename_to_a_taken_name_is_refused(
    qtbot: QtBot, tab: BuilderTab, session: Session, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_as(qtbot, tab, "one")
    tab.form.apply({"n_layer": 2})
    save_as(qtbot, tab, "two")
    for wish, words in (("one", "already"), ("gpt2-tiny", "preset"), ("a/b", "may not contain")):
        monkeypatch.setattr(QInputDialog, "getText", lambda *args, wish=wish, **kwargs: (wish, True))
        tab.list.rename_requested.emit("two")
        assert words in heard.failures[-1]
    assert session.designs.list() == ["one", "two"]


def test_presets_cannot_be_deleted(tab: BuilderTab, qtbot: QtBot) -> None:
    tab.list.setFocus()
    with qtbot.assertNotEmitted(tab.list.delete_requested):
        qtbot.keyClick(tab.list, Qt.Key.Key_Delete)


def test_duplicates_take_the_edits_along(qtbot: QtBot, tab: BuilderTab, session: Session) -> None:
    save_as(qtbot, tab, "mine")
    tab.form.apply({"n_layer": 9})
    menu(tab, "duplicate").trigger()
    assert session.designs.list() == ["mine", "mine-2"]
    assert (session.designs.name, session.designs.current.n_layer) == ("mine-2", 9)
    assert session.library.load_design("mine").n_layer == 4
    tab.list.duplicate_requested.emit("t5-small")
    assert session.designs.name == "t5-small-2"
    assert session.designs.current == PRESETS["t5-small"]


def test_a_design_goes_out_and_comes_back(
    qtbot: QtBot, tab: BuilderTab, session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(PRESETS["t5-tiny"], n_layer=7, n_encoder_layer=3)
    tab.form.apply(config.to_dict())
    file = tmp_path / "my t5.json"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args, **kwargs: (str(file), ""))
    menu(tab, "export_json").trigger()
    assert tab.bar.line.text() == "Saved to my t5.json"
    session.designs.choose("gpt2-tiny")
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *args, **kwargs: ([str(file)], ""))
    menu(tab, "import_json").trigger()
    assert session.designs.current == config == tab.form.config
    assert session.designs.name == "my t5"
    menu(tab, "import_json").trigger()
    assert session.designs.list() == ["my t5", "my t5-2"], "nothing is overwritten"


def test_a_json_file_can_be_dropped(tab: BuilderTab, session: Session, tmp_path: Path) -> None:
    file = tmp_path / "dropped.json"
    file.write_text(json.dumps(PRESETS["bart-tiny"].to_dict()), "utf-8")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(file))])
    copy, left, no = Qt.DropAction.CopyAction, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(QPoint(9, 9), copy, data, left, no)
    QApplication.sendEvent(tab, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(tab, QDropEvent(QPointF(9, 9), copy, data, left, no))
    assert session.designs.current == PRESETS["bart-tiny"]


def test_bad_files_are_told_one_by_one_and_the_good_one_comes_in(
    tab: BuilderTab, session: Session, heard: Heard, tmp_path: Path
) -> None:
    contents = {"a": "{", "b": "[]", "c": '{"n_heads": 4}', "good": '{"n_layer": 2}', "d": '{"d_model": "wide"}'}
    files = []
    for name, content in contents.items():
        files.append(tmp_path / f"{name}.json")
        files[-1].write_text(content, "utf-8")
    tab.files.import_designs([*files, tmp_path / "missing.json"])
    assert len(heard.failures) == 5
    for failure, name in zip(heard.failures, ("a", "b", "c", "d", "missing"), strict=True):
        assert str(tmp_path / f"{name}.json") in failure
    assert session.designs.list() == ["good"]
    assert tab.form.config.n_layer == 2


def test_a_damaged_design_is_shown_as_such_and_the_others_stay(
    qtbot: QtBot, tab: BuilderTab, session: Session, heard: Heard
) -> None:
    save_as(qtbot, tab, "good")
    (session.library.designs / "bad.json").write_text('{"n_layer": 4,', "utf-8")
    session.designs.list_changed.emit()
    bad = tab.list.item_of("bad")
    assert bad is not None
    assert "not valid JSON (line 1" in " ".join(bad.toolTip(0).split())
    tab.list.setCurrentItem(bad)
    assert str(session.library.designs / "bad.json") in heard.failures[-1]
    assert tab.list.current_key == "good"
    assert (session.library.designs / "bad.json").read_text("utf-8") == '{"n_layer": 4,'
    session.designs.delete("bad")
    assert "bad" not in tab.list.keys


def test_an_absurd_size_is_counted_not_built(tab: BuilderTab, session: Session, tmp_path: Path) -> None:
    file = tmp_path / "absurd.json"
    file.write_text('{"d_model": 1048576, "n_layer": 1024, "n_head": 64, "context_length": 16777216}', "utf-8")
    tab.files.import_designs([file])
    assert session.designs.current.n_layer == 1024
    assert tab.views.diagram.config == session.designs.current
    item = tab.list.item_of("absurd")
    assert item is not None
    tab.views.show_view("compare")
    assert "13528 T" in tab.views.view("compare").table.item(1, 1).text()


def test_an_action_that_qt_has_deleted_is_no_trouble(tab: BuilderTab) -> None:
    tab.bar.action("rename").deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    tab.form.apply({"n_layer": 3})
    assert tab.bar.action("revert").isEnabled()
    assert not tab.bar.action("delete").isEnabled()
