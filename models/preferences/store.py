"""Preference sets: preferences/NAME/ in the library, with pairs.jsonl and thumbs.jsonl, which are append-only.

A line is a pair with its choice, or a reply with a thumb up or down, or the id of a retracted one. So a kill at any
moment loses at most the line being written, and several windows may add to one set.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from terrarium.models.files.atomic import make_private, private_folder, replace_path
from terrarium.models.files.jsonl import JsonLines, parse_row
from terrarium.models.library.library import Library, safe_name

CHOICES = ("a", "b", "tie", "bad", "skip")
"""The choices for a pair: the first or the second reply is better, they are about equal, both are bad, or skipped."""
PERSON, SIMULATED, GOLD = "person", "simulated", "gold"
"""The judges: a user, the simulated annotator, or the judge of Tiny World."""
_FILES = ("pairs.jsonl", "thumbs.jsonl")
_RETRACTED = "retracted"

Messages = tuple[Mapping[str, str], ...]
Stored = TypeVar("Stored", "Pair", "Thumb")


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply and its origin.

    run, step: of the model, "" and 0 for a text from elsewhere; model: its name then. seed, temperature: None if
    unknown. ended: whether it reached its end token. edited: whether somebody wrote or changed it.
    """

    content: str
    run: str = ""
    model: str = ""
    step: int = 0
    seed: int | None = None
    temperature: float | None = None
    ended: bool = True
    edited: bool = False

    @property
    def contender(self) -> str:
        """A name of the model that wrote it; "an edit" for a text of the user."""
        if self.edited:
            return "an edit"
        return f"{self.model or self.run or 'unknown'}{f' at step {self.step:,}' if self.step else ''}"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two replies to a prompt, and the preferred one.

    prompt: messages, the last one the user's. choice: one of CHOICES. left: the reply shown on the left, "a" or "b".
    by: PERSON, SIMULATED or GOLD. repeats: the id of the pair that was shown again, with the sides swapped. about:
    further data of the prompt (as in a row of models.tiny_world.wishes: "wish", "topic"). seconds: the time that the
    choice took.
    """

    prompt: Messages
    a: Reply
    b: Reply
    choice: str
    left: str = "a"
    by: str = PERSON
    repeats: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    id: str = field(default_factory=_new_id)
    created: str = field(default_factory=_now)

    def at(self, side: str) -> str:
        """Return the reply at a side, "left" or "right": "a" or "b"."""
        return "a" if (self.left == "a") == (side == "left") else "b"

    @property
    def chosen_side(self) -> str:
        """ "left" or "right" if a reply was chosen, else ""."""
        if self.choice not in ("a", "b"):
            return ""
        return "left" if self.choice == self.left else "right"

    @property
    def better(self) -> Reply | None:
        """The chosen reply; None if none was chosen."""
        return {"a": self.a, "b": self.b}.get(self.choice)

    @property
    def worse(self) -> Reply | None:
        """The other reply; None if none was chosen."""
        return {"a": self.b, "b": self.a}.get(self.choice)

    def swapped(self) -> Pair:
        """Return a copy to be judged again with the sides swapped."""
        return Pair(
            prompt=self.prompt,
            a=self.a,
            b=self.b,
            choice="skip",
            left=self.at("right"),
            repeats=self.id,
            about=self.about,
        )


@dataclass(frozen=True, kw_only=True)
class Thumb:
    """A single reply that was called good or bad.

    prompt: messages, the last one the user's. message: the id of the reply in its conversation, or "".
    """

    prompt: Messages
    reply: Reply
    is_good: bool
    message: str = ""
    by: str = PERSON
    id: str = field(default_factory=_new_id)
    created: str = field(default_factory=_now)


@dataclass(frozen=True, kw_only=True)
class StoredPairs:
    """The pairs of a set, oldest first, without retracted ones; n_damaged: invalid lines."""

    pairs: tuple[Pair, ...]
    n_damaged: int = 0


@dataclass(frozen=True, kw_only=True)
class StoredThumbs:
    """The thumbs of a set, oldest first, without retracted ones; n_damaged: invalid lines."""

    thumbs: tuple[Thumb, ...]
    n_damaged: int = 0


class PreferenceSet:
    """A set of pairs and thumbs. Its folder is created with the first of them."""

    def __init__(self, library: Library, name: str) -> None:
        """`name`: of its folder; ValueError if it is not a valid name."""
        self.name = safe_name(name)
        self.folder = library.preferences / self.name
        self.path, self.thumbs_path = (self.folder / file for file in _FILES)

    def add(self, pairs: Iterable[Pair]) -> None:
        """Append pairs, and flush them to disk; OSError if that fails, without a partial line."""
        self._append(self.path, [_as_row(pair) for pair in pairs])

    def retract(self, ids: Collection[str]) -> bool:
        """Retract pairs; adding one again restores it. Returns False, and changes nothing, if one is missing."""
        return self._retract(self.path, ids)

    def read(self) -> StoredPairs:
        """Read all pairs; ValueError if the file cannot be read."""
        pairs, n_damaged = _read(self.path, _as_pair)
        return StoredPairs(pairs=pairs, n_damaged=n_damaged)

    def add_thumbs(self, thumbs: Iterable[Thumb]) -> None:
        """Append thumbs, as `add` does."""
        self._append(self.thumbs_path, [_as_row(thumb) for thumb in thumbs])

    def retract_thumbs(self, ids: Collection[str]) -> bool:
        """Retract thumbs, as `retract` does."""
        return self._retract(self.thumbs_path, ids)

    def read_thumbs(self) -> StoredThumbs:
        """Read all thumbs; ValueError if the file cannot be read."""
        thumbs, n_damaged = _read(self.thumbs_path, _as_thumb)
        return StoredThumbs(thumbs=thumbs, n_damaged=n_damaged)

    def _retract(self, path: Path, ids: Collection[str]) -> bool:
        known = path.read_bytes() if path.is_file() else b""  # not parsed: an id cannot occur elsewhere by chance
        if not all(id.encode() in known for id in ids):
            return False
        self._append(path, [{"id": id, _RETRACTED: True} for id in ids])
        return True

    def _append(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        private_folder(self.folder.parent)
        self.folder.mkdir(exist_ok=True)
        _end_line(path)
        file = JsonLines(path)
        try:
            for row in rows:
                file.append(dict(row))
            file.sync()
        finally:
            file.close()


def list_sets(library: Library) -> list[str]:
    """Return the names of all sets, sorted."""
    if not library.preferences.is_dir():
        return []
    folders = make_private(library.preferences).iterdir()
    names = (folder.name for folder in folders if any((folder / file).is_file() for file in _FILES))
    return sorted((name for name in names if not name.startswith(".")), key=str.casefold)


def rename_set(library: Library, name: str, new_name: str) -> str:
    """Rename a set; returns its new name.

    Raises:
        ValueError: if the new name is taken or invalid, or the set is gone.
    """
    old, new = PreferenceSet(library, name), PreferenceSet(library, new_name)
    if not old.folder.exists():
        raise ValueError(f"{old.folder} is missing: it may have been moved or deleted.")
    if new.folder.exists() and not new.folder.samefile(old.folder):  # on some systems “Mine” and “mine” are one folder
        raise ValueError(f"There is a preference set called {new.name!r} already: choose another name.")
    replace_path(old.folder, new.folder)
    return new.name


def _read(path: Path, read_row: Callable[[Mapping[str, Any] | None], Stored | None]) -> tuple[tuple[Stored, ...], int]:
    """Read the entries of a file that are not retracted, and the number of its damaged lines."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return (), 0
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    found, n_damaged = dict[str, Stored](), 0
    for line in data.split(b"\n"):
        row = parse_row(line)
        if row is not None and row.get(_RETRACTED) is True:
            found.pop(str(row.get("id")), None)
        elif (one := read_row(row)) is not None:
            found[one.id] = one
        else:
            n_damaged += bool(line.strip())
    return tuple(found.values()), n_damaged


