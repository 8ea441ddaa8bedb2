"""The glossary: parsing resources/guide/glossary.md, and search. No Qt.

An entry is a heading, a paragraph, and a fenced block ```term with TOML: `see` (one of app.help.places) and optionally
`formula`, `picture` (one of app.help.pictures), `also` (aliases) and `related` (other entries).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

MAX_WORDS = 40
"""The maximum number of words in an entry's text."""
_NAME = "glossary.md"
_HEADING, _OPENS, _CLOSES = "## ", "```term", "```"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A term, its meaning, and the place in the window that shows it. line: the line of its heading, from 1."""

    term: str
    text: str
    see: str
    formula: str = ""
    picture: str = ""
    also: tuple[str, ...] = ()
    related: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True)
class Glossary:
    """All entries, in alphabetical order of their terms."""

    entries: Sequence[Entry]

    def find(self, name: str) -> Entry | None:
        """Return the entry with this term or alias, ignoring case, or None."""
        return self._by_name.get(name.casefold())

    def search(self, query: str) -> list[Entry]:
        """Return the entries that match a query, the best first; an empty query matches all.

        The best match is a term that begins with the query, then an alias that does, a term or alias that contains it,
        and a text that contains it. Of equal matches, shorter terms come first.
        """
        wanted = " ".join(query.casefold().split())
        found = [(quality, entry) for entry in self.entries if (quality := _quality(entry, wanted)) is not None]
        return [entry for _, entry in sorted(found, key=lambda each: each[0])]

    @cached_property
    def _by_name(self) -> dict[str, Entry]:
        names = {name.casefold(): entry for entry in self.entries for name in entry.also}
        return names | {entry.term.casefold(): entry for entry in self.entries}


def load_glossary(places: Iterable[str], pictures: Iterable[str]) -> Glossary:
    """Load the built-in glossary.

    Raises:
        ValueError, OSError: as `parse_glossary`, or if the file cannot be read.
    """
    return parse_glossary((files("terrarium.resources") / "guide" / _NAME).read_text("utf-8"), places, pictures)


def parse_glossary(source: str, places: Iterable[str], pictures: Iterable[str] = (), name: str = _NAME) -> Glossary:
    """Parse the entries of a Markdown text.

    Args:
        places, pictures: what `see` and `picture` may name.
        name: of the file, for messages.

    Raises:
        ValueError: names the file and the line: an entry without a text or a fence, invalid TOML, an unknown key,
            place, picture or related term, a duplicate term, or a text that is too long.
    """
    allowed, drawn, entries = frozenset(places), frozenset(pictures), list[Entry]()
    for line, term, body in _sections(source):
        entry = _entry(term, body, line, name)
        if entry.see not in allowed:
            raise _error(name, line, f"“{term}” can be seen at “{entry.see}”, which is no place in the window.")
        if entry.picture and entry.picture not in drawn:
            raise _error(name, line, f"“{term}” has the picture “{entry.picture}”, which nobody can draw.")
        if any(other.term.casefold() == term.casefold() for other in entries):
            raise _error(name, line, f"There are two entries for “{term}”.")
        entries.append(entry)
    terms = {entry.term for entry in entries}
    for entry in entries:
        for other in entry.related:
            if other not in terms:
                raise _error(name, entry.line, f"“{entry.term}” is related to “{other}”, which has no entry.")
    return Glossary(sorted(entries, key=lambda entry: entry.term.casefold()))


def _sections(source: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the line number of each heading, its text, and the lines below it."""
    line, term, body = 0, "", list[str]()
    for number, text in enumerate(source.splitlines(), start=1):
        if text.startswith(_HEADING):
            if term:
                yield line, term, body
            line, term, body = number, text.removeprefix(_HEADING).strip(), []
        elif term:
            body.append(text)
    if term:
        yield line, term, body


def _entry(term: str, body: Sequence[str], line: int, name: str) -> Entry:
    stripped = [text.strip() for text in body]
    if _OPENS not in stripped:
        raise _error(name, line, f"“{term}” has no fence {_OPENS}.")
    opens = stripped.index(_OPENS)
    if _CLOSES not in stripped[opens + 1 :]:
        raise _error(name, line + opens + 1, f"The fence of “{term}” is not closed.")
    closes = stripped.index(_CLOSES, opens + 1)
    text = " ".join(filter(None, stripped[:opens]))
    if not text or len(text.split()) > MAX_WORDS:
        raise _error(name, line, f"“{term}” needs a text of 1 to {MAX_WORDS} words; it has {len(text.split())}.")
    where = line + opens + 1
    try:
        about = tomllib.loads("\n".join(body[opens + 1 : closes]))
    except tomllib.TOMLDecodeError as error:
        raise _error(name, where, f"The fence of “{term}” is not TOML: {error}.") from error
    unknown = set(about) - {"formula", "picture", "see", "also", "related"}
    if unknown:
        raise _error(name, where, f"“{term}” has an unknown key: {min(unknown)}.")
    words = {key: _string(about.get(key, ""), key, name, where) for key in ("formula", "picture", "see")}
    lists = {key: _strings(about.get(key, []), key, name, where) for key in ("also", "related")}
    return Entry(term=term, text=text, line=line, **words, **lists)  # type: ignore[arg-type]  # as their keys say


def _string(value: Any, key: str, name: str, line: int) -> str:
    if not isinstance(value, str):
        raise _error(name, line, f"{key} must be a text.")
    return value


def _strings(value: Any, key: str, name: str, line: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _error(name, line, f"{key} must be a list of texts.")
    return tuple(value)


def _error(name: str, line: int, sentence: str) -> ValueError:
    return ValueError(f"{name}, line {line}: {sentence}")


def _quality(entry: Entry, wanted: str) -> tuple[int, int] | None:
    """Rate the match of an entry, smaller is better; None if it does not match."""
    term, others = entry.term.casefold(), [name.casefold() for name in entry.also]
    ways = (
        term.startswith(wanted),
        any(name.startswith(wanted) for name in others),
        wanted in term or any(wanted in name for name in others),
        wanted in entry.text.casefold(),
    )
    return (ways.index(True), len(term) if wanted else 0) if any(ways) else None
