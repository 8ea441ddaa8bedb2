"""A table of records: a column says what it shows of a record, and the table does the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QRect,
    Qt,
    Signal,
    Slot,
)
from PySide6.QtGui import QFont, QFontMetrics, QGuiApplication, QIcon, QKeyEvent, QKeySequence, QPainter
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QWidget,
)

from terrarium.app.kit.basics import plain_tip
from terrarium.app.kit.theme import ThemeProvider

_Index = QModelIndex | QPersistentModelIndex
_NOWHERE = QModelIndex()
_ROLE = Qt.ItemDataRole
_MAX_CHARACTERS = 200
"""Of a cell: longer texts, of which nobody sees the rest, take long to paint. A tooltip has five times as many."""
_QUIET = ("", "text", "muted", "hint")
"""Colours that a selected row replaces by that of plain text, so that it can be read."""
_ARROW, _GAP, _PADDING = 11, 3, 8
"""Pixels: the width of the arrow of a sorted column, between the arrow and the title, and around the title."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a RecordTable; all functions are called with a record, and only for cells that are in view.

    title, about: the header and its tooltip. name: identifies the column, if the title does not.
    value: the text of a cell. tip: its tooltip, shown verbatim; the whole value by default.
    is_number: aligned right, with digits of equal width. mono: the size of the monospaced font, 0 for the usual font.
    tone: the name of a colour of the theme, "" for that of plain text. icon: shown before the text.
    key: what to sort by; all columns of a table have one, or none. falls: whether it is sorted downwards at first.
    grows: takes the spare width, while the others are as wide as their contents; if no column does, the owner of the
        table sets all widths.
    """

    title: str
    value: Callable[[Any], str]
    name: str = ""
    about: str = ""
    tip: Callable[[Any], str] | None = None
    is_number: bool = False
    mono: float = 0.0
    tone: Callable[[Any], str] | None = None
    icon: Callable[[Any], QIcon | None] | None = None
    key: Callable[[Any], Any] | None = None
    falls: bool = False
    grows: bool = False


class RecordTable(QTableView):
    """A read-only table, a row for each record; Ctrl+C copies the selected rows, separated by tabs.

    has_many: whether several rows can be selected. is_framed: for a table that is not alone in its card.

    Signals:
        record_reached(record): another row is current.
        record_activated(record): a row was double-clicked, or Return pressed on it.
    """

    record_reached = Signal(object)
    record_activated = Signal(object)

    def __init__(
        self,
        name: str,
        theme: ThemeProvider,
        columns: Sequence[Column] = (),
        *,
        has_many: bool = False,
        is_framed: bool = False,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._records = _Records(theme, self)
        self.setAccessibleName(name)
        self.setModel(self._records)
        self.setItemDelegate(_Cells(self))
        self.setHorizontalHeader(_Header(theme, self))
        if not is_framed:
            self.setProperty("role", "plain")
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        if not has_many:
            self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)  # Tab moves to the next widget
        self.setCornerButtonEnabled(False)
        self.verticalHeader().hide()
        self.selectionModel().currentRowChanged.connect(self._on_current)
        self.activated.connect(lambda index: self.record_activated.emit(self.records[index.row()]))
        theme.theme_changed.connect(self.viewport().update)
        self.show_records((), columns)

    @property
    def columns(self) -> Sequence[Column]:
        """The columns that are shown."""
        return self._records.columns

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return [each.name or each.title for each in self.columns]

    @property
    def records(self) -> Sequence[Any]:
        """The records in the order that is shown."""
        return self._records.records

    @property
    def current(self) -> Any:
        """The current record, None if there is none."""
        row = self.currentIndex().row()
        return self.records[row] if 0 <= row < len(self.records) else None

    @property
    def selected_rows(self) -> list[int]:
        """The numbers of the selected rows."""
        return sorted({index.row() for index in self.selectionModel().selectedRows()})

    @property
    def selected(self) -> list[Any]:
        """The selected records, in the order that is shown."""
        return [self.records[row] for row in self.selected_rows]

    def texts(self) -> list[list[str]]:
        """Return the texts of all cells, row by row."""
        return [[each.value(record) for each in self.columns] for record in self.records]

    def show_records(
        self, records: Sequence[Any], columns: Sequence[Column] | None = None, *, keeps_rows: bool = False
    ) -> None:
        """Replace the records, and the columns if given.

        keeps_rows: keep the selected rows and the scroll position if there are as many rows and columns as before.
        """
        self._records.replace(records, self.columns if columns is None else columns, keeps_rows=keeps_rows)
        header = self.horizontalHeader()
        if columns is not None:
            growing = [i for i, each in enumerate(self.columns) if each.grows]
            if growing:
                header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            for i in growing:
                header.setSectionResizeMode(i, QHeaderView.ResizeMode.Stretch)
        can_sort = any(each.key is not None for each in self.columns)
        if can_sort != self.isSortingEnabled():
            self.setSortingEnabled(can_sort)  # sorts, too
        elif can_sort:
            self._records.sort(header.sortIndicatorSection(), header.sortIndicatorOrder())

    def sort_by(self, name: str, descending: bool = False) -> None:
        """Sort by the column with this name, or by the first one if it is not shown."""
        order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
        self.horizontalHeader().setSortIndicator(self.names.index(name) if name in self.names else 0, order)

    def select_rows(self, rows: Iterable[int]) -> None:
        """Select these rows in addition to those that are selected."""
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for row in rows:
            self.selectionModel().select(self._records.index(row, 0), flags)

    def copy_selected(self) -> None:
        """Copy the selected rows, with a tab between the whole texts of their cells."""
        shown = [each for i, each in enumerate(self.columns) if not self.isColumnHidden(i)]
        lines = ("\t".join(" ".join(each.value(record).split()) for each in shown) for record in self.selected)
        QGuiApplication.clipboard().setText("\n".join(lines))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Copy):
            self.copy_selected()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.currentIndex().isValid():
            self.activated.emit(self.currentIndex())  # Qt does so everywhere but on macOS
            event.ignore()
        else:
            super().keyPressEvent(event)

    @Slot(QModelIndex)
    def _on_current(self, index: QModelIndex) -> None:
        if index.isValid():
            self.record_reached.emit(self.records[index.row()])


class _Records(QAbstractTableModel):
    """The model of a RecordTable.

    No items: they would be created for all rows, and PySide was seen to crash when it deleted those of a table that was
    refilled.
    """

    def __init__(self, theme: ThemeProvider, parent: QObject) -> None:
        super().__init__(parent)
        self._theme = theme
        self._given: Sequence[Any] = ()
        self._order: list[int] = []
        self.records: Sequence[Any] = ()
        self.columns: tuple[Column, ...] = ()
        self._make_fonts()
        theme.theme_changed.connect(self._make_fonts)

    def replace(self, records: Sequence[Any], columns: Sequence[Column], *, keeps_rows: bool) -> None:
        assert len({each.key is None for each in columns}) <= 1, "all columns can be sorted, or none"
        is_alike = keeps_rows and (len(records), len(columns)) == (len(self.records), len(self.columns))
        if not is_alike:
            self.beginResetModel()
        self._given, self.records, self._order = records, records, list(range(len(records)))
        self.columns = tuple(columns)
        if not is_alike:
            self.endResetModel()
        elif len(records):
            self.dataChanged.emit(self.index(0, 0), self.index(len(records) - 1, len(columns) - 1))

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 restores the order in which the records were given."""
        key = self.columns[column].key if 0 <= column < len(self.columns) else None
        order_before, self._order = self._order, list(range(len(self._given)))
        if key is not None:
            keys = [key(record) for record in self._given]
            self._order.sort(key=keys.__getitem__, reverse=order == Qt.SortOrder.DescendingOrder)
        self.layoutAboutToBeChanged.emit()
        self.records = [self._given[at] for at in self._order]
        row_of, kept = {at: row for row, at in enumerate(self._order)}, self.persistentIndexList()
        moved = [self.index(row_of[order_before[index.row()]], index.column()) for index in kept]
        self.changePersistentIndexList(kept, moved)
        self.layoutChanged.emit()

    def rowCount(self, parent: _Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.records)

    def columnCount(self, parent: _Index = _NOWHERE) -> int:
        return 0 if parent.isValid() else len(self.columns)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        column = self.columns[section]
        if role == _ROLE.DisplayRole:
            return column.title
        if role == _ROLE.ToolTipRole:
            return plain_tip(column.about)
        if role == _ROLE.InitialSortOrderRole:
            return Qt.SortOrder.DescendingOrder if column.falls else Qt.SortOrder.AscendingOrder
        return _alignment(column) if role == _ROLE.TextAlignmentRole else None

    def data(self, index: _Index, role: int = _ROLE.DisplayRole) -> Any:
        if not index.isValid():
            return None
        column, record = self.columns[index.column()], self.records[index.row()]
        if role == _ROLE.DisplayRole:
            return column.value(record)[:_MAX_CHARACTERS]
        if role == _ROLE.ToolTipRole:
            return plain_tip((column.tip or column.value)(record)[: 5 * _MAX_CHARACTERS])
        if role == _ROLE.TextAlignmentRole:
            return _alignment(column)
        if role == _ROLE.FontRole:
            return self._font(column)
        if role == _ROLE.ForegroundRole:
            tone = column.tone(record) if column.tone is not None else ""
            return self._theme.theme.color(tone) if tone else None
        if role == _ROLE.DecorationRole:
            return column.icon(record) if column.icon is not None else None
        if role == _ROLE.AccessibleTextRole and index.column() == 0:  # where a screen reader comes to a row
            return self._summary(record)
        return None

    def _summary(self, record: Any) -> str:
        cells = ((each.title, each.value(record)[:_MAX_CHARACTERS]) for each in self.columns)
        return ", ".join(f"{title} {text}".strip() for title, text in cells if text)

    def tone_of(self, index: _Index) -> str:
        """Return the name of the colour of a cell, "" for that of plain text."""
        tone = self.columns[index.column()].tone
        return "" if tone is None else tone(self.records[index.row()])

    def _font(self, column: Column) -> QFont | None:
        """Return the font of a column; fonts are kept, as each painting asks for them hundreds of times."""
        if column.mono and column.mono not in self._fonts:
            self._fonts[column.mono] = self._theme.mono_font(column.mono)
        return self._fonts.get(column.mono) if column.mono or column.is_number else None

    @Slot()
    def _make_fonts(self) -> None:
        numbers = self._theme.font()
        numbers.setFeature(QFont.Tag("tnum"), 1)
        self._fonts = {0.0: numbers}


