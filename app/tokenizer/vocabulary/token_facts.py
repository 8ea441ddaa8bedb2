"""A card with the details of one token of a vocabulary: type, merges, score, and frequency."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QSize, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QGuiApplication
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QWidget

from terrarium.app.kit.basics import button, column, group, label, plain_tip, row, scrolling, stacked
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.app.tokenizer.vocabulary.vocabulary_table import copied_text, format_hex
from terrarium.models.number_words import format_count, with_minus
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, USES, Usage
from terrarium.models.tokenizers.vocabulary.token_types import TYPES
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary, VocabularyEntry

_HINT = "Choose a token to see its details."
_MAX_MADE = 12
_MAX_IN_TIP = 400  # characters
_WIDEST = 148  # pixels at the default text size, for text that cannot wrap
_ROWS = {
    "Id": "The token's number: all that the model sees of it",
    "Text": "Its characters, as a Python string",
    "Bytes": "Its UTF-8 bytes, in hexadecimal",
    "Length": "In bytes, and in characters if they are whole",
    "Type": "Its type",
    "Made of": "The two tokens that it is merged from, and the rank",
    "Score": "Its log-probability in the tokenizer",
    "Goes into": "The tokens that are merged from it, in order of rank",
    "Count": "How often it occurs in the corpus",
    "Use": "How the corpus uses it",
}
_MONO = ("Id", "Text", "Bytes", "Made of", "Score", "Goes into")
_LINKS = ("Made of", "Goes into")
_ANY = Qt.AlignmentFlag(0)


class TokenFacts(QFrame):
    """A card for one token, or a hint on how to select one.

    Signals:
        token_requested(int): the row of a token that was clicked in the card.
    """

    token_requested = Signal(int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._vocabulary: Vocabulary | None = None
        self._usage: Usage | None = None
        self._row = -1
        self.setProperty("role", "card")
        self.setAccessibleName("Selected token")
        self._theme = theme
        self._shown = label("", "number")
        self._values = {name: label("", wrap=True, selectable=True) for name in _ROWS}
        self._captions = {name: label(name, "muted") for name in _ROWS}
        self._build()
        theme.theme_changed.connect(self._restyle)

    def _build(self) -> None:
        rows = QGridLayout()
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setHorizontalSpacing(2 * SPACE)
        rows.setVerticalSpacing(SPACE // 2)
        rows.setColumnStretch(1, 1)
        for line, (name, tip) in enumerate(_ROWS.items()):
            value, caption = self._values[name], self._captions[name]
            if name in _MONO:
                value.setProperty("role", "mono")
            for at, widget in enumerate((caption, value)):
                widget.setToolTip(plain_tip(tip))
                rows.addWidget(widget, line, at, Qt.AlignmentFlag.AlignTop if widget is caption else _ANY)
        for name in _LINKS:
            self._make_links(self._values[name])
        copy_text = button(
            "Copy text", self._theme, self.copy_text, icon="copy", role="quiet", tip="Ctrl+C in the table"
        )
        copy_id = button(
            "Copy id", self._theme, self.copy_id, icon="copy", role="quiet", tip="Ctrl+Shift+C in the table"
        )
        lines = scrolling(group(self._shown, rows, None))
        about = group(lines, row(copy_text, copy_id, None, spacing=0), grows=lines)
        hint = label(_HINT, "muted", wrap=True)
        hint.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._pages = stacked(hint, about)
        self.setLayout(column(self._pages, margin=(2 * SPACE, SPACE + 4, SPACE, SPACE)))

    def _make_links(self, value: QLabel) -> None:
        value.setTextFormat(Qt.TextFormat.RichText)
        by = Qt.TextInteractionFlag
        value.setTextInteractionFlags(by.LinksAccessibleByMouse | by.LinksAccessibleByKeyboard)
        value.linkActivated.connect(self._on_link)

    def sizeHint(self) -> QSize:
        return QSize(232, 240)

    def minimumSizeHint(self) -> QSize:
        return QSize(super().minimumSizeHint().width(), 120)

    @property
    def row(self) -> int:
        """The shown row of the vocabulary, -1 for none."""
        return self._row

    def value(self, name: str) -> str:
        """Return the text of the line `name`, "" if it is hidden."""
        return self._values[name].text()

    def set_vocabulary(self, vocabulary: Vocabulary | None, usage: Usage | None) -> None:
        """Set the vocabulary and its counts; the token remains if only the counts are new."""
        kept = self._row if vocabulary is self._vocabulary else -1
        self._vocabulary, self._usage = vocabulary, usage
        self.show_row(kept)

    def show_row(self, row: int) -> None:
        """Show a row of the vocabulary; -1 for the hint."""
        self._row = row if self._vocabulary is not None else -1
        self._pages.setCurrentIndex(0 if self._row < 0 else 1)
        if self._vocabulary is None or row < 0:
            return
        token = self._vocabulary[row]
        self._shown.setText(self._cut(token.shown, 1.25))
        self._shown.setToolTip(plain_tip(token.shown[:_MAX_IN_TIP]))
        lines = self._describe(self._vocabulary, token)
        for name, value in self._values.items():
            value.setText(lines.get(name, ""))
            for widget in (value, self._captions[name]):
                widget.setVisible(bool(lines.get(name)))
        self._values["Type"].setToolTip(plain_tip(TYPES[token.type]))

    @Slot()
    def _restyle(self) -> None:
        for name in _LINKS:  # unchanged rich text would keep the old colour of its links
            self._values[name].clear()
        self.show_row(self._row)

    def _describe(self, table: Vocabulary, token: VocabularyEntry) -> dict[str, str]:
        lines = {
            "Id": f"{token.id}",
            "Text": self._cut(repr(token.text)) if token.text is not None and token.type != "special" else "",
            "Bytes": format_hex(token.bytes),
            "Length": format_count(len(token.bytes), "byte"),
            "Type": " · ".join(filter(None, (token.type.capitalize(), token.script))),
        }
        if token.text and len(token.bytes) != token.n_characters:
            lines["Length"] += f", {format_count(token.n_characters, 'character')}"
        if token.rank >= 0:
            parts = " + ".join(self._link(table.row_of(id)) for id in (token.left, token.right))
            lines["Made of"] = f"{parts}<br>merge {token.rank + 1:,} of {table.n_merges:,}"
        if token.score is not None and token.score == token.score:  # added tokens have NaN
            lines["Score"] = with_minus(f"{token.score:.4f}")
        made = table.merged_from(token.id).tolist()
        if made:
            more = f" and {len(made) - _MAX_MADE:,} more" if len(made) > _MAX_MADE else ""
            lines["Goes into"] = ", ".join(map(self._link, made[:_MAX_MADE])) + more
        if self._usage is not None:
            lines |= _describe_usage(self._usage, self._row)
        elif not token.reachable:
            lines["Use"] = USES["unreachable"]
        return lines

    def _link(self, row: int) -> str:
        assert self._vocabulary is not None
        return f'<a href="{row}">{escape(self._cut(self._vocabulary.shown[row]))}</a>'

    def _cut(self, words: str, size: float = 1.0) -> str:
        font = self._theme.mono_font(size)
        metrics, words = QFontMetrics(font), Glyphs(font).drawable(words)
        return metrics.elidedText(words, Qt.TextElideMode.ElideRight, round(_WIDEST * size * self._theme.text_scale))

    @Slot(str)
    def _on_link(self, target: str) -> None:
        self.token_requested.emit(int(target))

    @Slot()
    def copy_text(self) -> None:
        """Copy the text of the token, or its bytes in hexadecimal if they are not whole characters."""
        if self._vocabulary is not None and self._row >= 0:
            QGuiApplication.clipboard().setText(copied_text(self._vocabulary[self._row]))

    @Slot()
    def copy_id(self) -> None:
        """Copy the id of the token."""
        if self._vocabulary is not None and self._row >= 0:
            QGuiApplication.clipboard().setText(f"{self._vocabulary.ids[self._row]}")


def _describe_usage(usage: Usage, row: int) -> dict[str, str]:
    count, steps = int(usage.counts[row]), int(usage.as_steps[row])
    lines = {"Count": f"{count:,}", "Use": USES[USE_NAMES[usage.uses[row]]]}
    if count:
        lines["Count"] += f", {100 * count / usage.n_tokens:.2g} % of all, rank {usage.ranks[row]:,}"
    if steps:
        lines["Count"] += f"; {steps:,} more merged into longer tokens"
    return lines
