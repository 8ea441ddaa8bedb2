"""The views of the chosen tokenizer."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.explore.explore_view import ExploreView
from terrarium.app.tokenizer.making.trainer import TokenizerTrainer


class TokenizerViews(Views):
    """The views of a tokenizer, which share it and the text of the Explore view."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        views = {
            "explore": View("Explore", "Type a text and see its tokens", self._make_explore, "Token"),
            "steps": View("Steps", "How a word becomes tokens, step by step", self._make_steps, "BPE"),
            "vocabulary": View(
                "Vocabulary", "All tokens, and how often they occur", self._make_vocabulary, "Vocabulary"
            ),
            "compare": View(
                "Compare",
                "Compare tokenizers on the same text, with figures and costs",
                self._make_compare,
                "Bits per byte",
            ),
            "decode": View("Decode", "Paste ids and see their text", self._make_decode, "Tokenizer"),
            "chat": View(
                "Conversation", "A conversation as tokens, with role markers", self._make_chat, "Chat template"
            ),
            "about": View("About", "What the tokenizer was made from, and your notes", self._make_about, "Tokenizer"),
            "train": View("Train", "Train another tokenizer on a text", self._make_train, "BPE"),
        }
        super().__init__("Views of the tokenizer", views, parent)
        self.keep_simple(session.detail, ("explore", "steps", "vocabulary", "about"))
        self._session, self._theme = session, theme
        self._tokenizer: Tokenizer | None = None
        self._name = ""
        self._shown: dict[str, tuple[Tokenizer | None, str, str]] = {}
        self.explore: ExploreView = self.pages.page("explore")  # type: ignore[assignment]  # it owns the shared text
        self.trainer: TokenizerTrainer = self.pages.page("train")  # type: ignore[assignment]  # it shows progress
        self.show_view("explore")

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Show this tokenizer of the library; None for none."""
        self._tokenizer, self._name = tokenizer, name
        self._update("explore")
        self._update(self.current)

    def _update(self, name: str) -> None:
        if name == "train":  # independent of the chosen tokenizer
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
        return ExploreView(self._theme)

    def _make_steps(self) -> QWidget:
        from terrarium.app.tokenizer.steps.steps_view import StepsView

        return StepsView(self._session, self._theme)

    def _make_vocabulary(self) -> QWidget:
        from terrarium.app.tokenizer.vocabulary.vocabulary_view import VocabularyView

        return VocabularyView(self._session, self._theme)

    def _make_compare(self) -> QWidget:
        from terrarium.app.tokenizer.compare.compare_view import TokenizerCompareView

        return TokenizerCompareView(self._session, self._theme)

    def _make_decode(self) -> QWidget:
        from terrarium.app.tokenizer.decode_view import DecodeView

        view = DecodeView(self._theme)
        view.text_requested.connect(self._explore)
        return view

    def _make_chat(self) -> QWidget:
        from terrarium.app.tokenizer.conversation_view import ChatTemplateView

        return ChatTemplateView(self._session, self._theme)

    def _make_about(self) -> QWidget:
        from terrarium.app.tokenizer.about import TokenizerAbout

        return TokenizerAbout(self._session, self._theme)

    def _make_train(self) -> QWidget:
        return TokenizerTrainer(self._session, self._theme, self._free_name)

    @Slot(str)
    def _explore(self, text: str) -> None:
        self.explore.set_text(text)
        self.show_view("explore")

    def _free_name(self, base: str) -> str:
        return self._session.library.free_name(self._session.library.tokenizers, base)
