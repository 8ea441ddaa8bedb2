"""The saved conversations of the library: find, save, rename, copy, delete, export and import."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from terrarium.app.chat.archive.exchange import as_markdown, import_chat
from terrarium.app.chat.archive.index import ChatIndex
from terrarium.app.chat.archive.json_format import chat_text
from terrarium.app.chat.archive.message_tree import Chat
from terrarium.app.chat.archive.store import ChatSaver, ChatStore
from terrarium.app.session.session import Session
from terrarium.app.session.shelf import Shelf
from terrarium.app.worker.background import LatestTask, TaskQueue
from terrarium.app.worker.failures import Failure, describe
from terrarium.models.files.atomic import atomic_write_text

_AGAIN_MS = 3000
"""The interval at which a failed write is retried, in milliseconds."""
EXPORTS: dict[str, Callable[[Chat], str]] = {"json": chat_text, "md": as_markdown}
"""Export formats by file extension."""


class ChatLibrary(QObject):
    """The chats on disk. Failures are reported as notices.

    Signals:
        changed(): something on disk has changed.
        found(entries): a tuple of ChatEntry, after `find`.
        opened(chat): after `open`.
        deleting(chat_id): this chat is about to be moved to the trash.
        imported(chat): after `import_file`; saving it has been requested.
    """

    changed = Signal()
    found = Signal(object)
    opened = Signal(object)
    imported = Signal(object)
    deleting = Signal(str)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.store = ChatStore(session.library)
        self._saver = ChatSaver(self.store)
        self._index = ChatIndex(self.store.folder)
        self._finder, self._opener, self._writing = LatestTask(self), LatestTask(self), LatestTask(self)
        self._importer = TaskQueue(self)
        self._again = QTimer(self, singleShot=True, interval=_AGAIN_MS)
        self._again.timeout.connect(self._write)
        self._writing.done.connect(self._on_written)
        self._finder.done.connect(self.found)
        self._opener.done.connect(self.opened)
        self._importer.done.connect(self._on_imported)
        for failed in (self._opener.failed, self._importer.failed, self._writing.failed):
            failed.connect(self._on_failed)
        self._shelf = Shelf("chat", session.trash, self, prepare=self._may_delete)
        self._shelf.changed.connect(self.changed)
        app = QCoreApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.flush)

    @property
    def busy(self) -> bool:
        """Whether chats are being searched, read or written."""
        return self._importer.busy or any(task.busy for task in (self._writing, self._finder, self._opener))

    def find(self, query: str) -> None:
        """Search the chats in the background; `found` emits the result."""
        self._finder.ask(lambda: self._index.find(query))

    def save(self, chat: Chat) -> None:
        """Save a chat in the background."""
        self._saver.add(chat)
        self._write()

    @Slot()
    def flush(self) -> None:
        """Block until everything is on disk or has failed; failures are reported."""
        self._writing.cancel()
        self._saver.write_all()
        self._on_written()

    def load(self, chat_id: str) -> Chat | None:
        """Return the chat with this id, or None if it cannot be read, which is reported."""
        self.flush()
        try:
            return self.store.load(chat_id)
        except ValueError as error:
            self._session.notices.refuse(str(error))
            return None

    def open(self, chat_id: str) -> None:
        """Read the chat with this id in the background; `opened` emits it."""

        def read() -> Chat:
            self._saver.write_all()
            return self.store.load(chat_id).prepared()

        self._opener.ask(read)

    def cancel_opening(self) -> None:
        """Discard the chat that is being read."""
        self._opener.cancel()

    def delete(self, chat_id: str) -> None:
        """Move a chat to the trash."""
        self._shelf.delete(chat_id, names={chat_id: ""})

    def _may_delete(self, chat_id: str) -> bool:
        self.deleting.emit(chat_id)
        self.flush()
        return self.store.path(chat_id).exists()  # it may be so new that it was never saved

    def duplicate(self, chat_id: str) -> None:
        """Save a copy of a chat."""
        chat = self.load(chat_id)
        if chat is not None:
            self.save(chat.copy())

    def rename(self, chat_id: str, name: str) -> bool:
        """Rename a chat, "" to use the beginning of its first message. Return whether it could be read."""
        chat = self.load(chat_id)
        if chat is not None:
            self.save(chat.called(name))
        return chat is not None

    def export(self, chat_id: str, path: Path) -> bool:
        """Write a chat to a file in the format of its extension (EXPORTS, else JSON). Return whether it succeeded."""
        chat = self.load(chat_id)
        if chat is None:
            return False
        write = EXPORTS.get(path.suffix.lower().lstrip("."), chat_text)
        return self._session.notices.attempt(lambda: atomic_write_text(path, write(chat)))

    def import_file(self, path: Path) -> None:
        """Import a conversation from a file in the background; `imported` emits it."""
        self._importer.ask(lambda: import_chat(path).prepared())

    @Slot()
    def _write(self) -> None:
        self._writing.ask(self._saver.write_all)

    @Slot()
    def _on_written(self) -> None:
        problem = self._saver.take_problem()
        if problem is not None:
            self._session.notices.refuse(
                f"{describe(problem).sentence} The chat is kept in memory and will be saved as soon as possible."
            )
        if self._saver.holds:
            self._again.start()
        else:
            self._again.stop()
        self.changed.emit()

    @Slot(object)
    def _on_imported(self, chat: Chat) -> None:
        self.save(chat)
        self.imported.emit(chat)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._session.notices.fail(failure)
        self.changed.emit()  # the list may have selected a chat that could not be opened
