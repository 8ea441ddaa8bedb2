"""The Explore view: a text with its tokens and bytes, statistics, and the current token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal, Slot
from PySide6.QtGui import QFont, QFontMetrics, QGuiApplication, QPainter, QPaintEvent
from PySide6.QtWidgets import QCheckBox, QFormLayout, QFrame, QSizePolicy, QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import button, column, frame, group, label, panes, plain_tip, row, scrolling, stacked
from terrarium.app.kit.inputs import named
from terrarium.app.kit.painted_rows import RowTips
from terrarium.app.kit.stat_strip import StatStrip
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.explore.round_trip_strip import RoundTripStrip
from terrarium.app.tokenizer.explore.token_lab import TokenLab
from terrarium.models.tokenizers import Piece

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
_BAR, _GAP = 5, 9  # pixels: height of a bar, space below it
_HINT = "Point at a token, or select one with the arrow keys, to see its details."


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
        self.card = _TokenCard()
        self.frequent = named(_BarList(theme, mono=True), "Most frequent tokens of the text")
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
                _Bar(self._glyphs.drawable(piece.display), count, f"{count:,}", f"id {piece.id}")
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


class _TokenCard(QFrame):
    """A card with the details of one `Piece` of the text, or a hint on how to select one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.setAccessibleName("Token under the pointer")
        self._display = label("", "big-number", selectable=True)
        self._display.setAlignment(Qt.AlignmentFlag.AlignLeft)
        self._display.setWordWrap(True)
        self._values = {name: label("", "mono", wrap=True, selectable=True) for name in _ROWS}
        rows = QFormLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(2 * SPACE)
        rows.setLabelAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        for name, tip in _ROWS.items():
            caption = label(name, "muted")
            for widget in (caption, self._values[name]):
                widget.setToolTip(plain_tip(tip))
            rows.addRow(caption, self._values[name])
        hint = label(_HINT, "muted", wrap=True)
        hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._pages = stacked(hint, group(self._display, rows, None, spacing=2 * SPACE))
        self.setLayout(column(self._pages, margin=2 * SPACE))

    def minimumSizeHint(self) -> QSize:
        # Enough for a typical token, so that the card below does not jump.
        return QSize(super().minimumSizeHint().width(), 18 * self.fontMetrics().height())

    def set_token(self, piece: Piece | None, *, index: int = 0, occurrences: int = 0) -> None:
        """Show `piece`, the token at `index` of the text; None for the hint."""
        self._pages.setCurrentIndex(0 if piece is None else 1)
        if piece is None:
            return
        self._display.setText(Glyphs(self._display.font()).drawable(piece.display))
        values = {
            "Id": f"{piece.id:,}",
            "Text": _format_text(piece),
            "Bytes": piece.bytes.hex(" ").upper(),
            "Length": f"{len(piece.bytes)} {'byte' if len(piece.bytes) == 1 else 'bytes'}",
            "Position": f"token {index + 1:,}, bytes {piece.start:,} to {piece.end:,}",
            "Here": "once" if occurrences == 1 else f"{occurrences:,} times",
        }
        for name, text in values.items():
            self._values[name].setText(text)

    def value(self, name: str) -> str:
        """Return the text of the row `name`."""
        return self._values[name].text()


_ROWS = {
    "Id": "The token's number: all that the model sees of it",
    "Text": "The characters of the token",
    "Bytes": "The token's UTF-8 bytes, in hexadecimal",
    "Length": "Number of bytes of the token",
    "Position": "Index of the token, and its bytes in the text",
    "Here": "How often this token occurs in the text",
}


def _format_text(piece: Piece) -> str:
    if piece.special:
        return f"{piece.bytes.decode()} (special)"
    try:
        return repr(piece.bytes.decode())
    except UnicodeDecodeError:
        return "part of a character"


@dataclass(frozen=True)
class _Bar:
    """One value: its name, the value that determines the bar's length, and the formatted number."""

    name: str
    value: float
    text: str
    tip: str = ""


class _BarList(RowTips):
    """Named values: rows of a name and a number above a bar, whose length is relative to the largest value.

    mono: monospaced names.
    """

    def __init__(self, theme: ThemeProvider, *, mono: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._mono = theme, mono
        self._bars: Sequence[_Bar] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._on_theme_changed)

    def set_bars(self, bars: Sequence[_Bar]) -> None:
        """Show `bars` in this order."""
        self._bars = bars
        self.updateGeometry()
        self.setAccessibleDescription(", ".join(f"{bar.name} {bar.text}" for bar in bars))
        self.update()

    @property
    def bars(self) -> Sequence[_Bar]:
        """The bars on screen."""
        return self._bars

    def sizeHint(self) -> QSize:
        return QSize(220, len(self._bars) * self._row_height)

    def minimumSizeHint(self) -> QSize:
        names, numbers = QFontMetrics(self._name_font), QFontMetrics(self._theme.mono_font(0.92))
        widths = (names.horizontalAdvance(bar.name) + numbers.horizontalAdvance(bar.text) for bar in self._bars)
        return QSize(max(widths, default=100) + 2 * SPACE, len(self._bars) * self._row_height)

    @property
    def _name_font(self) -> QFont:
        return self._theme.mono_font(0.95) if self._mono else self._theme.font(0.95)

    @property
    def _row_height(self) -> int:
        return QFontMetrics(self._name_font).height() + 3 + _BAR + _GAP

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, names, numbers = self._theme.theme, self._name_font, self._theme.mono_font(0.92)
        text_height = QFontMetrics(names).height()
        largest = max((bar.value for bar in self._bars), default=0.0)
        for i, bar in enumerate(self._bars):
            top = i * self._row_height
            line = QRectF(0, top, self.width(), text_height)
            painter.setFont(names)
            painter.setPen(colors.color("text"))
            painter.drawText(line, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, bar.name)
            painter.setFont(numbers)
            painter.setPen(colors.color("muted"))
            painter.drawText(line, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, bar.text)
            painter.setPen(Qt.PenStyle.NoPen)
            track = QRectF(0, top + text_height + 3, self.width(), _BAR)
            painter.setBrush(colors.color("sunken"))
            painter.drawRoundedRect(track, _BAR / 2, _BAR / 2)
            if bar.value > 0:
                track.setWidth(max(track.width() * bar.value / largest, 2.0))
                painter.setBrush(colors.color("accent"))
                painter.drawRoundedRect(track, min(_BAR / 2, track.width() / 2), _BAR / 2)
        painter.end()

    def tip(self, row: int) -> str:
        return self._bars[row].tip if 0 <= row < len(self._bars) else ""

    def _on_theme_changed(self) -> None:
        self.updateGeometry()
        self.update()
