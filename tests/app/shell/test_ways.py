"""Every menu entry, shortcut, entry of the palette, guide step and button leads to its page, and every page has a link
that leads back to it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QDesktopServices, QGuiApplication, QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QFileDialog, QInputDialog, QMenu, QPushButton, QWidget
from shiboken6 import isValid

from terrarium.app.guide.actions import Open
from terrarium.app.help.panels import PANELS
from terrarium.app.help.places import PLACES
from terrarium.app.session.remembered import EVERYTHING
from terrarium.app.session.routes import (
    ChooseTexts,
    DoToRun,
    ForkRun,
    Judge,
    LearnTask,
    Linked,
    NewRun,
    OpenModel,
    Route,
    ShowChapter,
    ShowDesign,
    ShowPlace,
    ShowQuickStart,
    ShowRun,
    ShowTokenizer,
    StartQuickStart,
    TryPronouns,
    read_link,
    write_link,
)
from terrarium.app.shell.keys import plain
from terrarium.app.shell.main_window import MainWindow
from terrarium.app.shell.top_bar import TABS
from tests.app.shell.test_every_page_fits import Until, every_page, settle
from tests.app.shell.test_every_page_fits import window as window

PAGES = {"New run": "training/new", "Learn a task": "training/recipes", "Models": "models", "Home": "home"}
"""Menu entries that lead to a page: its link."""
TAB_ENTRIES = {words: name for name, words, _, _ in TABS}
OPENS = {
    "Trash": "TrashWindow",
    "Preferences": "PreferencesWindow",
    "Keyboard shortcuts": "PreferencesWindow",
    "Log and diagnostics to send": "ReportWindow",
    "Extensions": "ExtensionsWindow",
    "Licences": "LicencesWindow",
    "What is this? (glossary)": "HelpPanel",
    "Guide": "GuidePanel",
    "Find anything": "Palette",
    "About Terrarium": "QMessageBox",
}
"""Those that open something else: its class."""
ASKS = ("Open text file", "Open a .terrarium file", "Import a Hugging Face folder", "Import a GGUF file")
"""Those that ask for a file."""
DOES = {"Quick start", "Show library in folder", "Quit", "Copy a link to this page", "Open log file", "Undo", "Redo"}
"""Those that do something at once. The submenus of View choose a preference."""


class Outside:
    """What would leave the window or wait for an answer: dialogs, all cancelled, and other programs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        for name, nothing in (
            *(("getOpenFileName", ("", "")), ("getOpenFileNames", ([], ""))),
            *(("getSaveFileName", ("", "")), ("getExistingDirectory", "")),
        ):
            monkeypatch.setattr(QFileDialog, name, self._cancel(nothing))
        for name, none in (("getText", ""), ("getDouble", 0.0)):
            monkeypatch.setattr(QInputDialog, name, self._cancel((none, False)))
        monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: self.asked.append(url.toString()) or True)

    def _cancel(self, nothing: object) -> Callable[..., object]:
        def ask(parent: QWidget, title: str = "", *_: object, **__: object) -> object:
            self.asked.append(title)
            return nothing

        return ask


@pytest.fixture
def outside(monkeypatch: pytest.MonkeyPatch) -> Outside:
    return Outside(monkeypatch)


@pytest.fixture
def said(window: MainWindow) -> list[str]:
    """The notices, and the failures."""
    sentences: list[str] = []
    window.session.notices.notified.connect(sentences.append)
    window.session.notices.failed.connect(lambda sentence, details: sentences.append(f"{sentence} {details}"))
    return sentences


def entries_of(menu: QMenu | Any) -> Iterator[QAction]:
    for action in menu.actions():
        if not action.isSeparator() and action.menu() is None:
            yield action


def link_of(window: MainWindow) -> str:
    return write_link(window.navigator.here()).removeprefix("terrarium://")


def opened(window: MainWindow, name: str) -> list[QWidget]:
    """The visible widgets of a class in a window or above it."""
    return [each for each in window.findChildren(QWidget) if type(each).__name__ == name and each.isVisible()]


def close_what_is_open(window: MainWindow) -> None:
    for each in QApplication.topLevelWidgets():
        if isinstance(each, QDialog) and each.isVisible():
            each.close()
    if window.help.panel is not None:
        window.help.panel.hide()
    if window.guide.is_shown:
        window.guide.close()
    for palette in opened(window, "Palette"):
        palette.hide()
    window.activateWindow()
    settle()


