"""The tokenizer tab: choose or train a tokenizer, type, and see what it makes of the text."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import EmptyState, button, frame, label
from app.widgets.item_list import Item, ItemList
from app.widgets.tokenizer_trainer import TokenizerTrainer
from app.widgets.tokenizer_views import TokenizerViews
from app.widgets.words import words


class TokenizerTab(QWidget):
    """Left the library and the trainer, beside them the views of the chosen tokenizer."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.list = ItemList("Tokenizers", theme)
        self.trainer = TokenizerTrainer(theme, self._free_name)
        self.views = TokenizerViews(session, theme)
        self._pages = QStackedWidget()
        self._build()
        self._connect()
        self._on_library_changed()
        self._on_tokenizer_changed()
        self._on_busy_changed()

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._library_panel())
        splitter.addWidget(self._centre())
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([270, 1040])
        self.splitter = splitter
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.addWidget(splitter)

    def _library_panel(self) -> QWidget:
        panel = frame("card")
        lines = panel.layout()
        assert isinstance(lines, QVBoxLayout)
        lines.addWidget(label("Tokenizers", "subheading"))
        self.list.setMinimumHeight(90)
        lines.addWidget(self.list, 1)
        lines.addWidget(label("Train a new one", "subheading"))
        lines.addWidget(self.trainer)
        return panel

    def _centre(self) -> QWidget:
        first = button(
            "Train one on Tiny World",
            self._theme,
            self.trainer.train,
            icon="play",
            role="primary",
            tip="Learn 1,024 tokens from Terrarium's own synthetic little world; takes a few seconds",
        )
        self._pages.addWidget(
            EmptyState(
                "No tokenizer yet",
                "A tokenizer cuts text into the tokens that a model reads. Train one from the panel at the left, "
                "or take this first one.",
                first,
            )
        )
        self._pages.addWidget(self.views)
        return self._pages

    def _connect(self) -> None:
        session = self._session
        session.library_changed.connect(self._on_library_changed)
        session.tokenizer_changed.connect(self._on_tokenizer_changed)
        session.tokenizer_training_changed.connect(self._on_busy_changed)
        session.tokenizer_events.connect(self.trainer.show_events)
        self.trainer.train_asked.connect(session.train_tokenizer)
        self.trainer.cancel_asked.connect(session.cancel_tokenizer_training)
        self.list.chosen.connect(self._on_chosen)
        self.list.delete_asked.connect(session.delete_tokenizer)

    def _free_name(self, base: str) -> str:
        return self._session.library.free_name(self._session.library.tokenizers, base)

    @Slot()
    def _on_library_changed(self) -> None:
        items = [
            Item(info.name, info.name, f"{words(info.kind)}, {info.vocab_size:,} tokens", info.problem or "")
            for info in self._session.list_tokenizers()
        ]
        self.list.set_items(items, self._session.tokenizer_name)

    @Slot()
    def _on_tokenizer_changed(self) -> None:
        tokenizer = self._session.tokenizer
        self._pages.setCurrentIndex(0 if tokenizer is None else 1)
        self.views.set_tokenizer(tokenizer, self._session.tokenizer_name)
        self._on_library_changed()

    @Slot(str)
    def _on_chosen(self, name: str) -> None:
        if name != self._session.tokenizer_name and not self._session.choose_tokenizer(name):
            self._on_library_changed()  # select what is really in use

    @Slot()
    def _on_busy_changed(self) -> None:
        self.trainer.show_busy(self._session.tokenizer_busy)
