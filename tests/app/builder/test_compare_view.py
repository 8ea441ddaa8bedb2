"""Designs side by side: what differs and what it costs, columns that come and go, and the table on the clipboard."""

from __future__ import annotations

import csv
import dataclasses
import io

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QFontMetrics, QGuiApplication
from PySide6.QtWidgets import QMenu
from pytestqt.qtbot import QtBot

from terrarium.app.builder.compare_view import CompareView
from terrarium.app.builder.comparison import COSTS, ComparedDesign, ComparedRow, compare
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.models.design import active_parameters, flops_per_token, total_parameters, training_memory
from terrarium.models.settings.presets import PRESETS


def compared(*names: str) -> dict[str, ComparedRow]:
    designs = [ComparedDesign(name, PRESETS[name]) for name in names]
    return {row.slot or row.label: row for row in compare(designs, 8, 256, None)}


def test_only_what_differs_is_listed() -> None:
    rows = compared("gpt2-tiny", "llama-tiny")
    slots = {name for name, row in rows.items() if row.group != COSTS}
    assert {"position", "norm", "activation", "n_kv_head", "tied_embeddings", "bias"} <= slots
    assert not slots & {"n_layer", "d_model", "topology", "rope_scaling"}
    assert rows["n_kv_head"].cells == ("4 (auto)", "2")
    assert rows["rope_theta"].cells == ("–", "10,000")
    assert rows["position"].differs == (False, True)


def test_costs_are_those_of_the_cost_module() -> None:
    rows = compared("llama-tiny", "mixtral-8x7b", "bert-base")
    configs = [PRESETS[name] for name in ("llama-tiny", "mixtral-8x7b", "bert-base")]
    assert rows["Parameters"].exact == tuple(str(total_parameters(c)) for c in configs)
    assert rows["Active parameters"].exact == tuple(str(active_parameters(c)) for c in configs)
    assert rows["Work per token"].exact == tuple(str(flops_per_token(c, 256)) for c in configs)
    assert rows["Memory to train"].exact == tuple(str(sum(training_memory(c, 8, 256).values())) for c in configs)
    assert rows["KV cache"].cells[2] == "–", "an encoder does not write"
    assert rows["Parameters"].cells == ("988 k", "46.7 B", "110 M")


def test_the_same_design_twice_differs_in_nothing() -> None:
    same = dataclasses.replace(PRESETS["gpt2-tiny"], n_kv_head=4, d_ff=512)  # what 0 comes to
    rows = compare([ComparedDesign("a", PRESETS["gpt2-tiny"]), ComparedDesign("b", same)], 8, 256, None)
    assert [row for row in rows if row.group != COSTS] == []


@pytest.fixture
def view(qtbot: QtBot, session: Session, theme: ThemeProvider) -> CompareView:
    view = CompareView(session, theme)
    qtbot.addWidget(view)
    view.resize(800, 600)
    view.show()
    view.set_design(PRESETS["gpt2-tiny"], 8, 256, "GPT-2, tiny")
    return view


def titles(view: CompareView) -> list[str]:
    return [view.table.horizontalHeaderItem(i).text() for i in range(1, view.table.columnCount())]


def choose(view: CompareView, family: str, name: str) -> None:
    menu = view.add.menu()
    menu.aboutToShow.emit()
    (part,) = [a.menu() for a in menu.actions() if a.menu() is not None and a.text() == family]
    assert isinstance(part, QMenu)
    next(action for action in part.actions() if action.text().split("\t")[0] == name).trigger()


def test_columns_come_from_presets_and_saved_designs_and_go_by_button_and_key(
    qtbot: QtBot, view: CompareView, session: Session
) -> None:
    assert view.note.text() == "Add a design to see what differs."
    session.designs.set(dataclasses.replace(PRESETS["gpt2-tiny"], n_layer=7))
    session.designs.save("deeper")
    choose(view, "Your designs", "deeper")
    assert view.note.text().startswith("1 setting differs; ")
    view.chips[0].click()
    session.designs.set(dataclasses.replace(PRESETS["t5-tiny"], n_layer=7))
    session.designs.save("r & d")
    choose(view, "LLaMA", "Llama 3 8B")
    choose(view, "Your designs", "r && d")
    choose(view, "LLaMA", "Llama 3 8B")
    assert titles(view) == ["GPT-2, tiny", "Llama 3 8B", "r & d"]
    assert "settings differ" in view.note.text()
    chip = view.chips[0]
    assert chip.accessibleName() == "Remove Llama 3 8B"
    chip.setFocus()
    qtbot.keyClick(chip, Qt.Key.Key_Space)
    assert titles(view) == ["GPT-2, tiny", "r & d"]
    view.table.setCurrentCell(2, 2)
    view.table.setFocus()
    qtbot.keyClick(view.table, Qt.Key.Key_Delete)
    assert titles(view) == ["GPT-2, tiny"]


def test_it_is_copied_as_markdown_and_csv(qtbot: QtBot, view: CompareView) -> None:
    choose(view, "Mixture of experts", "Mixtral 8×7B")
    qtbot.mouseClick(view.markdown, Qt.MouseButton.LeftButton)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0] == "|  | GPT-2, tiny | Mixtral 8×7B |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert "| Experts | none | 8 |" in lines
    qtbot.mouseClick(view.csv, Qt.MouseButton.LeftButton)
    rows = list(csv.DictReader(io.StringIO(QGuiApplication.clipboard().text())))
    by_slot = {row["setting"]: row for row in rows}
    assert by_slot["n_expert"]["Mixtral 8×7B"] == "8"
    assert rows[0]["Mixtral 8×7B"] == str(total_parameters(PRESETS["mixtral-8x7b"]))


def test_every_edit_is_followed(view: CompareView) -> None:
    choose(view, "LLaMA", "LLaMA, tiny")
    view.set_design(PRESETS["llama-tiny"], 8, 256, "mine")
    assert view.note.text().startswith("All settings are equal")


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_nothing_is_cut_off(view: CompareView, theme: ThemeProvider, scale: float) -> None:
    theme.set_text_scale(scale)
    choose(view, "BERT", "BERT, tiny")
    table = view.table
    for line in range(table.rowCount()):
        for column in range(table.columnCount()):
            if table.columnSpan(line, column) == 1:
                item = table.item(line, column)
                words = QFontMetrics(item.font() if column else table.font()).horizontalAdvance(item.text())
                assert words + 16 <= table.columnWidth(column), item.text()
