"""The Explore view: a text with its tokens and bytes, statistics, and the current token."""

from __future__ import annotations

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import button, frame, group, label, panes, row, scrolling
from terrarium.app.kit.inputs import named
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.explore.bar_list import Bar, BarList
from terrarium.app.tokenizer.explore.round_trip_strip import RoundTripStrip
from terrarium.app.tokenizer.explore.token_card import TokenCard
from terrarium.app.tokenizer.explore.token_lab import TokenLab

EXAMPLE = """\
The animal didn't cross the street because it was too tired.
Anna gives the red kite to Ben. Where is the kite now?
unbelievable, internationalization, 3.14159, 98 + 27 = 125
naïve café, Straße, mañana, Привет, שלום, 日本語, 🌱👩‍🚀

<|user|> Who has the kite?<|assistant|> Ben<|end|>

def add(a, b):
    return a + b
"""

_FREQUENT = 7
_STATS = {
    "tokens": "Number of tokens in the text: what the model reads",
    "characters": "Number of characters in the text",
    "bytes": "Number of bytes of the text in UTF-8",
    "tokens per word": "Tokens per word on average (words are separated by spaces)",
    "bytes per token": "Bytes per token on average",
}


class ExploreView(QWidget):
    """Text, pills and bytes in the middle; the current token and the most frequent ones on the right.

    Signals:
        text_changed(): `text` has changed.
    """

    text_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._tokenizer: Tokenizer | None = None
        self._glyphs = Glyphs(theme.mono_font())
        self.lab = TokenLab(theme)
        self.round_trip = RoundTripStrip(theme)
        self.card = TokenCard()
        self.frequent = named(BarList(theme, mono=True), "Most frequent tokens of the text")
        self.stats = StatStrip(_STATS, theme, widest="8,888,888")
        self.show_ids = QCheckBox("Ids")
        self._build()
        self.lab.encoded.connect(self._on_encoded)
        self.lab.token_changed.connect(self._on_token_changed)
        self.lab.text_changed.connect(self.round_trip.invalidate)
        self.lab.text_changed.connect(self.text_changed)
        self.round_trip.span_chosen.connect(self.lab.show_characters)
        self.lab.editor.set_text(EXAMPLE)

    def _build(self) -> None:
        self.show_ids.setChecked(True)
        self.show_ids.setToolTip("Show each token's id below its pill")
        self.show_ids.toggled.connect(self.lab.view.set_show_ids)
        copy = button("Copy ids", self._theme, self._copy_ids, icon="copy", role="quiet", tip="Copy all ids as a list")
        middle = group(self.lab, self.round_trip, row(self.stats, self.show_ids, copy), grows=self.lab)
        bars = scrolling(self.frequent)
        frequent = frame("card", label("Most frequent here", "subheading"), bars, grows=bars)
        side = group(self.card, frequent, grows=frequent)
        self.setLayout(panes(middle, side, sizes=(760, 240), grows=0))

    @property
    def text(self) -> str:
        """The text being explored."""
        return self.lab.editor.text

    def set_tokenizer(self, tokenizer: Tokenizer | None, name: str) -> None:
        """Encode with this tokenizer; None shows no tokens."""
        self._tokenizer = tokenizer
        self.lab.set_tokenizer(tokenizer)

    def set_text(self, text: str) -> None:
        """Replace the text."""
        if text != self.text:
            self.lab.editor.set_text(text)

    @Slot()
    def _on_encoded(self) -> None:
        text, tokens = self.lab.text, self.lab.tokens
        self.round_trip.set_encoded(self._tokenizer, text, tokens)
        n_tokens = self.lab.n_tokens
        n_words, n_bytes = (0, 0) if tokens is None else (tokens.n_words, tokens.n_bytes)
        numbers = {
            "tokens": f"{n_tokens:,}",
            "characters": f"{len(text):,}",
            "bytes": f"{n_bytes:,}",
            "tokens per word": f"{n_tokens / n_words:.2f}" if n_words else "–",
            "bytes per token": f"{n_bytes / n_tokens:.2f}" if n_tokens else "–",
        }
        for name, number in numbers.items():
            self.stats.set_number(name, number)
        frequent = [] if tokens is None else tokens.most_common(_FREQUENT)
        self.frequent.set_bars(
            [
                Bar(self._glyphs.drawable(piece.display), count, f"{count:,}", f"id {piece.id}")
                for piece, count in frequent
            ]
        )

    @Slot(int)
    def _on_token_changed(self, index: int) -> None:
        tokens = self.lab.tokens
        if index < 0 or tokens is None:
            self.card.set_token(None)
            return
        piece = tokens[index]
        self.card.set_token(piece, index=index, occurrences=tokens.occurrences(piece.id))

    def _copy_ids(self) -> None:
        tokens = self.lab.tokens
        QGuiApplication.clipboard().setText(str([] if tokens is None else tokens.ids.tolist()))
