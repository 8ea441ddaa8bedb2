"""The list of saved conversations: search, open, rename, copy, delete, export and import."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QModelIndex, QSize, Qt, Signal, Slot
from PySide6.QtGui import QAction, QKeySequence, QShortcut
from PySide6.QtWidgets import QFileDialog, QFrame, QInputDialog, QMenu, QWidget

from terrarium.app.chat.archive.message_tree import Chat
from terrarium.app.chat.archive.store import ChatEntry
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.kit.basics import EmptyState, button, column, row, set_enabled, stacked
from terrarium.app.kit.file_dialogs import ask_save_path, reveal
from terrarium.app.kit.inputs import line_edit
from terrarium.app.kit.item_list import Item, ItemList
from terrarium.app.kit.layout.relayout import WholeRows
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.number_words import format_date

_NARROWEST = 200
"""Pixels: names are still recognisable at this width."""
_FILTERS = {"json": "Whole conversation (*.json)", "md": "Visible messages as Markdown (*.md)"}


class ChatList(QFrame):
    """The chats in a card, with a search field above. Opening another chat stops the current reply.

    Signals:
        listed(): the list is up to date.
    """

    listed = Signal()

    def __init__(self, conversation: Conversation, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._conversation = conversation
        self.setProperty("role", "card")
        self.list = ItemList("Chats", theme, can_rename=True, has_folders=True)
        tip = "Start an empty conversation, without the system prompt of this one (Ctrl+N)"
        self.new = button("New chat", theme, self.new_chat, icon="plus", tip=tip)
        self.import_button = button(
            "", theme, self._ask_import, icon="download-simple", role="quiet-icon", tip="Import a chat…"
        )
        self.more = button(
            "", theme, icon="dots-three", role="quiet-icon", tip="Rename, copy, export or delete this chat"
        )
        tip = "Find chats with all these words in their name or messages (Ctrl+F)"
        self.search = line_edit("Search chats", tip, "Search chats", clears=True)
        self._none = EmptyState("No chats yet", "Your conversations are saved here.")
        clear = button("Show all chats", theme, self.search.clear, role="link", tip="Clear the search")
        self.no_match = EmptyState("Nothing found", "No chat contains all these words.", clear)
        self._rows = WholeRows(self.list)
        self._pages = stacked(self._rows, self._none, self.no_match)
        top = row(self.new, self.import_button, self.more, spacing=2, grows=self.new)
        self.setLayout(column(top, self.search, self._pages, grows=self._pages, margin=SPACE))
        self._connect()
        self.refresh()

    def _connect(self) -> None:
        conversation, chat_library, chats = self._conversation, self._conversation.chat_library, self.list
        chats.chosen.connect(self._on_chosen)
        chats.rename_requested.connect(self._ask_name)
        chats.duplicate_requested.connect(chat_library.duplicate)
        chats.delete_requested.connect(lambda id: conversation.when_free(lambda: conversation.delete(id)))
        chats.reveal_requested.connect(lambda id: reveal(chat_library.store.path(id).parent))
        chats.doubleClicked.connect(self._on_double_clicked)
        for ending, words in (("json", "Export as JSON…"), ("md", "Export as Markdown…")):
            action = QAction(words, chats)
            action.triggered.connect(lambda checked=False, ending=ending: self._ask_export(ending))
            chats.insertAction(chats.actions()[-1], action)
        menu = QMenu(self.more)
        menu.addActions(chats.actions())
        self.more.setMenu(menu)
        self.search.textChanged.connect(self.refresh)
        chat_library.changed.connect(self.refresh)
        chat_library.found.connect(self._on_found)
        chat_library.imported.connect(lambda chat: conversation.when_free(lambda: conversation.open(chat)))
        conversation.chat_changed.connect(self._show_current)
        find = QShortcut(QKeySequence(QKeySequence.StandardKey.Find), self, self._focus_search)
        find.setContext(Qt.ShortcutContext.WindowShortcut)

    def minimumSizeHint(self) -> QSize:
        return super().minimumSizeHint().expandedTo(QSize(_NARROWEST, 0))

    # -- Contents ------------------------------------------------------------------------------------------------------

    @Slot()
    def refresh(self) -> None:
        """Search the chats again."""
        self._conversation.chat_library.find(self.search.text())

    @Slot(object)
    def _on_found(self, entries: tuple[ChatEntry, ...]) -> None:
        self.list.set_items([_item(entry) for entry in entries], self._conversation.chat.id)
        self._show_current()
        searching = bool(self.search.text().split())
        self._pages.setCurrentWidget(self._rows if entries else self.no_match if searching else self._none)
        self.listed.emit()

    @Slot()
    def _show_current(self) -> None:
        self.list.select(self._conversation.chat.id)
        set_enabled(self.more, "" if self.list.current_key else "This chat is still empty: it is kept once you write.")

    @Slot()
    def _focus_search(self) -> None:
        self.search.setFocus()
        self.search.selectAll()

    # -- Actions on a chat ---------------------------------------------------------------------------------------------

    @Slot()
    def new_chat(self) -> None:
        """Start an empty conversation; the current one stays saved, and keeps its system prompt and its template."""
        chat = self._conversation.chat
        kept = PromptSettings(when_full=chat.prompting.when_full) if chat.messages else chat.prompting
        self._conversation.when_free(lambda: self._conversation.open(Chat(prompting=kept)))

    @Slot(str)
    def _on_chosen(self, chat_id: str) -> None:
        if chat_id != self._conversation.chat.id:
            self._conversation.open_saved(chat_id)

    @Slot(QModelIndex)
    def _on_double_clicked(self, index: QModelIndex) -> None:
        self._ask_name(self.list.current_key)

    @Slot(str)
    def _ask_name(self, chat_id: str) -> None:
        item = self.list.item_of(chat_id)
        if item is None or item.problem:
            return
        name, agreed = QInputDialog.getText(self, "Rename chat", "Name", text=item.name)
        if agreed:
            self._conversation.rename(chat_id, name)

    def _ask_export(self, ending: str) -> None:
        item = self.list.item_of(self.list.current_key)
        if item is None or item.problem:
            return
        path = ask_save_path(self, "Export chat", item.name, ending, _FILTERS[ending])
        if path is not None:
            self._conversation.chat_library.export(item.key, path)

    @Slot()
    def _ask_import(self) -> None:
        file, _ = QFileDialog.getOpenFileName(self, "Import a chat", "", "Chats (*.json)")
        if file:
            self._conversation.chat_library.import_file(Path(file))


def _item(entry: ChatEntry) -> Item:
    if entry.problem:
        return Item(entry.id, entry.title, "", problem=entry.problem, brief="Cannot be read")
    return Item(entry.id, entry.title, format_date(entry.latest))
