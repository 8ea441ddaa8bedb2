"""An index of the saved chats for listing and searching; a file is read again only after it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from terrarium.app.chat.archive.store import load_chat


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
