"""The command palette: what it finds, and that the keyboard alone does all."""

from __future__ import annotations

import statistics
import time

from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot
from shiboken6 import invalidate
from tokenizers import Tokenizer

from terrarium.app.help.palette import Palette, PaletteEntry
from terrarium.app.help.places import PLACES
from terrarium.app.run.export_dialog import ExportDialog
from terrarium.app.session.routes import DoToRun, Route, ShowRun
from terrarium.app.shell.main_window import MainWindow
from terrarium.models.recipes.tasks.tasks_table import TASK_RECIPES
from terrarium.models.settings.presets import PRESETS
from tests.app.small_models import put_model


def opened(window: MainWindow, qtbot: QtBot, query: str = "") -> Palette:
    window.show_palette()
    palette = window.findChild(Palette)
    assert isinstance(palette, Palette)
    qtbot.waitUntil(palette.field.hasFocus)
    qtbot.keyClicks(palette.field, query)
    return palette


def all_entries(window: MainWindow) -> dict[str, PaletteEntry]:
    return {entry.key: entry for source in window.palette_sources for entry in source.entries()}


def test_typing_and_return_do_it(window: MainWindow, qtbot: QtBot) -> None:
    qtbot.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    palette = opened(window, qtbot, "theme dark")
    assert palette.titles[0] == "Theme: Dark"
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert not palette.isVisible()
    assert window.theme.mode == "dark"
    window.theme.set_mode("light")
    assert opened(window, qtbot).titles[0] == "Theme: Dark"  # used last
    assert window.session.remembered.get("palette", [])[0] == "menu/Theme: Dark"


def test_the_arrow_keys_choose_and_escape_gives_the_focus_back(window: MainWindow, qtbot: QtBot) -> None:
    window.home.quickstart.setFocus()
    palette = opened(window, qtbot, "vocab")
    assert palette.list.currentRow() == 0
    qtbot.keyClick(palette.field, Qt.Key.Key_Down)
    assert palette.list.currentRow() == 1
    qtbot.keyClick(palette.field, Qt.Key.Key_Up)
    qtbot.keyClick(palette.field, Qt.Key.Key_Up)
    assert palette.list.currentRow() == palette.list.count() - 1
    qtbot.keyClick(palette.field, Qt.Key.Key_Escape)
    assert not palette.isVisible()
    assert window.home.quickstart.hasFocus()


def test_nothing_found_is_said_and_return_does_nothing(window: MainWindow, qtbot: QtBot) -> None:
    palette = opened(window, qtbot, "qqqqq")
    assert palette.titles == []
    assert "qqqqq" in palette.nothing.text()
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert palette.isVisible()


def test_it_finds_all_kinds_of_things(window: MainWindow, byte_tokenizer: Tokenizer) -> None:
    run_id = put_model(window.session.library, byte_tokenizer, "decoder-only", name="my run")
    entries = all_entries(window)
    assert {f"place/{place}" for place, words in PLACES.items() if " → " in words} <= set(entries)
    assert {f"design/{name}" for name in PRESETS} | {f"recipe/{name}" for name in TASK_RECIPES} <= set(entries)
    assert {f"run/{run_id}", "term/Perplexity", "menu/New run", "menu/Training", "menu/Theme: Light"} <= set(entries)
    assert entries["menu/New run"].where == "File menu"
    assert entries["menu/New run"].keys
    assert "menu/Find anything…" not in entries
    assert not any(key.startswith("menu/Undo") for key in entries)  # there is nothing to undo
    entries[f"run/{run_id}"].do()
    assert window.pages.current == "training"
    entries["design/bert-tiny"].do()
    assert window.session.designs.name == "bert-tiny"
    assert window.pages.current == "builder"
    entries["term/Perplexity"].do()
    assert window.help.panel is not None
    assert window.help.panel.entry is not None
    assert window.help.panel.entry.term == "Perplexity"


def test_it_finds_what_can_be_done_to_the_run_in_view(
    window: MainWindow, byte_tokenizer: Tokenizer, went: list[Route], qtbot: QtBot
) -> None:
    run_id = put_model(window.session.library, byte_tokenizer, "decoder-only", name="my run")
    assert not [key for key in all_entries(window) if key.startswith("run action/")]
    window.session.go(ShowRun(run_id))
    entry = all_entries(window)["run action/model"]
    assert (entry.title, entry.where) == ("Export the model", "my run")
    palette = opened(window, qtbot, "export the model")
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert went[-1] == DoToRun(run_id, "model")
    window.findChild(ExportDialog).close()
    window.show_home()
    assert "run action/model" not in all_entries(window)


def test_a_source_can_be_added(window: MainWindow, qtbot: QtBot) -> None:
    done: list[str] = []

    class Chapters:
        def entries(self) -> list[PaletteEntry]:
            return [PaletteEntry(key="chapter/1", title="What is attention?", do=lambda: done.append("1"))]

    window.palette_sources.append(Chapters())
    palette = opened(window, qtbot, "what is att")
    assert palette.titles[0] == "What is attention?"
    qtbot.keyClick(palette.field, Qt.Key.Key_Return)
    assert done == ["1"]


def test_a_keystroke_takes_less_than_50_ms_with_a_thousand_runs(window: MainWindow, qtbot: QtBot) -> None:
    class Runs:
        def entries(self) -> list[PaletteEntry]:
            return [
                PaletteEntry(key=f"run/{i}", title=f"Tiny World {i}, seed {i % 9}", do=lambda: None, where="Run")
                for i in range(1000)
            ]

    window.palette_sources.append(Runs())
    palette = opened(window, qtbot)
    took = []
    for letter in "tiny wor":
        began = time.perf_counter()
        qtbot.keyClicks(palette.field, letter)
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.05


def test_the_menus_are_found_again_where_their_bar_has_another_object(window: MainWindow, qtbot: QtBot) -> None:
    opened(window, qtbot, "theme dark").dismiss()
    invalidate(window.menuBar())  # as PySide does with what it takes for the child of something that is deleted
    palette = opened(window, qtbot, "theme dark")
    assert palette.titles[0].endswith("Dark")
