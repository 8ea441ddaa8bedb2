"""Conversations on disk: one JSON file each in the library."""

from __future__ import annotations

import dataclasses
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from app.chat_format import chat_from, chat_text
from app.chat_tree import Chat
from models.files import atomic_write_text, read_json
from models.library import Library


class ChatStore:
    """The chats of a library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._library.chats

    def path(self, chat_id: str) -> Path:
        """Where a chat is kept."""
        return self._library.chats / f"{chat_id}.json"

    def save(self, chat: Chat) -> None:
        """Keep `chat`; OSError where the disk does not take it."""
        atomic_write_text(self.path(chat.id), chat_text(chat))

    def load(self, chat_id: str) -> Chat:
        """The chat with this id; ValueError names the file where it is missing or damaged."""
        return load_chat(self.path(chat_id))


def load_chat(path: Path) -> Chat:
    """The chat in a file, which is called by its id; ValueError names the file where it is missing or damaged."""
    return dataclasses.replace(chat_from(read_json(path), str(path)), id=path.stem)


class ChatSaver:
    """Saves chats beside the window, so that a long one never holds it up; of several states only the newest."""

    def __init__(self, store: ChatStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="save chats")
        self._lock = threading.Lock()
        self._waiting: dict[str, Chat] = {}
        self._newest: Future[None] | None = None
        self._problem: OSError | None = None

    def save(self, chat: Chat) -> None:
        """Keep `chat` as soon as possible."""
        with self._lock:
            is_waiting = chat.id in self._waiting
            self._waiting[chat.id] = chat
        if not is_waiting:
            self._newest = self._thread.submit(self._save, chat.id)

    @property
    def busy(self) -> bool:
        """Whether something is not on the disk yet."""
        return self._newest is not None and not self._newest.done()

    def wait(self) -> None:
        """Return when everything is on the disk, or has failed."""
        if self._newest is not None:
            self._newest.result()

    def take_problem(self) -> OSError | None:
        """What kept something off the disk since the last call."""
        problem, self._problem = self._problem, None
        return problem

    def _save(self, chat_id: str) -> None:
        with self._lock:
            chat = self._waiting.pop(chat_id)
        try:
            self._store.save(chat)
        except OSError as error:
            self._problem = error
