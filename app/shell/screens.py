"""Factories of the window's pages. Imports happen in them, so that the window appears before the charts are loaded."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable

from PySide6.QtWidgets import QWidget

from app.kit.theme import ThemeProvider
from app.quickstart.home import Home
from app.session.session import Session


def load_pages() -> None:
    """Import all pages, which takes a second; on any thread, so that the window need not wait."""
    for name in ("training", "tokenizer", "data", "builder", "chat"):
        importlib.import_module(f"app.{name}.tab")
    importlib.import_module("app.quickstart.view")
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

    return {
        "home": lambda: Home(session, theme),
        "training": training,
        "tokenizer": tokenizer,
        "data": data,
        "builder": builder,
        "chat": chat,
        "quickstart": quickstart,
    }
