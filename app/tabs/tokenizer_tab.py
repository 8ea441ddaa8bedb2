"""The tokenizer tab: choose or train a tokenizer, type, and see what it makes of the text."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.session import Session
from app.theme import SPACE, ThemeProvider
from app.widgets.bar_list import Bar, BarList
from app.widgets.basics import EmptyState, button, column, frame, label, row
from app.widgets.item_list import Item, ItemList
from app.widgets.scrolling import scrolling
from app.widgets.stat_strip import StatStrip
from app.widgets.token_card import TokenCard
from app.widgets.token_lab import TokenLab
from app.widgets.tokenizer_trainer import TokenizerTrainer
from app.widgets.words import words

EXAMPLE = """\
The animal didn't cross the street because it was too tired.
Anna gives the red kite to Ben. Where is the kite now?
unbelievable, internationalization, 3.14159, 98 + 27 = 125
naïve café, Straße, mañana, Привет, 🌱

<|user|> Who has the kite?<|assistant|> Ben<|end|>

def add(a, b):
    return a + b
"""

_FREQUENT = 8
_STATS = {
    "tokens": "How many tokens the text is: what the model reads, one after the other",
    "characters": "How many characters the text has",
    "bytes": "How many bytes the text has in UTF-8",
    "tokens per character": "Fewer is shorter for the model to read, from a larger vocabulary",
    "bytes per token": "How much text one token stands for, on average",
}


class TokenizerTab(QWidget):
    """Left the library and the trainer, in the middle text and pills, right the token under the pointer."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.list = ItemList("Tokenizers", theme)
        self.trainer = TokenizerTrainer(theme, self._free_name)
        self.lab = TokenLab(theme)
        self.card = TokenCard()
        self.frequent = BarList(theme, mono=True)
        self.stats = StatStrip(_STATS, theme)
        self._pages, self._about = QStackedWidget(), QWidget()
        self._build()
        self._connect()
        self.lab.editor.setPlainText(EXAMPLE)
        self._on_library_changed()
        self._on_tokenizer_changed()
        self._on_busy_changed()

    def _build(self) -> None:
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        for widget, size in ((self._library_panel(), 270), (self._centre(), 800), (self._token_panel(), 240)):
            splitter.addWidget(widget)
            splitter.setStretchFactor(splitter.count() - 1, 1 if size == 800 else 0)
        splitter.setSizes([270, 800, 240])
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
        self.show_ids = QCheckBox("Ids")
        self.show_ids.setChecked(True)
        self.show_ids.setToolTip("Show each token's id below its pill")
        self.show_ids.toggled.connect(self.lab.view.set_show_ids)
        copy = button("Copy ids", self._theme, self._copy_ids, icon="copy", role="quiet", tip="Copy all ids as a list")
        panel = QWidget()
        lines = QVBoxLayout(panel)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE)
        lines.addWidget(self.lab, 1)
        lines.addLayout(row(self.stats, self.show_ids, copy))
        self._pages.addWidget(panel)
        return self._pages

    def _token_panel(self) -> QWidget:
        panel = self._about
        frequent = frame("card")
        inside = frequent.layout()
        assert isinstance(inside, QVBoxLayout)
        inside.setSpacing(2 * SPACE)
        inside.addWidget(label("Most frequent here", "subheading"))
        inside.addWidget(scrolling(self.frequent), 1)
        self.frequent.setAccessibleName("Most frequent tokens of the text")
        panel.setLayout(column(self.card, frequent))
        panel.layout().setStretch(1, 1)  # type: ignore[union-attr]
        return panel

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
        self.lab.encoded.connect(self._on_encoded)
        self.lab.token_changed.connect(self._on_token_changed)

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
        self._about.setVisible(tokenizer is not None)
        self.lab.set_tokenizer(tokenizer)
        self._on_library_changed()

    @Slot(str)
    def _on_chosen(self, name: str) -> None:
        if name != self._session.tokenizer_name and not self._session.choose_tokenizer(name):
            self._on_library_changed()  # select what is really in use

    @Slot()
    def _on_busy_changed(self) -> None:
        self.trainer.show_busy(self._session.tokenizer_busy)

    @Slot()
    def _on_encoded(self) -> None:
        text, n_tokens = self.lab.text, len(self.lab.pieces)
        n_bytes = len(text.encode("utf-8", "surrogatepass"))
        numbers = {
            "tokens": f"{n_tokens:,}",
            "characters": f"{len(text):,}",
            "bytes": f"{n_bytes:,}",
            "tokens per character": f"{n_tokens / len(text):.3f}" if text else "–",
            "bytes per token": f"{n_bytes / n_tokens:.2f}" if n_tokens else "–",
        }
        for name, number in numbers.items():
            self.stats.set_number(name, number)
        self.frequent.set_bars(
            [
                Bar(piece.display, count, f"{count:,}", f"id {piece.id}")
                for piece, count in self.lab.most_frequent(_FREQUENT)
            ]
        )

    @Slot(int)
    def _on_token_changed(self, index: int) -> None:
        if index < 0:
            self.card.set_token(None)
            return
        piece = self.lab.pieces[index]
        self.card.set_token(piece, index=index, occurrences=self.lab.occurrences(piece.id))

    def _copy_ids(self) -> None:
        QGuiApplication.clipboard().setText(str([piece.id for piece in self.lab.pieces]))
