"""Conversations on disk: one JSON file each in the library."""

from __future__ import annotations

import contextlib
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
        self._stamps: dict[str, tuple[int, int]] = {}

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._library.chats

    def path(self, chat_id: str) -> Path:
        """Where a chat is kept."""
        return self._library.chats / f"{chat_id}.json"

    def save(self, chat: Chat) -> None:
        """Keep `chat`, and what another window has said in it meanwhile; OSError where the disk does not take it."""
        path = self.path(chat.id)
        if _stamp(path) != self._stamps.get(chat.id):
            with contextlib.suppress(ValueError):  # missing, or damaged: there is nothing to keep
                chat = chat.joined(load_chat(path))
        atomic_write_text(path, chat_text(chat))
        self._stamps[chat.id] = _stamp(path)

    def load(self, chat_id: str) -> Chat:
        """The chat with this id; ValueError names the file where it is missing or damaged."""
        return load_chat(self.path(chat_id))


def _stamp(path: Path) -> tuple[int, int]:
    """What is another one after each change of a file; (0, 0) where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


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
        self._problem: OSError | ValueError | None = None

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

    def take_problem(self) -> OSError | ValueError | None:
        """What kept something off the disk since the last call."""
        problem, self._problem = self._problem, None
        return problem

    def _save(self, chat_id: str) -> None:
        with self._lock:
            chat = self._waiting.pop(chat_id)
        try:
            self._store.save(chat)
        except (OSError, ValueError) as error:
            self._problem = error