class _Header(QHeaderView):
    """Titles, the sorted one with an arrow beside it."""

    def __init__(self, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(Qt.Orientation.Horizontal, parent)
        self._theme = theme
        self.setSectionsClickable(True)
        self.setHighlightSections(False)

    def paintSection(self, painter: QPainter, rect: QRect, section: int) -> None:
        painter.save()
        super().paintSection(painter, rect, section)
        painter.restore()
        if not self.isSortIndicatorShown() or section != self.sortIndicatorSection():
            return
        model = self.model()
        title = str(model.headerData(section, self.orientation()))
        side = model.headerData(section, self.orientation(), _ROLE.TextAlignmentRole)
        width = QFontMetrics(self._theme.font(0.9, bold=True)).horizontalAdvance(title)
        x = rect.left() + _PADDING + width + _GAP
        if side & Qt.AlignmentFlag.AlignRight:
            x = rect.right() - _PADDING - width - _GAP - _ARROW
        x = max(rect.left(), min(x, rect.right() - _ARROW))
        is_up = self.sortIndicatorOrder() == Qt.SortOrder.AscendingOrder
        arrow = QRect(x, rect.center().y() - _ARROW // 2, _ARROW, _ARROW)
        self._theme.icon("caret-up" if is_up else "caret-down", "muted").paint(painter, arrow)


class _Cells(QStyledItemDelegate):
    """Paints cells in their colours, also in selected rows, to which the style sheet gives the colour of plain text."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        model = index.model()
        assert isinstance(model, _Records)
        if option.state & QStyle.StateFlag.State_Selected and model.tone_of(index) not in _QUIET:
            ground = QStyleOptionViewItem(option)
            self.initStyleOption(ground, index)
            ground.text = ""
            option.widget.style().drawControl(QStyle.ControlElement.CE_ItemViewItem, ground, painter, option.widget)
            option = QStyleOptionViewItem(option)
            option.state &= ~(QStyle.StateFlag.State_Selected | QStyle.StateFlag.State_MouseOver)
        super().paint(painter, option, index)


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignRight if column.is_number else Qt.AlignmentFlag.AlignLeft
    return side | Qt.AlignmentFlag.AlignVCenter
