"""A window of which only some tabs are there, in which routes lead as in the real one."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

from PySide6.QtWidgets import QWidget

from terrarium.app.session.session import Session
from terrarium.app.shell.navigator import Navigator


class FewPages:
    """The pages of the window that a test has made, by name."""

    def __init__(self, made: dict[str, QWidget]) -> None:
        self.made, self.current = made, ""

    def page(self, name: str) -> Any:
        """A page, or if the test has not made it, an object that does nothing."""
        return self.made.get(name) or MagicMock()


class FewTabs:
    """The part of the window that the navigator needs. `shown` are the tabs that were asked for, in order."""

    def __init__(self, session: Session, **pages: QWidget) -> None:
        self.session, self.pages = session, FewPages(pages)
        self.shown: list[str] = []
        self.navigator = Navigator(self, session)  # type: ignore[arg-type]

    @property
    def training(self) -> Any:
        return self.pages.page("training")

    def show_tab(self, name: str) -> None:
        self.shown.append(name)
        self.pages.current = name

    def show_models(self) -> None:
        self.show_tab("models")
