"""The table of tokens: sortable, with copy actions and keyboard navigation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QFontMetrics, QGuiApplication, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QWidget

from terrarium.app.kit.basics import add_action
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.kit.tokens.glyphs import Glyphs
from terrarium.models.number_words import with_minus
from terrarium.models.tokenizers.vocabulary.token_counts import USE_NAMES, USES, Usage
from terrarium.models.tokenizers.vocabulary.token_types import TYPES
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary, VocabularyEntry

_PADDING = 28  # pixels on both sides of a cell's text
_ROW = 26  # pixels at the default text size
_WIDEST = {
    "id": "888888",
    "token": "·internat",
    "bytes": "20 74 68 65",
    "length": "888",
    "count": "88,888,888",
    "made": "·internat + io",
}
"""Sample texts that fit into the columns; tokens and bytes may be wider."""
_HIDDEN_FIRST = ("bytes", "length", "made")
"""Columns hidden in narrow windows, in this order; the card beside the table shows them too."""
TITLES = {
    "id": ("Id", "The token's number: all that the model sees of it"),
    "token": (
        "Token",
        "Its text, with · for a space, ⏎ for a line break, ⟨E2⟩ for a byte that is not a whole character",
    ),
    "bytes": ("Bytes", "Its UTF-8 bytes in hexadecimal"),
    "length": ("Length", "Its number of bytes"),
    "type": ("Type", "Its type"),
    "count": ("Count", "How often it occurs in the corpus"),
    "made": ("Merge", "The two tokens that it is merged from; sorts by rank"),
}
"""Column -> (title, tooltip)."""
_SCORE = ("Score", "Its log-probability in the tokenizer")
_DESCENDING_FIRST = ("length", "count")
"""Columns that sort in descending order first."""
_RIGHT = ("id", "length", "count")
_MAX_CHARACTERS, _MAX_BYTES = 120, 40  # limits for the text of a cell


class VocabularyTable(RecordTable):
    """Shows rows of a vocabulary. Headers sort; the context menu copies, and sorts by keyboard.

    Signals:
        token_changed(int): the current row of the vocabulary, -1 for none.
        sort_changed(): `sorting` has changed.
    """

    token_changed = Signal(int)
    sort_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__("Tokens of the vocabulary", theme, parent=parent)
        self.cells: _TokenCells | None = None
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # otherwise Qt measures all rows
        self.horizontalHeader().setSortIndicatorShown(True)  # the owner sorts, in the background
        self.horizontalHeader().sortIndicatorChanged.connect(self.sort_changed)
        self.selectionModel().currentRowChanged.connect(self._on_current_changed)
        add_action(self, "Copy text", QKeySequence(QKeySequence.StandardKey.Copy), self.copy_text)
        add_action(self, "Copy id", QKeySequence("Ctrl+Shift+C"), self.copy_id)
        add_action(self, "Sort by this column", QKeySequence("Ctrl+Return"), self.sort_by_current)
        theme.theme_changed.connect(self._restyle)

    @property
    def sorting(self) -> tuple[str, bool]:
        """(sort column, whether descending)."""
        header = self.horizontalHeader()
        section, names = header.sortIndicatorSection(), self.names
        name = names[section] if 0 <= section < len(names) else "id"
        return name, header.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder

    @property
    def current(self) -> int:
        """The current row of the vocabulary, -1 for none."""
        row = self.currentIndex().row()
        return self.records[row] if 0 <= row < len(self.records) else -1

    def set_vocabulary(self, vocabulary: Vocabulary | None, usage: Usage | None) -> None:
        """Set the vocabulary and its counts, without rows; a new vocabulary is sorted by id."""
        before = None if self.cells is None else self.cells.vocabulary
        sorting = ("id", False) if vocabulary is not before else self.sorting
        self.cells = None if vocabulary is None else _TokenCells(vocabulary, usage, self._glyphs())
        self.show_records((), () if self.cells is None else self.cells.columns())
        self._size_columns()
        self.sort_by(*sorting)

    def _glyphs(self) -> Glyphs:
        return Glyphs(self._theme.mono_font(0.95))

    @Slot()
    def _restyle(self) -> None:
        if self.cells is not None:
            self.cells.glyphs = self._glyphs()
        self._size_columns()

    def show_rows(self, rows: NDArray[np.int64]) -> None:
        """Show these rows from the top, with none selected."""
        self.show_records(rows.tolist())
        self.scrollToTop()

    def select(self, row: int) -> bool:
        """Select a row of the vocabulary without scrolling. Return False if it is not shown."""
        is_shown = row in self.records
        index = self.model().index(self.records.index(row), 0) if is_shown else QModelIndex()
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.selectionModel().setCurrentIndex(index, flags)
        return is_shown

    @Slot()
    def copy_text(self) -> None:
        """Copy the text of the current token, or its bytes in hexadecimal if they are not whole characters."""
        if self.cells is not None and self.current >= 0:
            QGuiApplication.clipboard().setText(copied_text(self.cells.vocabulary[self.current]))

    @Slot()
    def copy_id(self) -> None:
        """Copy the id of the current token."""
        if self.cells is not None and self.current >= 0:
            QGuiApplication.clipboard().setText(f"{self.cells.vocabulary.ids[self.current]}")

    @Slot()
    def sort_by_current(self) -> None:
        """Sort by the column of the current cell; reverse the order if it is already the sort column."""
        section = max(self.currentIndex().column(), 0)
        if self.names:
            name = self.names[section]
            sorted_by, descending = self.sorting
            self.sort_by(name, not descending if name == sorted_by else name in _DESCENDING_FIRST)

    def keyboardSearch(self, search: str) -> None:
        """Do nothing: the default would scan all rows, and there is a search field."""

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, *_: object) -> None:
        self.token_changed.emit(self.current)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._size_columns()

    @Slot()
    def _size_columns(self) -> None:
        """Let tokens and bytes share the spare width; if there is too little, hide some columns."""
        header, columns = self.horizontalHeader(), self.names
        self.verticalHeader().setDefaultSectionSize(round(_ROW * self._theme.text_scale))
        widths, room = self._widths(), self.viewport().width()
        shown = set(columns)
        for name in _HIDDEN_FIRST:
            if sum(widths[each] for each in shown) > room:
                shown.discard(name)
        spare = max(room - sum(widths[each] for each in shown), 0)
        widths["bytes"] += spare // 2
        for section, name in enumerate(columns):
            self.setColumnHidden(section, name not in shown)
            is_token = name == "token"
            mode = QHeaderView.ResizeMode.Stretch if is_token else QHeaderView.ResizeMode.Interactive
            header.setSectionResizeMode(section, mode)
            if not is_token:
                self.setColumnWidth(section, widths[name])

    def _widths(self) -> dict[str, int]:
        """Return the minimum width of each column in pixels."""
        mono, plain = QFontMetrics(self._theme.mono_font(0.95)), QFontMetrics(self._theme.font())
        title = QFontMetrics(self._theme.font(0.9, bold=True))
        widths = {name: mono.horizontalAdvance(widest) for name, widest in _WIDEST.items()}
        widths["type"] = plain.horizontalAdvance(max(TYPES, key=plain.horizontalAdvance).capitalize())
        return {
            name: max(widths[name], title.horizontalAdvance(words)) + _PADDING for name, (words, _) in TITLES.items()
        }


class _TokenCells:
    """The texts of a vocabulary's rows. glyphs: says which characters can be drawn."""

    def __init__(self, vocabulary: Vocabulary, usage: Usage | None, glyphs: Glyphs) -> None:
        self.vocabulary, self.usage, self.glyphs = vocabulary, usage, glyphs

    def columns(self) -> list[Column]:
        """Return the columns; without counts or merges, if there are none."""
        has_made = self.vocabulary.n_merges > 0 or self.vocabulary.scores is not None
        left_out = {"count"} if self.usage is None else set()
        return [self._column(name) for name in TITLES if name not in left_out and (name != "made" or has_made)]

    def _column(self, name: str) -> Column:
        has_scores = self.vocabulary.scores is not None
        title, about = _SCORE if name == "made" and has_scores else TITLES[name]
        return Column(
            name=name,
            title=title,
            about=f"{about}. Click to sort",
            value=lambda row: self.text(name, row),
            tip=lambda row: self.tip(name, row),
            is_number=name in _RIGHT or (name == "made" and self.vocabulary.n_merges == 0),
            mono=0.0 if name == "type" else 0.95,
            tone=lambda row: "muted" if name in ("bytes", "type") or not self.vocabulary.reachable[row] else "",
            falls=name in _DESCENDING_FIRST,
        )

    def text(self, name: str, row: int) -> str:
        """Return the text of a cell."""
        table = self.vocabulary
        if name == "id":
            return f"{table.ids[row]}"
        if name == "token":
            return self.glyphs.drawable(table.shown[row][:_MAX_CHARACTERS])
        if name == "bytes":
            return format_hex(table.data[row])
        if name == "length":
            return f"{table.n_bytes[row]}"
        if name == "type":
            return table[row].type.capitalize()
        if name == "count":
            return "" if self.usage is None else f"{self.usage.counts[row]:,}"
        return self.glyphs.drawable(_format_origin(table, table[row]))

    def tip(self, name: str, row: int) -> str:
        """Return the tooltip of a cell, "" for none."""
        token = self.vocabulary[row]
        if name == "type":
            return TYPES[token.type]
        if name == "count" and self.usage is not None:
            return USES[USE_NAMES[self.usage.uses[row]]]
        if name == "made" and token.rank >= 0:
            return f"Merge {token.rank + 1:,} of {self.vocabulary.n_merges:,}"
        if name in ("token", "bytes") and not token.reachable:
            return USES["unreachable"]
        return ""


def format_hex(data: bytes) -> str:
    """Format bytes in hexadecimal, shortened if there are many."""
    return data[:_MAX_BYTES].hex(" ").upper() + (" …" if len(data) > _MAX_BYTES else "")


def _format_origin(vocabulary: Vocabulary, token: VocabularyEntry) -> str:
    """Format the merge of a token (“in + ter”), or its score; "" if it has neither."""
    if token.score is not None:
        return "" if np.isnan(token.score) else with_minus(f"{token.score:.3f}")
    if token.rank < 0:
        return ""
    parts = (vocabulary.shown[vocabulary.row_of(id)][:_MAX_CHARACTERS] for id in (token.left, token.right))
    return " + ".join(parts)


def copied_text(token: VocabularyEntry) -> str:
    """Return the clipboard text of a token."""
    return token.bytes.hex(" ").upper() if token.text is None else token.text
