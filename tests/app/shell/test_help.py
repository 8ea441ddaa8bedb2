"""Help in the window: F1, “?”, the glossary beside the tabs, and that each place it leads to really shows."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QLineEdit, QWidget
from pytestqt.qtbot import QtBot
from tokenizers import Tokenizer

from terrarium.app.help import glossary
from terrarium.app.help.glossary import load_glossary
from terrarium.app.help.help_panel import HelpDialog
from terrarium.app.help.pictures import PICTURES
from terrarium.app.help.places import PLACES
from terrarium.app.kit.basics import column
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.forms.slot_row import SlotRow
from terrarium.app.kit.help_mark import HelpMark, set_term, term_at
from terrarium.app.kit.theme import TEXT_SCALES, ThemeProvider
from terrarium.app.session.routes import ShowPlace
from terrarium.app.shell.main_window import MainWindow
from tests import ROOT
from tests.app.heard import Heard
from tests.app.small_models import put_model

Until = Callable[[Callable[[], bool]], None]


def shown_term(window: MainWindow) -> str:
    panel = window.help.panel
    return panel.entry.term if panel is not None and panel.isVisible() and panel.entry is not None else ""


def test_a_mark_opens_its_entry_beside_the_tabs(window: MainWindow, qtbot: QtBot) -> None:
    window.show_tab("builder")
    marks = [mark for mark in window.pages.page("builder").findChildren(HelpMark) if mark.term == "GQA"]
    qtbot.mouseClick(marks[0], Qt.MouseButton.LeftButton)
    assert shown_term(window) == "GQA"
    assert window.pages.current == "builder"
    assert window.pages.currentWidget().isVisible()


def test_f1_explains_what_has_the_focus_else_shows_the_search(window: MainWindow, qtbot: QtBot) -> None:
    window.session.go(ShowPlace("training/new"))
    row = window.training.new_run.form.row("warmup_steps")
    window.training.new_run.form.show_slot("warmup_steps")
    qtbot.waitUntil(row.editor.widget.hasFocus)
    qtbot.keyClick(row.editor.widget, Qt.Key.Key_F1)
    assert shown_term(window) == "Warm-up"
    panel = window.help.panel
    assert panel is not None
    qtbot.waitUntil(panel.terms.hasFocus)  # so that Esc closes it again
    qtbot.keyClick(panel.terms, Qt.Key.Key_Escape)
    assert not panel.isVisible()
    qtbot.waitUntil(row.editor.widget.hasFocus)
    window.show_home()
    window.home.quickstart.setFocus()
    qtbot.keyClick(window.home.quickstart, Qt.Key.Key_F1)
    qtbot.waitUntil(panel.search.hasFocus)


def test_the_panel_works_with_the_keyboard_alone(window: MainWindow, qtbot: QtBot) -> None:
    window.help.show_term()
    panel = window.help.panel
    assert panel is not None
    qtbot.keyClicks(panel.search, "nucleus")
    assert shown_term(window) == "Top-p"
    qtbot.keyClick(panel.search, Qt.Key.Key_Down)
    assert panel.terms.hasFocus()
    qtbot.keyClick(panel.terms, Qt.Key.Key_Escape)
    assert not panel.isVisible()
    window.help.show_term("Top-p")
    assert panel.isVisible()


def test_every_entry_fits_into_the_narrowest_panel(window: MainWindow, theme: ThemeProvider) -> None:
    window.help.show_term()
    panel = window.help.panel
    assert panel is not None
    layout = panel.layout()
    assert layout is not None
    theme.set_text_scale(TEXT_SCALES[-1])
    for entry in window.help.glossary.entries:
        panel.show_term(entry.term)
        QApplication.processEvents()
        assert layout.minimumSize().width() <= panel.minimumWidth(), entry.term


def test_related_terms_are_links_and_see_it_goes_there(window: MainWindow, qtbot: QtBot) -> None:
    window.help.show_term("RoPE")
    panel = window.help.panel
    assert panel is not None
    assert "Positional encoding" in panel.links
    panel.show_term(panel.links[0])
    assert shown_term(window) == panel.links[0] or panel.entry is not None
    window.help.show_term("RoPE")
    panel.see.click()
    assert window.pages.current == "builder"
    assert window.pages.page("builder").views.current == "positions"  # type: ignore[attr-defined]


def test_the_keyboard_shortcuts_are_reached_from_the_panel(window: MainWindow) -> None:
    window.help.show_term()
    assert window.help.panel is not None
    window.help.panel.keys.click()
    preferences = window._preferences_window  # noqa: SLF001
    assert preferences is not None
    assert preferences.isVisible()
    assert "What is this? (glossary)" in preferences.shown


def test_f1_in_a_dialog_explains_what_has_the_focus_over_it(window: MainWindow, qtbot: QtBot) -> None:
    dialog = Dialog(window)
    rate, other = QLineEdit(), QLineEdit()
    set_term(rate, "Learning rate")
    dialog.setLayout(column(rate, other))
    dialog.open()
    rate.setFocus()
    qtbot.keyClick(rate, Qt.Key.Key_F1)
    over = dialog.findChild(HelpDialog)
    assert over is not None
    assert over.panel.entry is not None
    assert over.panel.entry.term == "Learning rate"
    assert not over.panel.see.isVisible(), "the window behind is not reached"
    assert window.help.panel is None
    over.panel.show_term(over.panel.links[0])
    qtbot.keyClick(over, Qt.Key.Key_Escape)
    assert not over.isVisible()
    assert dialog.isVisible()
    other.setFocus()
    qtbot.keyClick(other, Qt.Key.Key_F1)
    assert over.isVisible()
    assert dialog.findChildren(HelpDialog) == [over]
    qtbot.keyClick(over.panel.search, Qt.Key.Key_F1)
    assert over.findChild(HelpDialog) is None
    over.close()
    dialog.reject()


def test_every_dialog_of_the_program_answers_f1() -> None:
    plain = {
        path.name
        for path in (ROOT / "app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ClassDef | ast.Call)
        for name in (node.bases if isinstance(node, ast.ClassDef) else [node.func])
        if isinstance(name, ast.Name) and name.id == "QDialog"
    }
    assert plain == {"dialog.py"}


@pytest.mark.parametrize(
    ("page", "terms"),
    [
        ("home", {"Language model"}),
        (
            "quickstart",
            {"Corpus", "Merge", "Held-out", "Next-token prediction", "Bits per byte", "Prompt", "Checkpoint"},
        ),
        ("data", {"Dataset", "Deduplication", "Held-out", "Tiny World", "Token"}),
        ("training", {"Language model", "Corpus", "Tokenizer"}),
    ],
)
def test_headings_have_marks(window: MainWindow, page: str, terms: set[str]) -> None:
    shown = window.pages.show_page(page)
    if page == "training":
        window.session.go(ShowPlace("training/new"))
    marks = [mark for mark in shown.findChildren(HelpMark) if mark.term]
    assert terms <= {mark.term for mark in marks}
    assert all(window.help.glossary.find(mark.term) for mark in marks)


def test_a_damaged_glossary_is_one_sentence(
    window: MainWindow, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(places: object, pictures: object) -> None:
        raise ValueError("glossary.md, line 7: no")

    monkeypatch.setattr(glossary, "load_glossary", broken)
    window.help.show_term("Loss")
    panel = window.help.panel
    assert panel is not None
    assert panel.nothing.isVisible()
    assert "cannot be read" in panel.nothing.text()
    assert "line 7" in caplog.text


def test_terms_are_those_of_the_nearest_widget(qtbot: QtBot) -> None:
    outer = QWidget()
    qtbot.addWidget(outer)
    inner = QWidget(outer)
    lone = QWidget(inner)
    set_term(outer, "Loss")
    assert term_at(lone) == "Loss"
    set_term(inner, "Nats")
    assert term_at(lone) == "Nats"
    assert term_at(None) == ""


def test_every_term_that_the_code_names_has_an_entry() -> None:
    known = load_glossary(PLACES, PICTURES)
    named = {term: path.name for path in (ROOT / "app").rglob("*.py") for term in _terms_in(path)}
    assert len(named) > 30
    assert {term: where for term, where in named.items() if known.find(term) is None} == {}


def _terms_in(path: Path) -> Iterator[str]:
    """The literal terms of marks, widgets and views, and of the descriptions of panels."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        places = {"HelpMark": slice(0, 1), "HelpLink": slice(0, 1), "set_term": slice(1, 2), "View": slice(3, 4)}
        given = node.args[places[called]] if called in places else []
        given = given + [word.value for word in node.keywords if word.arg == "term"]
        for each in given:
            if isinstance(each, ast.Constant) and each.value:
                yield str(each.value)


