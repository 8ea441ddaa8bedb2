"""The library's trash: listing deleted items with time and size, and deleting them permanently. No torch import.

`Library.move_to_trash` moves items there, `Library.restore` moves them back. Each has a folder, named by its token,
with origin.json {path, deleted} and the deleted file or folder under its own name.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from terrarium.models.files.atomic import clear_leftovers, read_json, remove_folder
from terrarium.models.library.run_index import size_on_disk

ORIGIN = "origin.json"
KEPT_DAYS = 30
"""Days after which an item in the trash is deleted permanently."""
KINDS = {
    "runs": "run",
    "chats": "chat",
    "designs": "design",
    "tokenizers": "tokenizer",
    "corpora": "dataset",
    "preferences": "preference set",
}
"""Folders of the library -> the kind of item in them."""
_MAX_NAME = 80


@dataclass(frozen=True, kw_only=True)
class TrashedItem:
    """A deleted item. `token` identifies it; `name` is the user's name for it.

    kind: one of KINDS' values, or "file". deleted: the time of deletion, with a time zone.
    """

    token: str
    kind: str
    name: str
    deleted: datetime
    size_bytes: int

    @property
    def expires(self) -> datetime:
        """The time at which it is deleted permanently."""
        return self.deleted + timedelta(days=KEPT_DAYS)


def list_trash(trash: Path) -> list[TrashedItem]:
    """Return all deleted items in this folder that can be restored, the newest first."""
    items = []
    for folder in _folders(trash):
        with contextlib.suppress(ValueError, OSError):  # not a deletion, a failed one, or one being removed right now
            path = read_origin(folder)
            what = folder / path.name
            if not what.exists():
                continue
            kind = KINDS.get(path.parts[0], "file")
            size = size_on_disk(what) if what.is_dir() else what.stat().st_size
            name = _name(kind, what)
            item = TrashedItem(token=folder.name, kind=kind, name=name, deleted=_deleted(folder), size_bytes=size)
            items.append(item)
    return sorted(items, key=lambda item: (item.deleted, item.token), reverse=True)


def read_origin(folder: Path) -> PurePosixPath:
    """Return the original path of the deleted item in `folder`, relative to the library.

    Raises:
        ValueError: if the item is no longer in the trash, or origin.json is damaged.
    """
    if not (folder / ORIGIN).is_file():
        raise ValueError(f"{folder} is missing: this was restored already, or deleted for good.")
    written = read_json(folder / ORIGIN).get("path")
    path = PurePosixPath(str(written).replace("\\", "/"))  # backslashes if written on Windows
    if not isinstance(written, str) or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError(f"{folder / ORIGIN} is damaged: its path is {written!r}.")
    return path


def delete_for_good(trash: Path, token: str) -> None:
    """Permanently delete the item with a token; OSError if it cannot be deleted."""
    folder = trash / token
    assert folder.parent == trash
    with contextlib.suppress(FileNotFoundError):  # another window has already deleted it
        remove_folder(folder)


def delete_expired(trash: Path, now: datetime | None = None) -> int:
    """Permanently delete the items that have been in the trash for longer than KEPT_DAYS; return their number.

    Items that cannot be deleted now stay until the next call.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=KEPT_DAYS)
    n = 0
    clear_leftovers(trash)
    for folder in _folders(trash):
        with contextlib.suppress(OSError):
            if _deleted(folder) < before:
                remove_folder(folder)
                n += 1
    return n


def _folders(trash: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from [entry for entry in trash.iterdir() if entry.is_dir() and not entry.name.startswith(".")]


def _deleted(folder: Path) -> datetime:
    """Return the time of deletion from origin.json; in older libraries from the token (local time) or the mtime."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return datetime.fromisoformat(read_json(folder / ORIGIN)["deleted"]).astimezone()
    with contextlib.suppress(ValueError):
        return datetime.strptime(folder.name[:15], "%Y%m%d-%H%M%S").astimezone()
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC).astimezone()


def _name(kind: str, what: Path) -> str:
    """Return the user's name for an item, or its file name if its files cannot be read."""
    name: Any = ""
    with contextlib.suppress(ValueError, LookupError, TypeError):
        if kind == "run":
            name = read_json(what / "run.json")["name"]
        elif kind == "dataset":
            name = read_json(what / "about.json")["label"]
        elif kind == "chat":
            chat = read_json(what)
            messages: Any = chat.get("messages", chat.get("turns"))
            name = chat.get("name") or messages[0]["content"]
    name = " ".join(str(name).split()) or (what.stem if what.is_file() else what.name)
    return name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…"
