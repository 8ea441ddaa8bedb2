"""A design trained beside its built-in twin: from the button in the builder to the result in the training tab."""

from __future__ import annotations

import dataclasses

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from terrarium.app.builder.builder_tab import BuilderTab
from terrarium.app.builder.twin_dialog import TwinDialog
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.runs.overlay.overlay_view import CompareRuns
from terrarium.app.session.session import Session
from terrarium.app.training.training_tab import TrainingTab
from terrarium.models.custom_blocks.store import withdraw
from terrarium.models.library.library import Library
from terrarium.models.settings.block_references import blocks_of
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS
from terrarium.models.tiny_world import corpus
from tests.app.heard import Until
from tests.app.leading import FewTabs
from tests.models.own_blocks import POSITION_BLOCK, put_block, start_source, with_block
from tests.runs_on_disk import make_run

RETENTION = start_source("retention")


@pytest.fixture
def little_world(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny World is little, and so is what is read of it."""
    monkeypatch.setattr(corpus, "N_TRAIN", 200)
    monkeypatch.setattr(corpus, "N_VAL", 20)


def dialog_of(tab: BuilderTab) -> TwinDialog:
    (dialog,) = tab.window().findChildren(TwinDialog)
    return dialog


@pytest.mark.usefixtures("little_world")
def test_a_design_is_trained_beside_its_twin(
    session: Session, theme: ThemeProvider, tiny_config: ModelConfig, until: Until, qtbot: QtBot
) -> None:
    builder, training = BuilderTab(session, theme), TrainingTab(session, theme)
    FewTabs(session, training=training)
    session.routed.connect(training.show)
    for tab in (builder, training):
        qtbot.addWidget(tab)
        tab.resize(1280, 800)
    builder.show()
    assert builder.bar.twin.isHidden(), "it is its own twin"
    session.designs.set(with_block(dataclasses.replace(tiny_config, n_layer=1), put_block(RETENTION)))
    until(lambda: builder.bar.twin.isVisible())
    qtbot.mouseClick(builder.bar.twin, Qt.MouseButton.LeftButton)
    dialog = dialog_of(builder)
    assert not dialog.start.isEnabled()
    until(lambda: not dialog.busy)
    assert dialog.problem.text() == ""
    assert dialog.about.text().startswith("The twin: ")
    assert "Positions RoPE instead of None" in dialog.about.text()
    dialog.steps.setValue(3)
    dialog.seeds.setValue(2)
    assert dialog.time.text().startswith("4 runs of 3 steps: about ")
    qtbot.mouseClick(dialog.start, Qt.MouseButton.LeftButton)
    assert training.panel.search.text() == "tag:sweep-my-terrarium-tiny-twin"
    assert training.pages.currentWidget() is training.comparison
    until(lambda: not session.queue.is_draining and not session.training.active)
    view = training.comparison.view("twin")
    until(lambda: view.result is not None and len(view.result.differences) == 2)
    assert training.comparison.current == "twin"
    assert view.sentence.text() == view.result.sentence
    assert [view.table.texts()[row][0] for row in range(3)] == ["The block", "Its twin", "Block − twin"]
    assert len(view.table.columns) == 7
    assert view.caption.text().startswith("4 of 4 runs ended. Lowest validation loss in nats per token.")
    until(lambda: len(view.curves.curves) == 4)
    specs = [info.spec for info in session.runs.index.infos()]
    assert {(spec.train.seed, spec.model.has_custom_blocks) for spec in specs if spec is not None} == {
        (seed, is_custom) for seed in (0, 1) for is_custom in (True, False)
    }


@pytest.mark.usefixtures("little_world")
def test_the_comparison_stays_in_view_when_its_runs_begin(
    session: Session, theme: ThemeProvider, tiny_config: ModelConfig, until: Until, qtbot: QtBot
) -> None:
    training = TrainingTab(session, theme)
    FewTabs(session, training=training)
    qtbot.addWidget(training)
    training.show()
    design = with_block(dataclasses.replace(tiny_config, n_layer=1), put_block(RETENTION))
    dialog = TwinDialog(session, theme, "later", design)
    qtbot.addWidget(dialog)
    dialog.show()
    until(lambda: dialog.wait.isEnabled())
    dialog.steps.setValue(2)
    dialog.seeds.setValue(1)
    qtbot.mouseClick(dialog.wait, Qt.MouseButton.LeftButton)
    session.queue.start()
    until(lambda: session.training.active)
    until(lambda: not session.queue.is_draining and not session.training.active)
    assert training.pages.currentWidget() is training.comparison
    view = training.comparison.view("twin")
    until(lambda: view.result is not None and len(view.result.differences) == 1)


def test_a_block_that_is_not_allowed_is_a_problem(
    session: Session, theme: ThemeProvider, until: Until, qtbot: QtBot, tiny_config: ModelConfig
) -> None:
    design = dataclasses.replace(tiny_config, position="none", attention_block=f"gone@{'0' * 64}")
    dialog = TwinDialog(session, theme, "gone", design)
    qtbot.addWidget(dialog)
    dialog.show()
    until(lambda: not dialog.busy)
    assert "is not in this library" in dialog.problem.text()
    assert not dialog.wait.isEnabled()


@pytest.mark.usefixtures("little_world")
def test_one_of_several_blocks_is_chosen(
    session: Session, theme: ThemeProvider, until: Until, qtbot: QtBot, tiny_config: ModelConfig
) -> None:
    design = with_block(with_block(tiny_config, put_block(start_source("temperature"))), put_block(POSITION_BLOCK))
    dialog = TwinDialog(session, theme, "both", design)
    qtbot.addWidget(dialog)
    dialog.show()
    assert [dialog.place.itemText(at) for at in range(2)] == ["Attention: learned_temperature", "Positions: root_bias"]
    dialog.place.setCurrentIndex(1)
    until(lambda: not dialog.busy)
    assert "Positions ALiBi instead of" in dialog.about.text()
    qtbot.mouseClick(dialog.wait, Qt.MouseButton.LeftButton)
    twins = [item.spec.model for item in session.queue.waiting if item.spec is not None][1::2]
    assert {(model.position, model.position_block) for model in twins} == {("alibi", "")}
    assert not session.queue.is_draining


def test_a_design_whose_head_no_data_suits(session: Session, theme: ThemeProvider, until: Until, qtbot: QtBot) -> None:
    design = with_block(dataclasses.replace(PRESETS["bert-tiny"], head="span"), put_block(RETENTION))
    dialog = TwinDialog(session, theme, "spans", design)
    qtbot.addWidget(dialog)
    dialog.show()
    until(lambda: session.datasets.is_read)
    assert dialog.problem.text().startswith("No dataset of the library suits the head")
    assert not dialog.busy


def test_only_runs_of_twins_are_shown_as_such(
    session: Session, theme: ThemeProvider, library: Library, tiny_config: ModelConfig, until: Until, qtbot: QtBot
) -> None:
    design = with_block(tiny_config, put_block(RETENTION))
    for name, model in (
        ("block", design),
        ("twin", dataclasses.replace(tiny_config, d_ff=130)),
        ("other", dataclasses.replace(tiny_config, n_layer=3)),
    ):
        make_run(library, model, name, losses=[2.0, 1.0])
    session.runs.index.refresh()
    view = CompareRuns(session, theme)
    qtbot.addWidget(view)
    view.show()
    view.show_runs(("block", "other"))
    assert (view.current, view.is_offered("twin")) == ("curves", False)
    view.show_runs(("block", "twin"))
    assert view.current == "curves", "one of them was compared already"
    assert view.is_offered("twin")
    view.show_view("twin")
    page = view.view("twin")
    until(lambda: page.result is not None)
    assert page.sentence.text().startswith("With one seed")
    view.show_runs(("block", "other"))
    assert (view.current, view.is_offered("twin")) == ("curves", False)


def test_the_runs_of_a_block_that_is_no_longer_allowed_are_still_compared(
    session: Session, theme: ThemeProvider, library: Library, tiny_config: ModelConfig, until: Until, qtbot: QtBot
) -> None:
    design = with_block(tiny_config, put_block(RETENTION + "\n# never measured\n"))
    for name, model in (("block", design), ("twin", dataclasses.replace(tiny_config, d_ff=130))):
        make_run(library, model, name, losses=[2.0, 1.0])
    withdraw(blocks_of(design)["attention"].sha256)
    session.runs.index.refresh()
    view = CompareRuns(session, theme)
    qtbot.addWidget(view)
    view.show()
    view.show_runs(("block", "twin"))
    page = view.view("twin")
    until(lambda: page.result is not None)
    assert [page.table.texts()[row][3] == "–" for row in (0, 1)] == [True, False], "its size is not known"
    view.show_view("curves")
    until(lambda: len(view.view("curves").differences.comparison.runs) == 2)
