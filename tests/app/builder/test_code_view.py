"""The code of a design is shown whole, copied and saved as it is, and coloured."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFileDialog
from pytestqt.qtbot import QtBot

from terrarium.app.builder.code_view import CodeView, file_name
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.code_view import module_source
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.presets import PRESETS


@pytest.fixture
def view(qtbot: QtBot, theme: ThemeProvider) -> CodeView:
    view = CodeView(theme)
    qtbot.addWidget(view)
    view.resize(560, 420)
    view.show()
    return view


def colour(view: CodeView, word: str) -> str:
    """Of the first letter of the first `word`; '' where it has the text's own."""
    cursor = view.editor.document().find(word)
    start = cursor.selectionStart() - cursor.block().position()
    for part in cursor.block().layout().formats():
        if part.start <= start < part.start + part.length:
            return part.format.foreground().color().name()  # type: ignore[no-any-return]
    return ""


@pytest.mark.parametrize("name", ["llama-tiny", "bert-tiny", "t5-tiny", "moe-tiny"])
def test_all_of_the_code_is_shown(view: CodeView, name: str) -> None:
    view.set_design(PRESETS[name], name)
    source = module_source(PRESETS[name], name)
    assert view.code == source
    assert view.counts.text() == f"{len(source.splitlines())} lines, {len(source):,} characters"
    assert view.editor.isReadOnly()


def test_a_change_keeps_the_place(view: CodeView) -> None:
    view.set_design(PRESETS["llama-tiny"], "x")
    view.editor.verticalScrollBar().setValue(40)
    view.set_design(dataclasses.replace(PRESETS["llama-tiny"], n_layer=7), "x")
    assert view.editor.verticalScrollBar().value() == 40
    assert "N_LAYER = 7" in view.code


def test_copy_and_save(view: CodeView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view.set_design(ModelConfig(), "My design (2)")
    view.copy.click()
    assert QGuiApplication.clipboard().text() == view.code
    assert view.message.text() == "Copied."
    offered: list[str] = []

    def ask(parent: object, title: str, name: str, kinds: str) -> tuple[str, str]:
        offered.append(name)
        return str(tmp_path / "out.py"), kinds

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    view.save.click()
    assert offered == ["my_design_2.py"]
    assert (tmp_path / "out.py").read_text("utf-8") == view.code
    assert view.message.text().startswith("Saved to")
    compile(view.code, "out.py", "exec")


def test_what_cannot_be_saved_is_a_sentence(view: CodeView, tmp_path: Path) -> None:
    view.set_design(ModelConfig())
    (tmp_path / "file").write_text("", encoding="utf-8")
    view.save_to(tmp_path / "file" / "out.py")
    assert view.message.property("role") == "error"
    assert view.message.text().endswith(".")
    view.set_design(dataclasses.replace(ModelConfig(), n_layer=3))
    assert view.message.property("role") == "caption"


def test_nothing_is_saved_where_no_file_is_chosen(
    view: CodeView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    view.set_design(ModelConfig())
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *args: ("", ""))
    view.save.click()
    assert not view.message.text().startswith("Saved")


def test_colours_follow_the_language_and_the_theme(view: CodeView, theme: ThemeProvider) -> None:
    view.set_design(PRESETS["llama-tiny"], "x")
    for mode in ("light", "dark"):
        theme.set_mode(mode)
        colors = theme.theme
        assert colour(view, "import torch") == colors.info.lower()
        assert colour(view, "torch.nn") == ""
        assert colour(view, '"""x') == colors.accent.lower()
        assert colour(view, "1024") == colors.validation.lower()
        assert colour(view, "# (") == colors.muted.lower()
    # A docstring of several lines, and what follows it.
    view.editor.show_code('def f():\n    """One\n    two def\n    """\n    return 1\n')
    assert colour(view, "two def") == theme.theme.accent.lower()
    assert colour(view, "return") == theme.theme.info.lower()


def test_line_numbers_are_optional(view: CodeView) -> None:
    view.set_design(ModelConfig())
    assert view.editor.gutter_width > 0
    before = view.editor.viewport().x()
    view.numbers.setChecked(False)
    assert view.editor.gutter_width == 0
    assert view.editor.viewport().x() < before


@pytest.mark.parametrize(
    ("name", "file"),
    [("llama2-7b", "llama2_7b.py"), ("7B", "model_7b.py"), ("Größe ../x", "gr_e_x.py"), ("“”", "model_design.py")],
)
def test_names_of_files_can_be_imported(name: str, file: str) -> None:
    assert file_name(name) == file
