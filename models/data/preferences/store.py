"""Sets of pairs that people judge: preferences/NAME/pairs.jsonl in the library, to which lines are only appended.

A line is a pair with its choice, or the id of one that was taken back. So a kill at any moment loses at most the line
that is being written, and several windows may add to one set.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.files.jsonl import JsonLines, parse_row
from models.library.library import Library, safe_name

CHOICES = ("a", "b", "tie", "bad", "skip")
"""What can be said of a pair: the first or the second is better, both are about equal, both are bad, or nothing."""
PERSON, SIMULATED, GOLD = "person", "simulated", "gold"
"""Who says it: somebody at the window, the simulated annotator, or the judge of Tiny World."""
_FILE = "pairs.jsonl"
_RETRACTED = "retracted"

Messages = tuple[Mapping[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply and how it was made.

    run, step: of the model, "" and 0 for a text from elsewhere; model: its name then. seed, temperature: None if not
    known. ended: whether it ended by itself. edited: whether somebody wrote it, or changed it.
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
        """Which model wrote it, in words; "an edit" for a text of the user."""
        if self.edited:
            return "an edit"
        return f"{self.model or self.run or 'unknown'}{f' at step {self.step:,}' if self.step else ''}"


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two replies to a prompt, and what was said of them.

    prompt: messages, the last one the user's. choice: one of CHOICES. left: which of them stood on the left, "a" or
    "b". by: PERSON, SIMULATED or GOLD. repeats: the id of the pair that was shown again, with the sides swapped. about:
    what else is known of the prompt (as a row of models.data.tiny_world.wishes: "wish", "topic"). seconds: how long the
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
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def at(self, side: str) -> str:
        """Which reply stood at a side, "left" or "right": "a" or "b"."""
        return "a" if (self.left == "a") == (side == "left") else "b"

    @property
    def chosen_side(self) -> str:
        """ "left" or "right" where one was chosen, else ""."""
        if self.choice not in ("a", "b"):
            return ""
        return "left" if self.choice == self.left else "right"

    @property
    def better(self) -> Reply | None:
        """The reply that was chosen; None where none was."""
        return {"a": self.a, "b": self.b}.get(self.choice)

    @property
    def worse(self) -> Reply | None:
        """The other one; None where none was chosen."""
        return {"a": self.b, "b": self.a}.get(self.choice)

    def swapped(self) -> Pair:
        """The same pair, to be judged again with the sides swapped."""
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
class StoredPairs:
    """The pairs of a set, the oldest first, without those that were taken back; n_damaged: lines that are no pairs."""

    pairs: tuple[Pair, ...]
    n_damaged: int = 0


class PreferenceSet:
    """One set of pairs. Its folder is made with the first one."""

    def __init__(self, library: Library, name: str) -> None:
        """`name`: of its folder; ValueError where it cannot be one."""
        self.name = safe_name(name)
        self.folder = library.preferences / self.name
        self.path = self.folder / _FILE

    def add(self, pairs: Iterable[Pair]) -> None:
        """Append pairs, and flush them to disk; OSError where that fails, and nothing of the failed line stays."""
        self._append([_as_row(pair) for pair in pairs])

    def retract(self, ids: Iterable[str]) -> None:
        """Take pairs back; adding one again restores it."""
        self._append([{"id": id, _RETRACTED: True} for id in ids])

    def read(self) -> StoredPairs:
        """All pairs; ValueError where the file cannot be read."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return StoredPairs(pairs=())
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read ({error.strerror}): check its permissions.") from error
        found, n_damaged = dict[str, Pair](), 0
        for line in data.split(b"\n"):
            row = parse_row(line)
            if row is not None and row.get(_RETRACTED) is True:
                found.pop(str(row.get("id")), None)
            elif (pair := _as_pair(row)) is not None:
                found[pair.id] = pair
            else:
                n_damaged += bool(line.strip())
        return StoredPairs(pairs=tuple(found.values()), n_damaged=n_damaged)

    def _append(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        _end_line(self.path)
        file = JsonLines(self.path)
        try:
            for row in rows:
                file.append(dict(row))
            file.sync()
        finally:
            file.close()


def list_sets(library: Library) -> list[str]:
    """The names of the sets, by name."""
    if not library.preferences.is_dir():
        return []
    names = (folder.name for folder in library.preferences.iterdir() if (folder / _FILE).is_file())
    return sorted((name for name in names if not name.startswith(".")), key=str.casefold)


def _end_line(path: Path) -> None:
    """End the line that a killed program left, which is lost: else the next one would be lost with it."""
    if not path.is_file() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")


def _as_row(pair: Pair) -> dict[str, Any]:
    row = asdict(replace(pair, prompt=tuple(dict(message) for message in pair.prompt), about=dict(pair.about)))
    return row | {"a": _short(pair.a), "b": _short(pair.b)}


def _short(reply: Reply) -> dict[str, Any]:
    """A reply without what is as usual."""
    usual = Reply(content="")
    return {
        each.name: value
        for each in fields(Reply)
        if (value := getattr(reply, each.name)) != getattr(usual, each.name) or each.name == "content"
    }


def _as_pair(row: Mapping[str, Any] | None) -> Pair | None:
    """The pair in a row; None where it is none. What a newer version adds is left out."""
    if row is None:
        return None
    try:
        a, b = (
            Reply(**{each.name: row[side][each.name] for each in fields(Reply) if each.name in row[side]})
            for side in "ab"
        )
        prompt = tuple({"role": str(each["role"]), "content": str(each["content"])} for each in row["prompt"])
        rest = {each.name: row[each.name] for each in fields(Pair) if each.name in row}
        pair = Pair(**{**rest, "a": a, "b": b, "prompt": prompt})
    except (KeyError, TypeError):
        return None
    is_whole = isinstance(a.content, str) and isinstance(b.content, str) and isinstance(pair.id, str)
    return pair if is_whole and prompt and pair.choice in CHOICES and pair.left in ("a", "b") else None