def press(window: MainWindow, keys: QKeySequence) -> None:
    combined = keys[0]
    QTest.keyClick(QApplication.focusWidget() or window, combined.key(), combined.keyboardModifiers())


# -- Menus and shortcuts -----------------------------------------------------------------------------------------------


def test_every_menu_entry_and_its_shortcut_lead_where_they_say(window: MainWindow, outside: Outside) -> None:
    entries = {
        plain(entry.text()).rstrip("…"): entry for top in window.menuBar().actions() for entry in entries_of(top.menu())
    }
    named = {*PAGES, *TAB_ENTRIES, *OPENS, *ASKS}
    assert {*entries} - named <= DOES, "where does this entry lead?"
    assert named <= {*entries}
    for words in sorted(named):
        for way in ("click", "keys"):
            window.show_tab("builder" if words != "Builder" else "data")
            outside.asked.clear()
            settle()
            if way == "click":
                entries[words].trigger()
            elif entries[words].shortcut().isEmpty():
                continue
            else:
                press(window, entries[words].shortcut())
            settle()
            about = f"{words}, {way}"
            if words in PAGES:
                assert link_of(window) == PAGES[words], about
            elif words in TAB_ENTRIES:
                assert window.pages.current == TAB_ENTRIES[words], about
            elif words in OPENS:
                assert opened(window, OPENS[words]), about
            else:
                assert len(outside.asked) == 1, about
            close_what_is_open(window)


def test_a_link_to_the_page_in_view_is_copied_and_pasted(window: MainWindow, until: Until) -> None:
    run = window.session.runs.list()[0]
    window.session.go(ShowRun(run.id, "data"))
    window.activateWindow()
    settle()
    press(window, QKeySequence("Ctrl+Shift+K"))
    link = QGuiApplication.clipboard().text()
    assert read_link(link) == ShowRun(run.name, "data")
    window.show_home()
    palette = window.show_palette()
    until(palette.field.hasFocus)
    palette.field.setText(link)
    assert palette.titles[0] == f"Open {link}"
    QTest.keyClick(palette.field, Qt.Key.Key_Return)
    assert window.navigator.here() == ShowRun(run.name, "data")
    palette.field.setText("terrarium://home?run=a")
    assert palette.titles == ["“run” means nothing in this link: leave it out."]


# -- The palette -------------------------------------------------------------------------------------------------------


def reached(window: MainWindow, place: str) -> bool:
    """Whether the page in view is that of a place."""
    here, (tab, _, rest) = window.navigator.here(), place.partition("/")
    kind, _, name = rest.partition("/")
    match here:
        case ShowDesign() if place == "builder/costs":
            return bool(window.pages.page("builder").costs.isVisible())  # type: ignore[attr-defined]
        case ShowTokenizer() | ShowDesign():
            return window.pages.current == tab and (kind in (here.view, "settings"))
        case ShowRun():
            return place.startswith("training/run/") and here.view == name
        case OpenModel() if tab == "chat" and kind == "mode":
            return bool(window.pages.page("chat").modes.current == name)  # type: ignore[attr-defined]
        case OpenModel():
            return tab == "chat" and here.panel == (kind if kind in PANELS else "settings")
        case ShowPlace(shown):
            return shown in (place, tab) or (kind == "new" and shown == "training/new")
    return False


def test_every_entry_of_the_palette_leads_where_it_says(window: MainWindow, until: Until, said: list[str]) -> None:
    window.session.detail.choose(EVERYTHING)
    entries = {
        entry.key: entry
        for source in window.palette_sources
        for entry in source.entries()
        if not entry.key.startswith(("menu/", "run action/"))
    }
    assert {key.partition("/")[0] for key in entries} == {
        *("place", "run", "design", "tokenizer", "recipe", "term", "guide", "mission")
    }
    for key, entry in entries.items():
        window.show_home()
        said.clear()
        entry.do()
        settle()
        kind, _, name = key.partition("/")
        here = window.navigator.here()
        match kind:
            case "place":
                assert reached(window, name) or said, f"{key}: {here}"
            case "run":
                assert isinstance(here, ShowRun), key
                assert window.training.run_in_view == name
            case "design":
                assert isinstance(here, ShowDesign), key
                assert here.design == name
            case "tokenizer":
                assert isinstance(here, ShowTokenizer), key
                assert here.tokenizer == name
            case "recipe":
                assert here == LearnTask(name), key
            case "term":
                assert window.help.panel is not None
                assert window.help.panel.entry is not None
                assert window.help.panel.entry.term == name
            case "guide":
                assert window.guide.is_shown, key
                assert window.guide.guide.chapter is not None
                assert window.guide.guide.chapter.name == name
            case "mission":
                assert window.guide.is_shown or here != ShowPlace("home"), key
    assert not window.session.training.active


