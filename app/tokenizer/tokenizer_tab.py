"""The tokenizer tab: choose, train or import a tokenizer, and explore it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QInputDialog, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import EmptyState, button, column, frame, label, row, splitter, stacked
from terrarium.app.kit.file_dialogs import reveal
from terrarium.app.kit.help_mark import HelpMark
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.layout.views import View, Views
from terrarium.app.kit.setting_names.value_words import words
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.explore.explore_view import ExploreView
from terrarium.app.tokenizer.making.import_menu import TokenizerImport
from terrarium.app.tokenizer.making.trainer import TokenizerTrainer
from terrarium.app.tokenizer.making.training import TokenizerTraining

_PATIENCE_MS = 150
"""How long the previous tokenizer stays in view, in milliseconds, so that a small one is shown without a flicker."""


class TokenizerTab(QWidget):
    """The library on the left, the views of the chosen tokenizer on the right."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.list = ItemList("Tokenizers", theme, can_rename=True, has_folders=True)
        self.setFocusProxy(self.list)
        self.views = _TokenizerViews(session, theme)
        self.trainer = self.views.trainer
        self.training = TokenizerTraining(session.library, session.tokenizers, session.notices, self)
        session.closing.connect(self.training.close)
        self.loading = EmptyState("", "")
        self.patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self._build()
        self._connect()
        self._on_library_changed()
        self._on_tokenizer_changed()
        self._on_busy_changed()

    def _build(self) -> None:
        self._pages = stacked(self._empty_page(), self.views, self.loading)
        self.splitter = splitter(self._library_panel(), self._pages, sizes=(220, 1090), grows=1)
        self.setLayout(column(self.splitter, margin=2 * SPACE))

    def _library_panel(self) -> QWidget:
        tip = "Train a new tokenizer on a text"
        self.new = button("New tokenizer", self._theme, self._on_new, icon="plus", role="primary", tip=tip)
        self.bring = TokenizerImport(self._session, self._theme)
        self.bring.accept_drops_on(self.list.viewport())
        head, rows = row(label("Tokenizers", "subheading"), HelpMark("Tokenizer"), None), WholeRows(self.list)
        return frame("card", head, rows, row(self.new, self.bring, None), grows=rows)

    def _empty_page(self) -> QWidget:
        first = button(
            "Train one on Tiny World",
            self._theme,
            self.trainer.train,
            icon="play",
            role="primary",
            tip="Learn 1,024 tokens from Terrarium's own synthetic world; takes a few seconds",
        )
        sentence = (
            "A tokenizer splits text into the tokens that a model reads. Train your own or import that of "
            "another model with the buttons on the left, or start with this one."
        )
        return EmptyState("No tokenizer yet", sentence, first)

    def _connect(self) -> None:
        session = self._session
        session.tokenizers.list_changed.connect(self._on_library_changed)
        session.tokenizers.changed.connect(self._on_tokenizer_changed)
        self.patience.timeout.connect(self._show_page)
        self.views.view_changed.connect(self._show_page)
        self.training.changed.connect(self._on_busy_changed)
        self.training.trained.connect(lambda _: self.views.show_view("explore"))
        self.training.events_received.connect(self.trainer.show_events)
        self.bring.imported.connect(lambda _: self.views.show_view("about"))
        self.trainer.train_requested.connect(self.training.train)
        self.trainer.cancel_requested.connect(self.training.cancel)
        self.list.chosen.connect(self._on_chosen)
        self.list.rename_requested.connect(self._on_rename)
        self.list.duplicate_requested.connect(session.tokenizers.duplicate)
        self.list.delete_requested.connect(session.tokenizers.delete)
        self.list.reveal_requested.connect(lambda name: reveal(session.library.tokenizers / name))

    @Slot()
    def _on_library_changed(self) -> None:
        items = [
            Item(info.name, info.name, f"{words(info.kind)}, {info.vocab_size:,} tokens", info.problem or "")
            for info in self._session.tokenizers.list()
        ]
        self.list.set_items(items, self._session.tokenizers.name)

    @Slot()
    def _on_tokenizer_changed(self) -> None:
        tokenizers = self._session.tokenizers
        if tokenizers.is_loading:
            self.loading.set_words(f"Loading “{tokenizers.name}”…", "Large tokenizers take a few seconds.")
            self.patience.start()
        else:
            self.patience.stop()
            self.views.set_tokenizer(tokenizers.current, tokenizers.name)
        self._show_page()
        self._on_library_changed()

    @Slot(str)
    def _on_chosen(self, name: str) -> None:
        if name != self._session.tokenizers.name:
            self._session.tokenizers.choose(name)
        if self.views.current == "train" and not self.training.busy:
            self.views.show_view("explore")

    def _on_rename(self, name: str) -> None:
        new, agreed = QInputDialog.getText(self, "Rename tokenizer", "Name", text=name)
        if agreed and new.strip() and new.strip() != name:
            self._session.tokenizers.rename(name, new)

    def _on_new(self) -> None:
        self.views.show_view("train")
        self._show_page()
        self.trainer.setFocus()

    @Slot()
    def _on_busy_changed(self) -> None:
        self.trainer.show_busy(self.training.busy)
        if self.training.busy:
            self.views.show_view("train")
        self._show_page()

    @Slot()
    def _show_page(self) -> None:
        """Show the views, a hint if there is no tokenizer, or that it is loading."""
        tokenizers, trains = self._session.tokenizers, self.views.current == "train"
        waits = tokenizers.is_loading and not self.patience.isActive()
        is_empty = tokenizers.current is None and not tokenizers.is_loading
        self._pages.setCurrentIndex(1 if trains else 2 if waits else 0 if is_empty else 1)


class _TokenizerViews(Views):
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
