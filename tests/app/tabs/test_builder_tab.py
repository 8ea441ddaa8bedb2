"""The builder tab over a real session: presets, edits, problems, and designs that are saved, renamed and deleted."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QInputDialog
from pytestqt.qtbot import QtBot

from app.session import Session
from app.tabs.builder_tab import BuilderTab
from app.theme import ThemeProvider
from app.widgets.editors import IntBox
from models import cost
from models.config import PRESETS

Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> BuilderTab:
    tab = BuilderTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


def box(tab: BuilderTab, name: str) -> IntBox:
    editor = tab.form.editor(name)
    assert isinstance(editor, IntBox)
    return editor


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_fills_form_diagram_and_costs(tab: BuilderTab, session: Session, name: str) -> None:
    tab.list.setCurrentRow(list(PRESETS).index(name))
    assert session.design == PRESETS[name] == tab.form.config == tab.diagram.config
    assert tab.costs.total.text() == f"{cost.total_parameters(PRESETS[name]):,}"
    assert sum(int(bar.value) for bar in tab.costs.parameters.bars) == cost.total_parameters(PRESETS[name])
    assert tab.train.isEnabled()


def test_an_edit_is_drawn_at_once_and_reaches_the_session(tab: BuilderTab, session: Session, until: Until) -> None:
    box(tab, "n_layer").setValue(7)
    assert tab.diagram.config.n_layer == 7
    assert tab.costs.total.text() == f"{cost.total_parameters(tab.form.config):,}"
    until(lambda: session.design.n_layer == 7)
    assert session.design_name == ""
    assert tab.note.text() == "changed from Terrarium, tiny"
    box(tab, "n_layer").setValue(4)
    until(lambda: session.design_name == "terrarium-tiny")
    assert tab.note.text() == ""


def test_leaving_the_tab_hands_the_edit_over(tab: BuilderTab, session: Session) -> None:
    box(tab, "n_layer").setValue(7)
    tab.hide()
    assert session.design.n_layer == 7


def test_a_problem_disables_training_and_is_outlined(tab: BuilderTab, session: Session) -> None:
    box(tab, "n_head").setValue(5)
    assert not tab.train.isEnabled()
    assert not tab.save.isEnabled()
    assert "does not divide" in tab.train.toolTip()
    assert "does not divide" in tab.formula.text()
    assert tab.diagram.config == session.design, "the last legal design stays drawn"
    box(tab, "n_head").setValue(8)
    assert tab.train.isEnabled()


def test_train_asks_for_the_training_tab_with_what_is_on_screen(
    qtbot: QtBot, tab: BuilderTab, session: Session
) -> None:
    box(tab, "n_layer").setValue(3)
    with qtbot.waitSignal(session.tab_requested) as requested:
        qtbot.mouseClick(tab.train, Qt.MouseButton.LeftButton)
    assert requested.args == ["training"]
    assert session.design.n_layer == 3


def test_save_never_overwrites_another_design(tab: BuilderTab, session: Session) -> None:
    box(tab, "n_layer").setValue(3)
    tab.name.setText("mine")
    tab._on_save()
    assert session.design_name == "mine"
    box(tab, "n_layer").setValue(5)
    tab._on_save()
    assert session.list_designs() == ["mine"], "the opened design is saved under its own name"
    session.load_design("gpt2-tiny")
    tab.name.setText("mine")
    tab._on_save()
    assert sorted(session.list_designs()) == ["mine", "mine-2"]
    tab.name.setText("gpt2-tiny")
    tab._on_save()
    assert sorted(session.list_designs()) == ["gpt2-tiny-2", "mine", "mine-2"]
    assert session.load_design("mine")
    assert tab.form.config.n_layer == 5


def test_designs_are_renamed_deleted_and_brought_back(
    qtbot: QtBot, tab: BuilderTab, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab.name.setText("mine")
    tab._on_save()
    monkeypatch.setattr(QInputDialog, "getText", lambda *args, **kwargs: ("better", True))
    tab.list.rename_asked.emit("mine")
    assert (session.list_designs(), session.design_name) == (["better"], "better")
    with qtbot.waitSignal(session.deleted) as deleted:
        qtbot.keyClick(tab.list, Qt.Key.Key_Delete)
    assert session.list_designs() == []
    session.undo_delete(deleted.args[1])
    assert tab.list.count() == len(PRESETS) + 1


def test_presets_cannot_be_deleted(tab: BuilderTab, session: Session, qtbot: QtBot) -> None:
    tab.list.setCurrentRow(0)
    with qtbot.assertNotEmitted(tab.list.delete_asked):
        qtbot.keyClick(tab.list, Qt.Key.Key_Delete)


def test_clicking_a_part_leads_to_its_slots_and_pointing_explains_it(tab: BuilderTab) -> None:
    part = tab.diagram.parts["attention"]
    tab.diagram.part_hovered.emit(part)
    assert part.formula in tab.formula.text()
    tab.diagram.part_hovered.emit(None)
    assert "Point at a part" in tab.formula.text()
    tab.diagram.part_clicked.emit(tab.diagram.parts["head"])
    assert tab.form.editor("tied_embeddings").isVisible()


def test_memory_follows_the_batch(tab: BuilderTab) -> None:
    before = {bar.name: bar.value for bar in tab.costs.memory.bars}
    tab.costs.batch.setValue(2 * tab.costs.batch.value())
    after = {bar.name: bar.value for bar in tab.costs.memory.bars}
    assert after["Activations"] == 2 * before["Activations"]
    assert after["Weights"] == before["Weights"]