def test_places_without_content_say_what_is_missing(window: MainWindow, heard: Heard) -> None:
    window.session.go(ShowPlace("training/run/scores"))
    assert "no trained model yet" in heard.notices[-1]
    window.session.go(ShowPlace("training/run/rewards"))
    assert "learned from rewards" in heard.notices[-1]


@pytest.mark.parametrize("tab", ["home", "tokenizer", "data", "builder", "training", "chat"])
def test_every_place_really_shows(
    window: MainWindow, byte_tokenizer: Tokenizer, heard: Heard, tab: str, qtbot: QtBot
) -> None:
    seen = {entry.see for entry in load_glossary(PLACES, PICTURES).entries}
    put_model(window.session.library, byte_tokenizer, "decoder-only")
    window.training.runs.reload()
    for place in (place for place in PLACES if place.split("/")[0] == tab):
        if place == "training/run/rewards":  # of aligned runs, which is said otherwise
            continue
        heard.notices.clear()
        window.session.go(ShowPlace(place))
        if heard.notices:  # some settings have no effect in the usual design, but none that an entry leads to
            assert "has no effect" in heard.notices[0]
            assert place not in seen
        else:
            _check_shown(window, place, qtbot.waitUntil)


def _check_shown(window: MainWindow, place: str, until: Until) -> None:
    tab, _, rest = place.partition("/")
    assert window.pages.current == tab
    page = window.pages.page(window.pages.current)
    kind, _, name = rest.partition("/")
    if tab == "tokenizer":
        assert page.views.current == rest  # type: ignore[attr-defined]
    elif tab == "builder" and kind == "settings":
        rows: dict[str, SlotRow] = page.form.rows  # type: ignore[attr-defined]
        shown = rows.get(name, page.blocks.section)  # type: ignore[attr-defined]
        until(lambda: not shown.visibleRegion().isEmpty())
    elif place == "builder/costs" and not page.views.is_offered("costs"):  # type: ignore[attr-defined]
        assert page.costs.isVisible()  # type: ignore[attr-defined]
    elif tab == "builder":
        assert page.views.current == rest  # type: ignore[attr-defined]
    elif tab == "training" and kind == "new":
        assert window.training.pages.currentWidget() is window.training.new_run
        if name:
            row = window.training.new_run.form.row(name)
            until(lambda: not row.visibleRegion().isEmpty())
    elif tab == "training" and kind == "run":
        until(lambda: window.training.run_view.views.current == name and window.training.run_view.isVisible())
    elif tab == "chat" and kind == "mode":
        assert page.modes.current == name  # type: ignore[attr-defined]
    elif tab == "chat" and kind == "settings":
        slider: QWidget = page.sampling.slider(name)  # type: ignore[attr-defined]
        until(lambda: not slider.visibleRegion().isEmpty())
    elif tab == "chat" and kind in ("weights", "draft", "serve"):
        until(lambda: not getattr(page, kind).visibleRegion().isEmpty())
    elif tab == "chat":
        assert page.side.current == kind  # type: ignore[attr-defined]
        assert page.side.isVisible()  # type: ignore[attr-defined]