# -- Links -------------------------------------------------------------------------------------------------------------


def test_every_page_has_a_link_that_leads_back(
    window: MainWindow, until: Until, text_file: Path, said: list[str]
) -> None:
    window.session.detail.choose(EVERYTHING)
    pages: dict[Linked, str] = {}
    for name, shown in every_page(window, until, text_file):
        if shown is window and name != "quickstart":  # a link to it leads to its button, as none is running
            pages.setdefault(window.navigator.here(), name)
    for place in PLACES:
        window.session.go(ShowPlace(place))
        pages.setdefault(window.navigator.here(), place)
    assert len(pages) > 40
    runs = [run.id for run in window.session.runs.list()]
    said.clear()
    for route, name in pages.items():
        window.show_home()
        window.links.open(write_link(route))
        until(lambda: window.session.chat.state in ("ready", ""))
        here = window.navigator.here()
        if isinstance(here, OpenModel) and isinstance(route, OpenModel) and not route.panel:
            here = dataclasses.replace(here, panel="")  # the side stays as it was
        assert here == route, name
    assert not said
    assert [run.id for run in window.session.runs.list()] == runs
    assert not window.session.training.active


# -- Buttons -----------------------------------------------------------------------------------------------------------


def ways_of(button: QPushButton) -> Iterator[tuple[str, Callable[[], object]]]:
    """What a button does: its name with what it is in, and a function that does it; for one with a menu, each entry."""
    name = f"{button.accessibleName() or button.text()} in {type(button.parentWidget()).__name__}"
    if button.menu() is None:
        yield name, button.click
        return
    button.menu().aboutToShow.emit()
    for entry in entries_of(button.menu()):
        if entry.isEnabled():
            yield f"{name}: {entry.text()}", entry.trigger


def routes_of_buttons(window: MainWindow, until: Until, text_file: Path) -> tuple[dict[str, Route], int]:
    """Press all buttons of all pages without going anywhere; return the routes asked for, and how many were pressed."""
    session, routes, pressed = window.session, dict[str, Route](), set[str]()
    session.routed.disconnect(window.navigator.follow)
    for page, shown in every_page(window, until, text_file):
        if shown is not window or page == "data, import":  # its buttons would end the import
            continue
        for button in shown.findChildren(QPushButton):
            if not isValid(button) or not button.isVisible() or not button.isEnabled() or button.isCheckable():
                continue
            for name, do in ways_of(button):
                if name in pressed or name.startswith(("Delete", "Remove")) or ": Delete" in name:
                    continue
                pressed.add(name)
                asked = session.routed.connect(partial(routes.setdefault, name))
                do()
                settle()
                session.routed.disconnect(asked)
                close_what_is_open(window)
                if not isValid(button):
                    break
    session.routed.connect(window.navigator.follow)
    return routes, len(pressed)


def arrived(window: MainWindow, route: Route, outside: Outside, started: list[str]) -> bool:
    """Whether what a route asks for is in view."""
    here, dialog = window.navigator.here(), any(each.isVisible() for each in window.findChildren(QDialog))
    match route:
        case ShowPlace(place):
            return reached(window, place) or window.pages.current == place
        case ShowRun(run, view):
            return window.training.run_in_view == run and isinstance(here, ShowRun) and view in ("", here.view)
        case OpenModel(run, panel):
            model = window.session.chat.model
            return (
                isinstance(here, OpenModel) and model is not None and model.run_id == run and panel in ("", here.panel)
            )
        case ShowQuickStart():  # none is running
            return here == ShowPlace("home")
        case NewRun() | DoToRun(action="template"):
            return here == ShowPlace("training/new")
        case DoToRun(action="chat"):
            return isinstance(here, OpenModel)
        case DoToRun(action="tune"):
            return here == ShowPlace("training/new") or dialog
        case DoToRun(action="reveal" | "rename") | ChooseTexts():
            return len(outside.asked) == 1
        case ForkRun() | DoToRun():
            return dialog
        case Judge() | TryPronouns():
            mode = "prefer" if isinstance(route, Judge) else "pairs"
            return window.pages.current == "chat" and window.pages.page("chat").modes.current == mode  # type: ignore
        case StartQuickStart():
            return started == ["start_quickstart"]
    return False


