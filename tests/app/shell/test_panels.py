"""The table of the glass box's panels: each entry is complete, each panel has one, and a new one needs no more."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
import qtawesome

from terrarium.app.chat.chat_tab import ChatTab
from terrarium.app.glass.answer_panel import AnswerPanel
from terrarium.app.glass.embeddings.embeddings_page import EmbeddingsPage
from terrarium.app.glass.glass_panel import FigurePanel, GlassPanel
from terrarium.app.help import panels, places
from terrarium.app.help.glossary import load_glossary
from terrarium.app.help.panels import PANELS, Panel
from terrarium.app.help.pictures import PICTURES
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.routes import Route, ShowPlace
from terrarium.app.session.session import Session
from terrarium.app.shell import navigator, palette_sources
from terrarium.app.shell.main_window import MainWindow
from tests import ROOT

TOY = Panel(
    key="toy",
    title="Toy",
    tip="Shows nothing",
    icon="cube",
    term="Attention",
    widget="tests.app.shell.test_panels:ToyPanel",
    find_by="plaything",
    follows="model",
)


class ToyPanel(GlassPanel):
    """A panel that shows nothing."""

    def show_text(self) -> None:
        """Show nothing."""

    def show_position(self) -> None:
        """Show nothing."""


def _classes_in(folder: Path) -> set[type]:
    """The concrete panels in the modules of a folder."""
    names = (path.relative_to(ROOT).with_suffix("").parts for path in folder.rglob("*.py"))
    modules = [import_module(".".join(("terrarium", *parts))) for parts in names if parts[-1] != "__init__"]
    found = {each for module in modules for each in vars(module).values() if isinstance(each, type)}
    return {each for each in found if issubclass(each, GlassPanel)} - {GlassPanel, FigurePanel, AnswerPanel}


def test_every_panel_has_an_entry() -> None:
    classes = _classes_in(ROOT / "app" / "glass") | _classes_in(ROOT / "app" / "whole_pass")
    assert {panel.load() for panel in PANELS.values()} == classes - {EmbeddingsPage}  # which is a page of the chat tab


def test_every_entry_is_complete(theme: ThemeProvider) -> None:
    glossary = load_glossary(places.PLACES, PICTURES)
    for key, panel in PANELS.items():
        assert key == panel.key
        assert panel.follows in ("token", "model"), key
        assert qtawesome.charmap(f"ph.{panel.icon}"), key
        assert glossary.find(panel.term) is not None, key
        assert places.PLACES[f"chat/{key}"] == f"Chat → {panel.title}"
        assert panel.tip[0].isupper(), key
    assert len({panel.icon for panel in PANELS.values()}) == len(PANELS)


def test_the_entry_says_whether_labels_can_be_explained(session: Session) -> None:
    told = {key: panel.load() for key, panel in PANELS.items() if panel.follows == "token"}
    shown = {key for key, made in told.items() if made.is_about_labels or not made.is_about_predictions}
    assert shown == {key for key in told if PANELS[key].for_labels}


def test_an_entry_is_all_that_a_panel_needs(window: MainWindow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(panels.PANELS, "toy", TOY)  # type: ignore[arg-type]
    for module in (places, palette_sources, navigator):
        monkeypatch.setattr(module, "PLACES", places.all_places())
    for module in (places, palette_sources):
        monkeypatch.setattr(module, "FOUND_BY", places.search_words())
    window.show_tab("chat")
    tab = window.pages.page("chat")
    assert isinstance(tab, ChatTab)
    last = tab.side.rail.count() - 1
    assert (tab.side.rail.tabText(last), tab.side.rail.tabToolTip(last)) == ("Toy", "Shows nothing")
    assert places.PLACES["chat/toy"] == "Chat → Toy"
    shown: list[Route] = []
    found = {entry.key: entry for entry in palette_sources.PlaceSource(shown.append).entries()}["place/chat/toy"]
    assert (found.title, found.where) == ("Toy", "Chat")
    assert "plaything" in found.find_by
    found.do()
    assert shown == [ShowPlace("chat/toy")]
    window.session.go(shown[0])
    assert isinstance(tab.side.view("toy"), ToyPanel)
    assert tab.side.current == "toy"
