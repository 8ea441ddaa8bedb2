"""The window's pages: their factories, which import lazily, so that it appears before the charts are loaded."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from PySide6.QtWidgets import QWidget

from terrarium.app.home.home import Home
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session

if TYPE_CHECKING:
    from terrarium.app.kit.layout.pages import Pages
    from terrarium.app.training.training_tab import TrainingTab

_PARTS = (
    "pyqtgraph",
    "terrarium.models.importing.formats.registry",
    "terrarium.app.recipes.recipes_page",
    "terrarium.app.new_run.new_run_page",
    "terrarium.app.run.run_view",
    *(f"terrarium.app.{name}.{name}_tab" for name in ("training", "tokenizer", "data", "builder", "chat")),
    "terrarium.app.home.quickstart_view",
    "terrarium.app.download.models_page",
    "terrarium.app.guide.home_card",
    "terrarium.app.guide.guide_panel",
    "terrarium.app.shell.guide.stage",
)
"""The modules of the pages and the guide, in portions that take 10 to 70 ms to import (measured)."""


class Screens(Protocol):
    """The interface of the window to its pages."""

    session: Session
    pages: Pages

    @property
    def training(self) -> TrainingTab: ...
    def show_tab(self, name: str) -> None: ...
    def show_quickstart(self) -> None: ...
    def start_quickstart_on(self, files: tuple[str, ...]) -> None: ...
    def show_models(self) -> None: ...
    def show_running(self) -> None: ...
    def show_trash(self) -> None: ...
    def show_preferences(self, query: str = "") -> None: ...


def load_pages() -> Iterator[None]:
    """Import all pages and the guide, which takes half a second in total; yield after each portion.

    Run this on the window's thread: with Python 3.11, PySide stores its class data in a table without a lock, which
    that thread reads while it handles events. If another thread defines a class at the same time, it may crash.
    """
    for name in _PARTS:
        importlib.import_module(name)
        yield
    gc.freeze()  # imported objects are permanent, and cost each collection 30 ms (app.worker.garbage)


def page_factories(session: Session, theme: ThemeProvider) -> dict[str, Callable[[], QWidget]]:
    """Return a factory for each page, by expected order of use."""

    def training() -> QWidget:
        from terrarium.app.training.training_tab import TrainingTab

        return TrainingTab(session, theme)

    def tokenizer() -> QWidget:
        from terrarium.app.tokenizer.tokenizer_tab import TokenizerTab

        return TokenizerTab(session, theme)

    def data() -> QWidget:
        from terrarium.app.data.data_tab import DataTab

        return DataTab(session, theme)

    def builder() -> QWidget:
        from terrarium.app.builder.builder_tab import BuilderTab

        return BuilderTab(session, theme)

    def chat() -> QWidget:
        from terrarium.app.chat.chat_tab import ChatTab

        return ChatTab(session, theme)

    def quickstart() -> QWidget:
        from terrarium.app.home.quickstart_view import QuickStartView

        return QuickStartView(session, theme)

    def models() -> QWidget:
        from terrarium.app.download.models_page import ModelsPage

        return ModelsPage(session, theme)

    return {
        "home": lambda: Home(session, theme),
        "training": training,
        "tokenizer": tokenizer,
        "data": data,
        "builder": builder,
        "chat": chat,
        "quickstart": quickstart,
        "models": models,
    }