def test_every_button_leads_to_a_page(
    window: MainWindow,
    until: Until,
    text_file: Path,
    said: list[str],
    outside: Outside,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, started = window.session, list[str]()
    session.detail.choose(EVERYTHING)
    window.resize(1440, 900)
    for name in ("start", "start_recipe", "start_quickstart", "resume"):
        monkeypatch.setattr(session.training, name, lambda *_, name=name, **__: bool(started.append(name)))
    routes, n_pressed = routes_of_buttons(window, until, text_file)
    assert n_pressed > 180
    assert len(routes) > 45
    said.clear()
    for name, route in routes.items():
        window.show_home()
        outside.asked.clear()
        started.clear()
        session.go(route)
        settle()
        until(lambda: session.chat.state in ("ready", "none"))
        assert arrived(window, route, outside, started), f"{name} asks for {route}"
        assert not said, name
        close_what_is_open(window)


# -- The guide ---------------------------------------------------------------------------------------------------------


def test_every_step_of_the_guide_opens_by_its_link_and_leads_to_its_places(window: MainWindow, said: list[str]) -> None:
    guide = window.guide.guide
    window.session.detail.choose(EVERYTHING)
    places = set[str]()
    for chapter in guide.chapters:
        for at, step in enumerate(chapter.steps, start=1):
            window.links.open(write_link(ShowChapter(chapter.name, at)))
            assert window.guide.is_shown
            assert guide.chapter is chapter
            assert guide.index == at - 1
            places |= {action.place for action in step.prepares if isinstance(action, Open)}
    assert len(places) > 10
    for place in places:
        window.show_home()
        window.session.go(ShowPlace(place))
        assert reached(window, place) or window.pages.current == place, place
    assert not said


# -- What does not exist -----------------------------------------------------------------------------------------------


def test_a_run_is_shown_at_a_step_and_a_model_at_a_head(window: MainWindow, until: Until, said: list[str]) -> None:
    run = window.session.runs.list()[0]
    window.links.open(write_link(ShowRun(run.name, step=5)))
    until(lambda: window.navigator.here() == ShowRun(run.name, "machine", 5))
    window.links.open(write_link(OpenModel(run.name, "attention", layer=1, head=2, text="The cat")))
    until(lambda: window.session.chat.state == "ready")
    until(lambda: window.navigator.here() == OpenModel(run.name, "attention", run.step, 1, 2))
    tab: Any = window.pages.page("chat")
    assert tab.page.composer.field.toPlainText() == "The cat"
    assert not said


@pytest.mark.parametrize(
    ("link", "sentence"),
    [
        ("nowhere", "There is no place “nowhere” in Terrarium."),
        ("builder/nothing", "There is no place “builder/nothing” in Terrarium."),
        ("training/run?run=gone", "There is no run “gone” here: train it first, or open its .terrarium file."),
        ("training/run/nothing?run=second", "A run has no view “nothing”: it has"),
        ("training/run/rewards?run=second", "“second” has nothing to show there."),
        ("training/recipes?task=nothing", "There is no task “nothing” to learn here."),
        ("training/compare?tag=nothing", "No run has the tag “nothing”."),
        ("chat/nothing?run=second", "The glass box has no panel “nothing”: it has"),
        ("chat/attention?run=second&layer=9", "“second” has no layer 9, head 1: it has"),
        ("chat/attention?run=second&layer=0", "Layers and heads are counted from 1."),
        ("chat?run=second&step=999", "“second” has no checkpoint at step 999: it has"),
        ("tokenizer?tokenizer=gone", "There is no tokenizer “gone” here."),
        ("builder/nothing?design=gpt2-tiny", "There is no view “nothing” here: there are"),
        ("builder?design=gone", "There is no design “gone” here."),
        ("data?dataset=gone", "There is no dataset “gone” here: import it first."),
        ("guide/gone", "The guide has no chapter “gone”: it has"),
        ("guide/{chapter}?step=99", "This chapter has"),
        ("glossary/gone", "The glossary has no term “gone”."),
    ],
)
def test_what_a_link_names_but_is_not_there_is_said(
    window: MainWindow, until: Until, said: list[str], link: str, sentence: str
) -> None:
    before = window.navigator.here()
    window.links.open(link.format(chapter=window.guide.guide.chapters[0].name))
    until(lambda: bool(said))
    assert len(said) == 1
    assert said[0].startswith(sentence)
    assert window.navigator.here() == before or window.pages.current in ("training", "builder", "data")
