"""Texts in several languages: files with parallel lines (x.en, x.fr), and translation memories (TMX)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from xml.parsers import expat

from terrarium.models.importing.formats.files import MAX_LINE_BYTES, FormatError, Meter, SourceFile, read_lines
from terrarium.models.importing.formats.rows import LANGUAGES, TICK, TICK_LINES, ReadOptions, Row
from terrarium.models.number_words import format_count, format_size

_SIDES = LANGUAGES | {"src", "tgt", "source", "target"}
_CODES = frozenset({"bpt", "ept", "it", "ph", "ut"})
"""Elements of a TMX segment that contain another program's markup."""
_PART_BYTES = 1 << 16
_MAX_DEPTH = 50
_LANGUAGE_KEYS = ("xml:lang", "lang")


def pair_files(files: Sequence[SourceFile]) -> list[SourceFile]:
    """Group files of one name in several languages (x.en, x.fr) into one each, with the others `beside` it."""
    groups: dict[tuple[str, str], list[SourceFile]] = {}
    for file in files:
        if file.suffix[1:] in _SIDES:
            name = file.name[:-3] if file.name.lower().endswith(".gz") else file.name
            groups.setdefault((str(file.path) if file.member else "", name.rpartition(".")[0]), []).append(file)
    return [replace(group[0], beside=tuple(group[1:])) for group in groups.values() if len(group) > 1]


def read_parallel(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the lines of a file and its parallel files, by language; lines that are empty in all are left out.

    Raises:
        FormatError: if one has more lines than another.
    """
    files = (file, *file.beside)
    names = [PurePosixPath(each.inner_name).suffix[1:].lower() for each in files]
    readers = [read_lines(each, options.encoding, meter) for each in files]
    for number, lines in enumerate(itertools.zip_longest(*readers), 1):
        if None in lines:
            short = lines.index(None)
            other = next(index for index, line in enumerate(lines) if line is not None)
            raise FormatError(
                files[short].name,
                number,
                f"it ends after {format_count(number - 1, 'line')}, but {files[other].name} goes on: "
                "the lines of both must belong together.",
            )
        texts = [text.rstrip("\n") for _, text in lines]
        if number % TICK_LINES == 0:
            yield number, TICK
        if any(texts):
            yield number, {name: text or None for name, text in zip(names, texts, strict=True)}


def read_tmx(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the units of a translation memory (TMX 1.4), by language ("en" also for "en-GB").

    Nothing outside of the file is read, and files that define entities are refused, since these can expand to
    gigabytes.

    Raises:
        FormatError: if it is not XML, or not TMX.
    """
    reader = _TmxReader(file)
    with file.open(meter) as stream:
        while data := stream.read(_PART_BYTES):
            yield from reader.feed(data) or [(0, TICK)]
        yield from reader.feed(b"", at_end=True)


class _TmxReader:
    """Collects the units of a TMX file incrementally."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._begin
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._add
        self._parser.EntityDeclHandler = self._refuse
        self._path = list[str]()
        self._units = list[tuple[int, Row]]()
        self._unit, self._language, self._text = Row(), "", list[str]()
        self._line, self._n_fed, self._n_characters = 0, 0, 0

    def feed(self, data: bytes, *, at_end: bool = False) -> list[tuple[int, Row]]:
        """Parse a part; returns the units that are now complete."""
        self._n_fed += len(data)
        try:
            self._parser.Parse(data, at_end)
        except expat.ExpatError as error:
            what = expat.ErrorString(error.code)
            raise FormatError(self._file.name, error.lineno, f"it is no valid XML here ({what}).") from error
        if self._n_fed - self._parser.CurrentByteIndex > MAX_LINE_BYTES:
            raise FormatError(
                self._file.name,
                self._parser.CurrentLineNumber,
                f"one piece of its XML is longer than {format_size(MAX_LINE_BYTES)}.",
            )
        units, self._units = self._units, []
        return units

    def _begin(self, name: str, attributes: dict[str, str]) -> None:
        if not self._path and name != "tmx":
            raise FormatError(self._file.name, 1, f"it is XML that begins with <{name[:40]}>, not a TMX file.")
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise FormatError(self._file.name, self._parser.CurrentLineNumber, "its XML is nested too deep.")
        if name == "tu":
            self._unit, self._line = {}, self._parser.CurrentLineNumber
        elif name == "tuv":
            self._language = next((attributes[key] for key in _LANGUAGE_KEYS if key in attributes), "").lower()
            if not self._language:
                raise FormatError(self._file.name, self._parser.CurrentLineNumber, "a <tuv> does not say its language.")
        elif name == "seg":
            self._text, self._n_characters = [], 0

    def _end(self, name: str) -> None:
        self._path.pop()
        if name == "seg":
            self._unit.setdefault(self._language.partition("-")[0], " ".join("".join(self._text).split()))
        elif name == "tu":
            self._units.append((self._line, self._unit))

    def _add(self, text: str) -> None:
        if "seg" in self._path and _CODES.isdisjoint(self._path):
            self._text.append(text)
            self._n_characters += len(text)
            if self._n_characters > MAX_LINE_BYTES:
                raise FormatError(
                    self._file.name, self._line, f"one of its texts is longer than {format_size(MAX_LINE_BYTES)}."
                )

    def _refuse(self, name: str, *_: Any) -> None:
        raise FormatError(
            self._file.name,
            self._parser.CurrentLineNumber,
            f"it defines an XML entity ({name[:40]!r}), which is not safe to read: remove that definition.",
        )
