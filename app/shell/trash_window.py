"""The trash window: deleted items with their dates and sizes, to restore or to delete permanently."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter

from PySide6.QtCore import QEvent, Qt, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QMessageBox, QWidget

from terrarium.app.kit.basics import EmptyState, button, column, label, row, set_enabled, stacked, titled_card
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.record_table import Column, RecordTable
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.trash import Trash
from terrarium.models.library.trash import KEPT_DAYS, TrashedItem
from terrarium.models.number_words import format_count, format_date, format_size


def _days_left(item: TrashedItem) -> str:
    days = math.ceil((item.expires - datetime.now(UTC)) / timedelta(days=1))
    return format_count(max(0, days), "more day")


_COLUMNS = (
    Column(title="Name", value=lambda item: item.name, key=lambda item: item.name.casefold(), grows=True),
    Column(title="What", value=lambda item: item.kind.capitalize(), key=attrgetter("kind")),
    Column(title="Deleted", value=lambda item: format_date(item.deleted.isoformat()), key=attrgetter("deleted")),
    Column(title="Kept for", value=_days_left, key=attrgetter("deleted"), is_number=True),
    Column(title="Size", value=lambda item: format_size(item.size_bytes), key=attrgetter("size_bytes"), is_number=True),
)


class TrashWindow(Dialog):
    """Lists the trash; refreshes whenever it is shown or activated."""

    def __init__(self, trash: Trash, theme: ThemeProvider, parent: QWidget) -> None:
        super().__init__(parent)
        self._trash = trash
        self.setWindowTitle("Trash")
        self.resize(820, 520)
        self._items: list[TrashedItem] = []
        self.table = RecordTable("Deleted things", theme, _COLUMNS, has_many=True)
        self.table.sort_by("Deleted", descending=True)
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
        self._empty = EmptyState("", "")
        self._body = stacked(self._empty, self.table)
        head, card = row(label("Trash", "heading"), None, self.note), titled_card("", self._body)
        about = f"What you delete is kept here for {KEPT_DAYS} days, and is then deleted for good."
        buttons = row(self.restore_button, self.delete_button, None, self.empty_button, close)
        contents = head, label(about, "muted", wrap=True), card, buttons
        margin = (3 * SPACE, 2 * SPACE, 3 * SPACE, 2 * SPACE)
        self.setLayout(column(*contents, spacing=SPACE + SPACE // 2, grows=card, margin=margin))
        QShortcut(QKeySequence(QKeySequence.StandardKey.Delete), self.table, self.ask_to_delete).setContext(
            Qt.ShortcutContext.WidgetShortcut
        )
        self.box: QMessageBox | None = None
        self.table.selectionModel().selectionChanged.connect(self._show_state)
        trash.changed.connect(self._show)
        self._show()

    @Slot()
    def restore_selected(self) -> None:
        """Restore the selected items."""
        self._trash.restore([item.token for item in self.table.selected])

    @Slot()
    def ask_to_delete(self) -> None:
        """Ask whether to delete the selected items permanently."""
        if self.delete_button.isEnabled():
            self._ask(self.table.selected)

    @Slot()
    def ask_to_empty(self) -> None:
        """Ask whether to delete all items permanently."""
        self._ask(self._items)

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
        kept = {item.token for item in self.table.selected}
        items = list(self._trash.items or ())
        if items != self._items:
            self._items = items
            self.table.show_records(items)
            self.table.select_rows(row for row, item in enumerate(self.table.records) if item.token in kept)
        if self._trash.items is None:
            self._empty.set_words("Looking…", "")
        else:
            self._empty.set_words(
                "The trash is empty", "Runs, chats, designs and tokenizers that you delete can be restored from here."
            )
        self._body.setCurrentWidget(self.table if items else self._empty)
        self._show_state()

    @Slot()
    def _show_state(self) -> None:
        items, selected, busy = self._items, self.table.selected, self._trash.busy
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


def _total(items: Sequence[TrashedItem]) -> int:
    return sum(item.size_bytes for item in items)
