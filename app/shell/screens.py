"""Factories of the window's pages. Imports happen in them, so that the window appears before the charts are loaded."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator

from PySide6.QtWidgets import QWidget

from app.kit.theme import ThemeProvider
from app.quickstart.home import Home
from app.session.session import Session

_PARTS = (
    "pyqtgraph",
    "models.data.formats.registry",
    "app.training.recipes.page",
    "app.training.new_run.page",
    "app.training.run.view",
    *(f"app.{name}.tab" for name in ("training", "tokenizer", "data", "builder", "chat")),
    "app.quickstart.view",
    "app.download.page",
    "app.guide.home_card",
    "app.guide.panel",
    "app.shell.guiding.stage",
)
"""What the pages and the guide consist of, in portions of 10 to 70 ms (measured)."""


def load_pages() -> Iterator[None]:
    """Import all pages and the guide, which takes half a second in all; yields after each portion.

    On the window's thread: with Python 3.11, PySide keeps what it knows of a class in a table without a lock, which
    that thread reads while it handles events. If another thread defines a class meanwhile, the program may crash.
    """
    for name in _PARTS:
        importlib.import_module(name)
        yield
    gc.freeze()  # what was imported lives forever, and takes a collection 30 ms to look through (app.worker.garbage)


def page_factories(session: Session, theme: ThemeProvider) -> dict[str, Callable[[], QWidget]]:
    """A factory for each page, in the order in which they are likely to be wanted."""

    def training() -> QWidget:
        from app.training.tab import TrainingTab

        return TrainingTab(session, theme)

    def tokenizer() -> QWidget:
        from app.tokenizer.tab import TokenizerTab

        return TokenizerTab(session, theme)

    def data() -> QWidget:
        from app.data.tab import DataTab

        return DataTab(session, theme)

    def builder() -> QWidget:
        from app.builder.tab import BuilderTab

        return BuilderTab(session, theme)

    def chat() -> QWidget:
        from app.chat.tab import ChatTab

        return ChatTab(session, theme)

    def quickstart() -> QWidget:
        from app.quickstart.view import QuickStartView

        return QuickStartView(session, theme)

    def models() -> QWidget:
        from app.download.page import ModelsPage

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
