"""Custom blocks through the real builder: written, checked, allowed, counted, and never run before they may."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMessageBox
from pytestqt.qtbot import QtBot

from terrarium.app.builder.blocks.block_window import BlockWindow, starting_points
from terrarium.app.builder.builder_tab import BuilderTab
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.blocks import MEASURING
from terrarium.app.session.remembered import EVERYTHING, SIMPLE
from terrarium.app.session.session import Session
from terrarium.models.custom_blocks import store
from terrarium.models.custom_blocks.manifest import CustomBlock, read_block
from terrarium.models.design import total_parameters
from terrarium.models.library.library import Library
from terrarium.models.settings.block_references import BLOCK_SLOTS
from terrarium.models.settings.model_config import ModelConfig
from tests.models.own_blocks import WRITES, put_block, start_source, with_block

Until = Callable[[Callable[[], bool]], None]

SMALL = ModelConfig(vocab_size=64, context_length=16, n_layer=2, n_head=2, d_model=16, position="rope")


@pytest.fixture
def tab(qtbot: QtBot, session: Session, theme: ThemeProvider) -> BuilderTab:
    session.detail.choose(EVERYTHING)
    session.designs.set(SMALL)
    tab = BuilderTab(session, theme)
    qtbot.addWidget(tab)
    tab.resize(1280, 650)
    tab.show()
    return tab


def writing(folder: Path) -> CustomBlock:
    """A block of two experts whose text leaves a file behind when it runs."""
    source = starting_points()["two_experts"].source
    return read_block(f"{source}\nopen({str(folder / 'it-ran')!r}, 'w').close()\n")


def opened(tab: BuilderTab, name: str) -> BlockWindow:
    """The window with one of our starting points, after a click on “New block…”."""
    tab.blocks.section.new.click()
    window = tab.blocks.window
    window.start_from(starting_points()[name])
    return window


def agree(window: BlockWindow) -> str:
    """Agree to what the window asks; return what that is."""
    box = window.box
    assert box is not None
    asked = box.informativeText()
    yes = next(each for each in box.buttons() if box.buttonRole(each) == QMessageBox.ButtonRole.AcceptRole)
    yes.click()
    return asked


def close(window: BlockWindow) -> None:
    window.close()
    if window.box is not None:
        agree(window)
    assert not window.isVisible()


@pytest.mark.parametrize("name", sorted(starting_points()))
def test_a_starting_point_becomes_part_of_the_design(
    tab: BuilderTab, session: Session, until: Until, name: str
) -> None:
    before = tab.form.config
    window = opened(tab, name)
    assert not window.runs.isChecked()
    window.runs.setChecked(True)
    until(lambda: window.checker.report is not None)
    report = window.checker.report
    assert report is not None
    assert report.passed, window.checks.words
    assert all(": passed. " in words for words in window.checks.words)
    window.save.click()
    assert window.box is None, "nothing is doubtful"
    block = starting_points()[name]
    assert store.is_allowed(block)
    config = tab.form.config
    assert getattr(config, BLOCK_SLOTS[block.slot]) == str(block.reference)
    assert tab.costs.obstacle.text() == MEASURING
    until(lambda: tab.costs.obstacle.text() == "")
    part = tab.views.diagram.parts[block.slot]
    assert (part.title, part.n_parameters) == (block.title, report.n_parameters)
    n = sum(part.total_parameters for part in tab.views.diagram.parts.values())
    assert n == total_parameters(config)
    assert tab.costs.total.text() == f"{n:,}"
    until(lambda: session.designs.current == config)
    session.undo.stack("builder").undo()
    assert tab.form.config == before
    session.undo.stack("builder").redo()
    assert tab.form.config == config
    close(window)


def test_what_is_wrong_while_typing_marks_its_line(tab: BuilderTab) -> None:
    window = opened(tab, "two_experts")
    text = window.code.toPlainText()
    assert (window.code.marked_line, window.save.isEnabled()) == (0, True)
    window.code.setPlainText(
        text.replace("from torch import Tensor, nn", "from torch import Tensor, nn\nimport requests")
    )
    assert window.code.marked_line == 1 + text[: text.index("from torch")].count("\n") + 1
    assert "requests" in window.problem.text()
    assert not window.save.isEnabled()
    window.code.setPlainText(text)
    assert (window.code.marked_line, window.problem.text(), window.save.isEnabled()) == (0, "", True)
    close(window)


def test_a_failing_check_asks_once_more(tab: BuilderTab, until: Until) -> None:
    window = opened(tab, "two_experts")
    window.code.setPlainText(window.code.toPlainText().replace("return made[0]", "return x.flip(1) + made[0]"))
    window.runs.setChecked(True)
    until(lambda: window.checker.report is not None)
    (failed,) = [words for words in window.checks.words if ": failed. " in words]
    assert failed.startswith("Treats each token alone")
    window.save.click()
    assert not tab.form.config.feed_forward_block
    assert "A check has failed." in agree(window)
    assert tab.form.config.feed_forward_block
    close(window)


def test_nothing_runs_while_the_switch_is_off(tab: BuilderTab, tmp_path: Path) -> None:
    window = opened(tab, "gated_convolution")
    window.code.setPlainText(writing(tmp_path).source)
    assert window.checker.block is not None
    assert not window.checker.is_busy
    assert window.checker.report is None
    assert not (tmp_path / "it-ran").exists()
    close(window)


def test_a_block_that_was_not_allowed_does_not_run(
    tab: BuilderTab, session: Session, until: Until, tmp_path: Path
) -> None:
    block = writing(tmp_path)
    store.keep_text(block)
    session.designs.set(dataclasses.replace(SMALL, feed_forward_block=str(block.reference)))
    row = tab.blocks.section.rows["feed_forward"]
    assert "not allowed" in row.problem.text()
    assert row.choice.currentText() == "Two experts (an earlier text)"
    assert "read and allow it" in tab.costs.obstacle.text()
    for name in ("positions", "mask", "compare", "code", "diagram"):
        tab.views.show_view(name)
    parts = tab.views.diagram.parts
    assert not parts["feed_forward"].is_counted
    assert parts["embedding"].n_parameters == 64 * 16
    tab.views.pages.page("diagram").kind.buttons.buttons()[1].click()  # type: ignore[attr-defined]  # areas
    assert not (tmp_path / "it-ran").exists()
    row.read.click()
    window = tab.blocks.window
    assert window.code.isReadOnly()
    assert window.code.toPlainText() == block.source
    window.save.click()
    assert not window.isVisible()
    until(lambda: tab.costs.obstacle.text() == "")
    assert (tmp_path / "it-ran").exists()
    assert row.problem.text() == ""
    assert tab.views.diagram.parts["feed_forward"].is_counted


def test_a_text_that_is_not_here_is_named(tab: BuilderTab, session: Session) -> None:
    reference = f"elsewhere@{'0' * 64}"
    session.designs.set(dataclasses.replace(SMALL, attention_block=reference, position="learned"))
    row = tab.blocks.section.rows["attention"]
    assert row.choice.currentText() == "elsewhere (not here)"
    assert "not in this library" in row.problem.text()
    assert not row.read.isVisibleTo(row)
    assert "not in this library" in tab.costs.obstacle.text()


def test_an_edit_of_an_allowed_block_is_not_allowed(tab: BuilderTab) -> None:
    window = opened(tab, "two_experts")
    window.save.click()
    assert "have not run" in agree(window)
    first = tab.form.config.feed_forward_block
    window.code.setPlainText(window.code.toPlainText().replace("gelu", "silu"))
    window.more.menu().actions()[0].trigger()
    assert tab.form.config.feed_forward_block == first, "what was not allowed takes no place"
    (edited,) = [file.block for file in store.list_blocks()]
    assert edited is not None
    assert not store.is_allowed(edited)
    assert tab.blocks.section.rows["feed_forward"].choice.currentText() == "Two experts (an earlier text)"
    window.save.click()
    agree(window)
    assert store.is_allowed(edited)
    assert tab.form.config.feed_forward_block == str(edited.reference)
    close(window)


def test_options_are_edited_and_only_those_that_differ_are_kept(tab: BuilderTab, session: Session) -> None:
    block = starting_points()["sliding_retention"]
    session.blocks.save(block.source, allow=False)
    row = tab.blocks.section.rows["attention"]
    row.choice.setCurrentIndex(1)
    row.choice.activated.emit(1)
    assert (tab.form.config.attention_block, tab.form.config.position) == (str(block.reference), "learned")
    assert tab.form.config.block_options == ()
    row.editors["window"].widget.setValue(8)  # type: ignore[attr-defined]
    row.editors["decay"].widget.setValue(0.75)  # type: ignore[attr-defined]
    assert tab.form.config.block_options == ("attention.decay=0.75", "attention.window=8")
    row.editors["window"].widget.setValue(64)  # type: ignore[attr-defined]
    assert tab.form.config.block_options == ("attention.decay=0.75",)
    row.choice.activated.emit(0)
    assert (tab.form.config.attention_block, tab.form.config.block_options) == ("", ())


def test_positions_follow_and_what_has_no_effect_is_said(tab: BuilderTab, session: Session) -> None:
    block = starting_points()["gated_convolution"]
    session.blocks.save(block.source, allow=True)
    row = tab.blocks.section.rows["attention"]
    row.choice.activated.emit(1)
    tab.form.apply({"position": "alibi"})
    assert "ALiBi has no effect" in row.problem.text()


def test_a_click_on_the_box_opens_the_row(tab: BuilderTab, session: Session) -> None:
    block = starting_points()["two_experts"]
    store.keep_text(block)
    tab.form.apply({"feed_forward_block": str(block.reference)})
    tab.blocks.section.set_folded(True)
    tab.views.slot_focused.emit("feed_forward_block")
    assert not tab.blocks.section.folded


def test_newcomers_see_the_section_only_if_the_design_has_a_block(tab: BuilderTab, session: Session) -> None:
    session.detail.choose(SIMPLE)
    section = tab.blocks.section
    assert section.isHidden()
    block = starting_points()["two_experts"]
    store.keep_text(block)
    tab.form.apply({"feed_forward_block": str(block.reference)})
    assert not section.isHidden()


def test_an_unsaved_text_is_asked_about_and_remembered(tab: BuilderTab, session: Session) -> None:
    window = opened(tab, "two_experts")
    window.code.setPlainText(window.code.toPlainText() + "# mine\n")
    window.close()
    assert window.box is not None
    window.box.reject()
    assert window.isVisible()
    window.close_with_draft()  # as when the application is closed
    assert not window.isVisible()
    tab.blocks.section.new.click()
    assert window.code.toPlainText().endswith("# mine\n")
    close(window)
    tab.blocks.section.new.click()
    assert not window.code.toPlainText().endswith("# mine\n"), "it was discarded"
    close(window)


def test_code_is_typed_as_in_an_editor(tab: BuilderTab, qtbot: QtBot) -> None:
    window = opened(tab, "two_experts")
    code = window.code
    code.setPlainText("")
    qtbot.keyClicks(code, "def f():")
    qtbot.keyClick(code, Qt.Key.Key_Return)
    qtbot.keyClicks(code, "pass")
    qtbot.keyClick(code, Qt.Key.Key_Return)
    qtbot.keyClick(code, Qt.Key.Key_Tab)
    qtbot.keyClicks(code, "x")
    assert code.toPlainText() == "def f():\n    pass\n        x"
    qtbot.keyClick(code, Qt.Key.Key_Backtab)
    assert code.toPlainText() == "def f():\n    pass\n    x"
    code.selectAll()
    qtbot.keyClick(code, Qt.Key.Key_Tab)
    assert code.toPlainText() == "    def f():\n        pass\n        x"
    code.setFocus()
    qtbot.keyClick(code, Qt.Key.Key_Escape)
    assert window.isVisible(), "Escape is the field's"
    qtbot.keyClick(code, Qt.Key.Key_Tab)
    assert QGuiApplication.focusObject() is not code
    assert code.toPlainText() == "    def f():\n        pass\n        x"
    close(window)


def test_listed_designs_are_measured_while_another_is_open(
    tab: BuilderTab, session: Session, library: Library, until: Until, tmp_path: Path
) -> None:
    ran = tmp_path / "it ran"
    kept, refused = put_block(start_source("retention")), put_block(WRITES % str(ran), allowed=False)
    library.save_design("counted", with_block(SMALL, kept))
    library.save_design("refused", with_block(SMALL, refused))
    session.designs.list_changed.emit()

    def size(name: str) -> str:
        item = tab.list.item_of(name)
        assert item is not None
        return str(item.data(0, Qt.ItemDataRole.UserRole + 2))

    until(lambda: size("counted") not in ("–", ""))
    assert size("refused") == "–"
    assert not ran.exists()
