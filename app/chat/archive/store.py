"""Conversations on disk: one JSON file per chat in the library, and an index of them for listing and searching."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from terrarium.app.chat.archive.json_format import chat_from, chat_text
from terrarium.app.chat.archive.message_tree import Chat
from terrarium.models.files.atomic import atomic_write_text, file_stamp, make_private, private_folder, read_json
from terrarium.models.library.library import Library


class ChatStore:
    """The chat files of a library."""

    def __init__(self, library: Library) -> None:
        self._library = library
        make_private(library.chats)
        self._stamps: dict[str, tuple[int, int]] = {}

    @property
    def folder(self) -> Path:
        """The folder of the chat files."""
        return self._library.chats

    def path(self, chat_id: str) -> Path:
        """Return the path of a chat's file."""
        return self._library.chats / f"{chat_id}.json"

    def save(self, chat: Chat) -> None:
        """Write `chat`, merged with the changes of another window; raise OSError if it cannot be written."""
        path = self.path(chat.id)
        if file_stamp(path) != self._stamps.get(chat.id):
            with contextlib.suppress(ValueError):  # missing or damaged: nothing to merge
                chat = chat.joined(load_chat(path))
        private_folder(path.parent)
        atomic_write_text(path, chat_text(chat))
        self._stamps[chat.id] = file_stamp(path)

    def load(self, chat_id: str) -> Chat:
        """Read the chat with this id; raise ValueError, naming the file, if it is missing or damaged."""
        return load_chat(self.path(chat_id))


def load_chat(path: Path) -> Chat:
    """Read a chat from a file named by its id; raise ValueError, naming the file, if it is missing or damaged."""
    return dataclasses.replace(chat_from(read_json(path), str(path)), id=path.stem)


class ChatSaver:
    """A write queue for chats that any thread may drain; of several states of a chat, only the newest is written.

    A failed write is retained and retried by the next `write_all`.
    """

    def __init__(self, store: ChatStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: dict[str, Chat] = {}
        self._held: dict[str, Chat] = {}
        self._problem: OSError | ValueError | None = None
        self._is_reported = False

    def add(self, chat: Chat) -> None:
        """Queue `chat` for the next `write_all`."""
        with self._lock:
            self._held.pop(chat.id, None)
            self._waiting[chat.id] = chat

    @property
    def holds(self) -> bool:
        """Whether a failed write waits for a retry."""
        return bool(self._held)

    def take_problem(self) -> OSError | ValueError | None:
        """Return the error of a failed write, or None; reported once until a write succeeds again."""
        problem, self._problem = self._problem, None
        if problem is None or self._is_reported:
            return None
        self._is_reported = True
        return problem

    def write_all(self) -> None:
        """Block until every chat that is queued, retained or being written elsewhere is on disk or has failed."""
        with self._writing:
            with self._lock:
                self._waiting, self._held = {**self._held, **self._waiting}, {}
            while (chat := self._next()) is not None:
                try:
                    self._store.save(chat)
                    self._is_reported = False
                except (OSError, ValueError) as error:
                    self._problem = error
                    with self._lock:
                        if chat.id not in self._waiting:
                            self._held[chat.id] = chat

    def _next(self) -> Chat | None:
        with self._lock:
            return self._waiting.pop(next(iter(self._waiting))) if self._waiting else None


@dataclass(frozen=True, kw_only=True)
class ChatEntry:
    """A conversation in the list. `latest`: the time of its newest message. `problem`: why it cannot be read, or ""."""

    id: str
    title: str
    latest: str = ""
    problem: str = ""


@dataclass(frozen=True)
class _Known:
    stamp: tuple[int, int]
    entry: ChatEntry
    words: str


class ChatIndex:
    """The index of the chats in a folder. Not thread-safe: use it from one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, _Known] = {}

    def find(self, query: str = "") -> tuple[ChatEntry, ...]:
        """Return the chats with all words of the query in their title or messages, latest first."""
        self._known = dict(self._read())
        wanted = query.casefold().split()
        found = [known.entry for known in self._known.values() if all(word in known.words for word in wanted)]
        return tuple(sorted(found, key=lambda entry: (entry.latest, entry.id), reverse=True))

    def _read(self) -> Iterator[tuple[str, _Known]]:
        for path in self._folder.glob("[!.]*.json"):
            try:
                status = path.stat()
            except OSError:  # deleted since the folder was listed
                continue
            stamp = status.st_mtime_ns, status.st_size
            known = self._known.get(path.stem)
            yield path.stem, known if known is not None and known.stamp == stamp else _read_entry(path, stamp)


def _read_entry(path: Path, stamp: tuple[int, int]) -> _Known:
    try:
        chat = load_chat(path)
    except ValueError as error:
        return _Known(stamp, ChatEntry(id=path.stem, title=path.stem, problem=str(error)), path.stem.casefold())
    latest = max((message.created for message in chat.messages), default=chat.created)
    words = "\n".join((chat.title, *(message.content for message in chat.messages)))
    return _Known(stamp, ChatEntry(id=chat.id, title=chat.title, latest=latest), words.casefold())
