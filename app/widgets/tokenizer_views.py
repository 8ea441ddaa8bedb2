"""The ways of looking at one tokenizer, of which one is shown: each is made when it is first wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QTabBar, QVBoxLayout, QWidget
from tokenizers import Tokenizer

from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.explore_view import ExploreView
from app.widgets.pages import Pages
from app.widgets.tokenizer_trainer import TokenizerTrainer

VIEWS = {
    "explore": ("Explore", "Type a text and see its tokens"),
    "about": ("About", "What the tokenizer was made from, and your notes"),
    "train": ("Train new", "Make another tokenizer from a text"),
}


class TokenizerViews(QWidget):
    """A row of views above the one that is shown. Only that one follows a change; the others do when they are shown.

    Signals:
        view_changed(name): another of VIEWS is shown.
    """

    view_changed = Signal(str)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self._tokenizer: Tokenizer | None = None
        self._name = ""
        self._shown: dict[str, tuple[Tokenizer | None, str, str]] = {}
        factories: dict[str, Callable[[], QWidget]] = {
            "explore": self._make_explore,
            "about": self._make_about,
            "train": self._make_train,
        }
        self.pages = Pages(factories)
        self.bar = QTabBar()
        self.bar.setDrawBase(False)
        self.bar.setExpanding(False)
        self.bar.setAccessibleName("Views of the tokenizer")
        self.names = tuple(VIEWS)
        for i, (words, tip) in enumerate(VIEWS.values()):
            self.bar.addTab(words)
            self.bar.setTabToolTip(i, tip)
        self.explore: ExploreView = self.pages.page("explore")  # type: ignore[assignment]  # it holds the text
        self.trainer: TokenizerTrainer = self.pages.page("train")  # type: ignore[assignment]  # it follows a training
        self.bar.currentChanged.connect(self._on_tab)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE)
        layout.addWidget(self.bar)
        layout.addWidget(self.pages, 1)
        self.show_view("explore")

    @property
    def current(self) -> str:
        """The name of the view that is shown."""
        return self.pages.current

    def view(self, name: str) -> Any:
        """A view, made now where it does not exist yet, and up to date."""
        page = self.pages.page(name)
        self._update(name)
        return page

    def show_view(self, name: str) -> None:
        """Show one of VIEWS."""
        self.bar.setCurrentIndex(self.names.index(name))
        self._on_tab(self.bar.currentIndex())

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Look at this tokenizer of the library; None while there is none."""
        self._tokenizer, self._name = tokenizer, name
        self._update("explore")
        self._update(self.current)

    def _on_tab(self, index: int) -> None:
        name = self.names[index]
        self.view(name)
        self.pages.show_page(name)
        self.view_changed.emit(name)

    def _update(self, name: str) -> None:
        if name == "train":  # it makes another one
            return
        text = "" if name == "explore" else self.explore.text
        wanted, shown = (self._tokenizer, self._name, text), self._shown.get(name)
        if shown == wanted:
            return
        self._shown[name] = wanted
        page: Any = self.pages.page(name)
        if shown is None or shown[:2] != wanted[:2]:
            page.set_tokenizer(self._tokenizer, self._name)
        if name != "explore" and (shown is None or shown[2] != text):
            page.set_text(text)

    def _make_explore(self) -> QWidget:
        return ExploreView(self._session, self._theme)

    def _make_about(self) -> QWidget:
        from app.widgets.tokenizer_about import TokenizerAbout

        return TokenizerAbout(self._session, self._theme)

    def _make_train(self) -> QWidget:
        return TokenizerTrainer(self._theme, self._free_name)

    def _free_name(self, base: str) -> str:
        return self._session.library.free_name(self._session.library.tokenizers, base)
