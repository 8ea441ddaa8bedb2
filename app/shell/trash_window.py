"""The trash window: deleted items with their dates and sizes, to restore or to delete permanently."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QModelIndex,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
    Slot,
)
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QHeaderView,
    QMessageBox,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from terrarium.app.kit.basics import EmptyState, button, label, row, set_enabled, titled_card
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.tables import plain_table
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.trash import Trash
from terrarium.models.library.trash import KEPT_DAYS, TrashedItem
from terrarium.models.number_words import format_count, format_date, format_size

Index = QModelIndex | QPersistentModelIndex
_SORT = Qt.ItemDataRole.UserRole
_COLUMNS = ("Name", "What", "Deleted", "Kept for", "Size")
_NAME, _WHAT, _DELETED, _KEPT, _SIZE = range(len(_COLUMNS))


class TrashWindow(Dialog):
    """Lists the trash; refreshes whenever it is shown or activated."""

    def __init__(self, trash: Trash, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._trash = trash
        self.setWindowTitle("Trash")
        self.resize(820, 520)
        self._model = _Model(self)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self._model)
        self._sorted.setSortRole(_SORT)
        self.table = QTableView()
        self._prepare_table()
        self.note = label("", "caption")
        self.restore_button = button(
            "Restore",
            theme,
            self.restore_selected,
            icon="arrow-counter-clockwise",
            role="primary",
            tip="Put the selected things back where they were",
        )
        self.delete_button = button(
            "Delete for good…", theme, self.ask_to_delete, tip="Delete the selected things now, to free their space"
        )
        self.empty_button = button(
            "Empty trash…", theme, self.ask_to_empty, icon="trash", role="danger", tip="Delete everything here for good"
        )
        close = button("Close", theme, self.close)
        for each in (self.restore_button, self.delete_button, self.empty_button, close):
            each.setAutoDefault(False)
        self._body = QStackedWidget()
        self._empty = EmptyState("", "")
        self._body.addWidget(self._empty)
        self._body.addWidget(self.table)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE)
        layout.setSpacing(SPACE + SPACE // 2)
        layout.addLayout(row(label("Trash", "heading"), None, self.note))
        layout.addWidget(
            label(
                f"What you delete is kept here for {KEPT_DAYS} days, and is then deleted for good.", "muted", wrap=True
            )
        )
        layout.addWidget(titled_card("", self._body), 1)
        layout.addLayout(row(self.restore_button, self.delete_button, None, self.empty_button, close))
        QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.table, self.ask_to_delete).setContext(
            Qt.ShortcutContext.WidgetShortcut
        )
        self.box: QMessageBox | None = None
        self.table.selectionModel().selectionChanged.connect(self._show_state)
        trash.changed.connect(self._show)
        self._show()

    def _prepare_table(self) -> None:
        table = self.table
        table.setModel(self._sorted)
        plain_table(table, "Deleted things")
        table.setSortingEnabled(True)
        table.sortByColumn(_DELETED, Qt.SortOrder.DescendingOrder)
        table.setWordWrap(False)
        header = table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(_NAME, QHeaderView.ResizeMode.Stretch)

    @property
    def selected(self) -> list[TrashedItem]:
        """The selected items, in the order of the table."""
        rows = sorted(index.row() for index in self.table.selectionModel().selectedRows())
        return [self._model.items[self._sorted.mapToSource(self._sorted.index(number, 0)).row()] for number in rows]

    @Slot()
    def restore_selected(self) -> None:
        """Restore the selected items."""
        self._trash.restore([item.token for item in self.selected])

    @Slot()
    def ask_to_delete(self) -> None:
        """Ask whether to delete the selected items permanently."""
        if self.delete_button.isEnabled():
            self._ask(self.selected)

    @Slot()
    def ask_to_empty(self) -> None:
        """Ask whether to delete all items permanently."""
        self._ask(self._model.items)

    def _ask(self, items: Sequence[TrashedItem]) -> None:
        if self.box is not None:
            return
        box = self.box = QMessageBox(self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setWindowTitle("Delete for good?")
        box.setTextFormat(Qt.TextFormat.PlainText)
        what = f"the {items[0].kind} “{items[0].name}”" if len(items) == 1 else format_count(len(items), "item")
        box.setText(f"Delete {what} for good?")
        box.setInformativeText(f"This frees {format_size(_total(items))}. It cannot be undone.")
        delete = box.addButton("Delete for good", QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton("Keep", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(keep)
        box.setEscapeButton(keep)
        tokens = [item.token for item in items]
        box.buttonClicked.connect(lambda clicked: self._trash.delete_for_good(tokens) if clicked is delete else None)
        box.finished.connect(self._on_asked)
        box.open()

    @Slot()
    def _on_asked(self) -> None:
        self.box = None

    @Slot()
    def _show(self) -> None:
        kept = {item.token for item in self.selected}
        items = list(self._trash.items or ())
        if items != self._model.items:
            self._model.show(items)
            self._select(kept)
        if self._trash.items is None:
            self._empty.set_words("Looking…", "")
        else:
            self._empty.set_words(
                "The trash is empty", "Runs, chats, designs and tokenizers that you delete can be restored from here."
            )
        self._body.setCurrentWidget(self.table if items else self._empty)
        self._show_state()

    def _select(self, tokens: set[str]) -> None:
        selection = self.table.selectionModel()
        for number, item in enumerate(self._model.items):
            if item.token in tokens:
                index = self._sorted.mapFromSource(self._model.index(number, 0))
                selection.select(index, selection.SelectionFlag.Select | selection.SelectionFlag.Rows)

    @Slot()
    def _show_state(self) -> None:
        items, selected, busy = self._model.items, self.selected, self._trash.busy
        about = f"{format_count(len(items), 'item')}, {format_size(_total(items))}" if items else ""
        if selected:
            about = f"{len(selected):,} of {about}; selected: {format_size(_total(selected))}"
        self.note.setText("Deleting…" if busy else about)
        waits = "Something is being deleted: wait a moment." if busy else ""
        for each in (self.restore_button, self.delete_button):
            set_enabled(each, waits or ("" if selected else "Select something in the list first."))
        set_enabled(self.empty_button, waits or ("" if items else "The trash is empty."))

    def event(self, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Show, QEvent.Type.WindowActivate):
            self._trash.refresh()
        return super().event(event)


class _Model(QAbstractTableModel):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.items: list[TrashedItem] = []

    def show(self, items: list[TrashedItem]) -> None:
        self.beginResetModel()
        self.items = items
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self.items)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(_COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignVCenter | _side(section)
        return _COLUMNS[section] if role == Qt.ItemDataRole.DisplayRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        item, column = self.items[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return _cell(item, column)
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return Qt.AlignmentFlag.AlignVCenter | _side(column)
        if role == _SORT:
            # A time in seconds, as PySide would lose the time zone of a datetime.
            when = item.deleted.timestamp()
            return (item.name.casefold(), item.kind, when, when, float(item.size_bytes))[column]
        return None


def _cell(item: TrashedItem, column: int) -> str:
    if column == _NAME:
        return item.name
    if column == _WHAT:
        return item.kind.capitalize()
    if column == _SIZE:
        return format_size(item.size_bytes)
    if column == _DELETED:
        return format_date(item.deleted.isoformat())
    days = math.ceil((item.expires - datetime.now(UTC)) / timedelta(days=1))
    return format_count(max(0, days), "more day")


def _side(column: int) -> Qt.AlignmentFlag:
    return Qt.AlignmentFlag.AlignRight if column in (_KEPT, _SIZE) else Qt.AlignmentFlag.AlignLeft


def _total(items: Sequence[TrashedItem]) -> int:
    return sum(item.size_bytes for item in items)