def _end_line(path: Path) -> None:
    """Terminate an incomplete line of a killed process, so that the next line is not lost with it."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _as_row(stored: Pair | Thumb) -> dict[str, Any]:
    """Return the JSON of a pair or thumb; its replies without default values."""
    row = {each.name: getattr(stored, each.name) for each in fields(stored)}
    row["prompt"] = [dict(message) for message in stored.prompt]
    return row | {name: _short(value) for name, value in row.items() if isinstance(value, Reply)}


def _short(reply: Reply) -> dict[str, Any]:
    rest = {each.name: getattr(reply, each.name) for each in fields(Reply) if each.name != "content"}
    usual = Reply(content="")
    return {"content": reply.content} | {name: value for name, value in rest.items() if value != getattr(usual, name)}


def _as_pair(row: Mapping[str, Any] | None) -> Pair | None:
    """Parse a pair; None if invalid. Fields of a newer version are ignored."""
    if row is None:
        return None
    try:
        a, b = _as_reply(row["a"]), _as_reply(row["b"])
        rest = {each.name: row[each.name] for each in fields(Pair) if each.name in row}
        pair = Pair(**{**rest, "a": a, "b": b, "prompt": _as_prompt(row)})
    except (KeyError, TypeError):
        return None
    is_whole = isinstance(a.content, str) and isinstance(b.content, str) and isinstance(pair.id, str)
    return pair if is_whole and pair.prompt and pair.choice in CHOICES and pair.left in ("a", "b") else None


def _as_thumb(row: Mapping[str, Any] | None) -> Thumb | None:
    """Parse a thumb; None if invalid."""
    if row is None:
        return None
    try:
        rest = {each.name: row[each.name] for each in fields(Thumb) if each.name in row}
        thumb = Thumb(**{**rest, "reply": _as_reply(row["reply"]), "prompt": _as_prompt(row)})
    except (KeyError, TypeError):
        return None
    texts = (thumb.reply.content, thumb.id, thumb.message)
    is_whole = all(isinstance(text, str) for text in texts) and isinstance(thumb.is_good, bool)
    return thumb if is_whole and thumb.prompt else None


def _as_reply(row: Mapping[str, Any]) -> Reply:
    return Reply(**{each.name: row[each.name] for each in fields(Reply) if each.name in row})


def _as_prompt(row: Mapping[str, Any]) -> Messages:
    return tuple({"role": str(each["role"]), "content": str(each["content"])} for each in row["prompt"])
