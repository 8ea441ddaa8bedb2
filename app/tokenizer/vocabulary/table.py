"""The table of a vocabulary's tokens: sorted by its headers, copied from, walked through with the arrow keys."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QItemSelectionModel, QModelIndex, Qt, Signal, Slot
from PySide6.QtGui import QAction, QFontMetrics, QGuiApplication, QKeySequence, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from app.kit.theme import ThemeProvider
from app.tokenizer.vocabulary.model import DESCENDING_FIRST, TITLES, VocabularyModel, copied_text
from models.tokenizers.vocabulary.table import Vocabulary
from models.tokenizers.vocabulary.token_counts import Usage
from models.tokenizers.vocabulary.token_types import TYPES

_PADDING = 28  # pixels: on both sides of a cell's words
_ROW = 26  # pixels at the usual text size
_WIDEST = {
    "id": "888888",
    "token": "·internat",
    "bytes": "20 74 68 65",
    "length": "888",
    "count": "88,888,888",
    "made": "·internat + io",
}
"""What there is always room for; of tokens and bytes at least."""

_HIDDEN_FIRST = ("bytes", "length", "made")
"""Columns that are hidden where there is no room for all, the first first: the card beside the table tells them too."""


class VocabularyTable(QTableView):
    """Shows a VocabularyModel. Clicking a header sorts; the context menu copies, and sorts without a mouse.

    Signals:
        token_changed(int): the current row of the vocabulary, -1 for none.
        sort_changed(): `sorting` is new.
    """

    token_changed = Signal(int)
    sort_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.contents = VocabularyModel(theme, self)
        self.setModel(self.contents)
        self.setAccessibleName("Tokens of the vocabulary")
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)  # else all rows would be measured
        self.horizontalHeader().setHighlightSections(False)
        self.horizontalHeader().setSectionsClickable(True)
        self.horizontalHeader().setSortIndicatorShown(True)
        self.horizontalHeader().sortIndicatorChanged.connect(self.sort_changed)
        self.selectionModel().currentRowChanged.connect(self._on_current_changed)
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.ActionsContextMenu)
        self._add_action("Copy text", QKeySequence(QKeySequence.StandardKey.Copy), self.copy_text)
        self._add_action("Copy id", QKeySequence("Ctrl+Shift+C"), self.copy_id)
        self._add_action("Sort by this column", QKeySequence("Ctrl+Return"), self.sort_by_current)
        theme.theme_changed.connect(self._size_columns)

    def _add_action(self, words: str, key: QKeySequence, do: Callable[[], None]) -> None:
        action = QAction(words, self, shortcut=key, shortcutContext=Qt.ShortcutContext.WidgetShortcut)
        action.triggered.connect(do)
        self.addAction(action)

    @property
    def sorting(self) -> tuple[str, bool]:
        """The column that is sorted by, and whether the highest comes first."""
        header = self.horizontalHeader()
        section = header.sortIndicatorSection()
        columns = self.contents.columns
        name = columns[section] if 0 <= section < len(columns) else "id"
        return name, header.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder

    @property
    def current(self) -> int:
        """The current row of the vocabulary, -1 for none."""
        place = self.currentIndex().row()
        return int(self.contents.rows[place]) if 0 <= place < len(self.contents.rows) else -1

    def set_vocabulary(self, vocabulary: Vocabulary | None, usage: Usage | None) -> None:
        """Show another vocabulary, sorted by id, or the same with other counts, sorted as before."""
        sorting = ("id", False) if vocabulary is not self.contents.vocabulary else self.sorting
        self.contents.set_vocabulary(vocabulary, usage)
        self._size_columns()
        self.sort_by(*sorting)

    def sort_by(self, column: str, descending: bool = False) -> None:
        """Sort by a column that is shown; by id where it is not."""
        columns = self.contents.columns
        order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
        self.horizontalHeader().setSortIndicator(columns.index(column) if column in columns else 0, order)

    def show_rows(self, rows: NDArray[np.int64]) -> None:
        """Show these rows from the first on; none is the current one."""
        self.contents.set_rows(rows)
        self.scrollToTop()

    def select(self, row: int) -> bool:
        """Make a row of the vocabulary the current one, without scrolling; False where it is not shown."""
        place = self.contents.model_row(row)
        index = self.contents.index(place, 0) if place >= 0 else QModelIndex()
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.selectionModel().setCurrentIndex(index, flags)
        return place >= 0

    @Slot()
    def copy_text(self) -> None:
        """Put the current token's text on the clipboard, its bytes in hexadecimal where they are no characters."""
        vocabulary = self.contents.vocabulary
        if vocabulary is not None and self.current >= 0:
            QGuiApplication.clipboard().setText(copied_text(vocabulary[self.current]))

    @Slot()
    def copy_id(self) -> None:
        """Put the current token's id on the clipboard."""
        vocabulary = self.contents.vocabulary
        if vocabulary is not None and self.current >= 0:
            QGuiApplication.clipboard().setText(f"{vocabulary.ids[self.current]}")

    @Slot()
    def sort_by_current(self) -> None:
        """Sort by the current cell's column; the other way round where it is sorted by that."""
        section = max(self.currentIndex().column(), 0)
        if self.contents.columns:
            name = self.contents.columns[section]
            sorted_by, descending = self.sorting
            self.sort_by(name, not descending if name == sorted_by else name in DESCENDING_FIRST)

    def keyboardSearch(self, search: str) -> None:
        """Letters do nothing: the search field looks for tokens, and this would look at all rows, one by one."""

    @Slot(QModelIndex, QModelIndex)
    def _on_current_changed(self, *_: object) -> None:
        self.token_changed.emit(self.current)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._size_columns()

    @Slot()
    def _size_columns(self) -> None:
        """Tokens and bytes share what is left over; where there is too little room, some columns give way."""
        header, columns = self.horizontalHeader(), self.contents.columns
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
        """What each column needs, in pixels."""
        mono, plain = QFontMetrics(self._theme.mono_font(0.95)), QFontMetrics(self._theme.font())
        title = QFontMetrics(self._theme.font(0.9, bold=True))
        widths = {name: mono.horizontalAdvance(widest) for name, widest in _WIDEST.items()}
        widths["type"] = plain.horizontalAdvance(max(TYPES, key=plain.horizontalAdvance).capitalize())
        return {
            name: max(widths[name], title.horizontalAdvance(words)) + _PADDING for name, (words, _) in TITLES.items()
        }
