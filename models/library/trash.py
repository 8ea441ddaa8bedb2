"""The library's trash: what was deleted, when, and how large it is; deleting for good. No torch import.

`Library.move_to_trash` puts things there, `Library.restore` takes them out again. Each has a folder, named by its
token, with origin.json {path, deleted} and what was deleted under its own name.
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
"""How long something stays in the trash."""
KINDS = {
    "runs": "run",
    "chats": "chat",
    "designs": "design",
    "tokenizers": "tokenizer",
    "corpora": "dataset",
    "preferences": "preference set",
}
"""What lies in each folder of the library."""
_MAX_NAME = 80


@dataclass(frozen=True, kw_only=True)
class TrashedItem:
    """One deletion. `token` identifies it; `name` is what the user called it.

    kind: one of KINDS' values, or "file". deleted: when, with a time zone.
    """

    token: str
    kind: str
    name: str
    deleted: datetime
    size_bytes: int

    @property
    def expires(self) -> datetime:
        """When it is deleted for good."""
        return self.deleted + timedelta(days=KEPT_DAYS)


def list_trash(trash: Path) -> list[TrashedItem]:
    """All deletions in this folder that can be restored, the newest first."""
    items = []
    for folder in _folders(trash):
        with contextlib.suppress(ValueError, OSError):  # no deletion of ours, a failed one, or one that goes just now
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
    """Where the deletion in `folder` was, relative to the library.

    Raises:
        ValueError: where it is no longer in the trash, or origin.json is damaged.
    """
    if not (folder / ORIGIN).is_file():
        raise ValueError(f"{folder} is missing: this was restored already, or deleted for good.")
    written = read_json(folder / ORIGIN).get("path")
    path = PurePosixPath(str(written).replace("\\", "/"))  # as Windows wrote it
    if not isinstance(written, str) or path.is_absolute() or ".." in path.parts or len(path.parts) < 2:
        raise ValueError(f"{folder / ORIGIN} is damaged: its path is {written!r}.")
    return path


def delete_for_good(trash: Path, token: str) -> None:
    """Delete what is in the trash under this token; OSError where it cannot be deleted."""
    folder = trash / token
    assert folder.parent == trash
    with contextlib.suppress(FileNotFoundError):  # another window was faster
        remove_folder(folder)


def delete_expired(trash: Path, now: datetime | None = None) -> int:
    """Delete what has been in the trash for longer than KEPT_DAYS; returns how many deletions that were.

    What cannot be deleted now stays until the next time.
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
    """When it was deleted: as origin.json says; in older libraries as the token does, in local time."""
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return datetime.fromisoformat(read_json(folder / ORIGIN)["deleted"]).astimezone()
    with contextlib.suppress(ValueError):
        return datetime.strptime(folder.name[:15], "%Y%m%d-%H%M%S").astimezone()
    return datetime.fromtimestamp(folder.stat().st_mtime, UTC).astimezone()


def _name(kind: str, what: Path) -> str:
    """The name that the user knows it by, as far as its files can be read."""
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
