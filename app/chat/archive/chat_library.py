"""The saved conversations of the library: find, save, rename, copy, delete, export and import."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal, Slot

from terrarium.app.chat.archive.json_format import chat_from, chat_text
from terrarium.app.chat.archive.message_tree import Chat, Message
from terrarium.app.chat.archive.store import ChatIndex, ChatSaver, ChatStore
from terrarium.app.session.session import Session
from terrarium.app.session.shelf import Shelf
from terrarium.app.worker.background import LatestTask, TaskQueue
from terrarium.app.worker.failures import Failure, describe
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.files.atomic import atomic_write_text
from terrarium.models.number_words import format_size
from terrarium.models.tokenizers.codec import replace_surrogates

_SYSTEM = ("system", "developer")
_MAX_BYTES = 64_000_000
"""Hundreds of times the size of a long conversation, and still parsed within a second."""


def as_markdown(chat: Chat) -> str:
    """Return the shown path of a conversation as Markdown."""
    parts = [f"# {chat.title}"]
    if chat.prompting.system:
        parts.append(f"### System\n\n{chat.prompting.system}")
    for message in chat.path:
        parts.append(f"### {_speaker(message)}\n\n{message.content}")
    return "\n\n".join(parts) + "\n"


def _speaker(message: Message) -> str:
    if not message.is_reply:
        return "User"
    if message.edited:
        return "Model (edited)"
    return "Model" if message.generation is None else f"{message.generation.model}, step {message.generation.step:,}"


def import_chat(path: Path) -> Chat:
    """Read a conversation from a file: a Terrarium export (it gets a new id) or a list of messages.

    A list is [{"role": …, "content": …}, …] or an object with such a list as "messages", as in the OpenAI chat format.

    Raises:
        ValueError: if the file is neither, or cannot be read; the message names the file.
    """
    text = _read_file(path)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON, so it is not a chat.") from error
    if isinstance(data, dict) and ("shown" in data or "turns" in data):
        return dataclasses.replace(chat_from(data, str(path)), id=Chat().id)
    messages = data.get("messages") if isinstance(data, dict) else data
    if not isinstance(messages, list) or not messages:
        raise ValueError(
            f'{path} is not a chat: it must be a list of messages, [{{"role": "user", "content": "…"}}, …], or a chat '
            "exported from here."
        )
    return _from_list(messages, path)


def _read_file(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size <= _MAX_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    raise ValueError(
        f"{path} has {format_size(size)}, but a chat may have at most {format_size(_MAX_BYTES)}: split it."
    )


def _from_list(messages: list[Any], path: Path) -> Chat:
    system: list[str] = []
    conversation: list[Message] = []
    for number, data in enumerate(messages, start=1):
        role, content = _read(data, f"Message {number} of {path}")
        if role in _SYSTEM:
            system.append(content)
        else:
            parent = conversation[-1].id if conversation else ""
            conversation.append(Message(parent=parent, role=role, content=content))
    return Chat(name=path.stem, prompting=PromptSettings(system="\n\n".join(system)), messages=tuple(conversation))


def _read(data: Any, where: str) -> tuple[str, str]:
    """Return role and text of a message; content parts are joined if all of them are text."""
    if not isinstance(data, Mapping) or data.get("role") not in (*_SYSTEM, "user", "assistant"):
        role = data.get("role") if isinstance(data, Mapping) else data
        raise ValueError(f"{where} has an unknown role: it must be system, user or assistant, not {role!r:.40}.")
    content = data.get("content")
    if isinstance(content, list):
        texts = [part["text"] for part in content if isinstance(part, Mapping) and isinstance(part.get("text"), str)]
        content = "".join(texts) if len(texts) == len(content) else None
    if not isinstance(content, str):
        raise ValueError(f"{where} has no text: its content must be text only.")
    return data["role"], replace_surrogates(content)


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
