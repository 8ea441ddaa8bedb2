"""Conversations on disk: one JSON file each in the library."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from app.chat.archive.json_format import chat_from, chat_text
from app.chat.archive.message_tree import Chat
from models.files.atomic import atomic_write_text, file_stamp, read_json
from models.library.library import Library


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
        if file_stamp(path) != self._stamps.get(chat.id):
            with contextlib.suppress(ValueError):  # missing, or damaged: there is nothing to keep
                chat = chat.joined(load_chat(path))
        atomic_write_text(path, chat_text(chat))
        self._stamps[chat.id] = file_stamp(path)

    def load(self, chat_id: str) -> Chat:
        """The chat with this id; ValueError names the file where it is missing or damaged."""
        return load_chat(self.path(chat_id))


def load_chat(path: Path) -> Chat:
    """The chat in a file, which is called by its id; ValueError names the file where it is missing or damaged."""
    return dataclasses.replace(chat_from(read_json(path), str(path)), id=path.stem)


class ChatSaver:
    """Saves chats beside the window, so that a long one never holds it up; of several states only the newest.

    What the disk does not take is held, and tried again with whatever is saved next.
    """

    def __init__(self, store: ChatStore) -> None:
        self._store = store
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="save chats")
        self._lock = threading.Lock()
        self._waiting: dict[str, Chat] = {}
        self._held: dict[str, Chat] = {}
        self._newest: Future[None] | None = None
        self._problem: OSError | ValueError | None = None
        self._is_told = False

    def save(self, chat: Chat) -> None:
        """Keep `chat` as soon as possible."""
        with self._lock:
            self._held.pop(chat.id, None)
            self._waiting[chat.id] = chat
        self.try_again()

    def try_again(self) -> None:
        """Keep what is held as soon as possible."""
        with self._lock:
            self._waiting, self._held = {**self._held, **self._waiting}, {}
        self._newest = self._thread.submit(self._save_all)

    @property
    def holds(self) -> bool:
        """Whether the disk has not taken something."""
        return bool(self._held)

    @property
    def busy(self) -> bool:
        """Whether something is being written, or is about to be."""
        return self._newest is not None and not self._newest.done()

    def wait(self) -> None:
        """Return when everything is on the disk, or has failed."""
        if self._newest is not None:
            self._newest.result()

    def take_problem(self) -> OSError | ValueError | None:
        """What keeps something off the disk; once, until the disk has taken something again."""
        problem, self._problem = self._problem, None
        if problem is None or self._is_told:
            return None
        self._is_told = True
        return problem

    def _save_all(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    return
                chat = self._waiting.pop(next(iter(self._waiting)))
            try:
                self._store.save(chat)
                self._is_told = False
            except (OSError, ValueError) as error:
                self._problem = error
                with self._lock:
                    if chat.id not in self._waiting:
                        self._held[chat.id] = chat
