"""External files, opened with limits: plain ones, and those in .gz and .zip files. Nothing is unpacked to disk."""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NoReturn, cast

from terrarium.models.files.limits import MAX_RATIO, MAX_UNPACKED_BYTES, unpacked_limit
from terrarium.models.number_words import format_size

MAX_LINE_BYTES = 1 << 24
"""Length limit of a line."""
MAX_FILES = 100_000
"""Maximum number of files in a source, and of members in an archive."""

_PART_BYTES = 1 << 16
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_NO_TEXTS = {
    b"\x89PNG": "a picture (PNG)",
    b"\xff\xd8\xff": "a picture (JPEG)",
    b"GIF8": "a picture (GIF)",
    b"%PDF": "a document (PDF)",
}
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "trn": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
    "test": "test",
    "testing": "test",
    "tst": "test",
}


class FormatError(ValueError):
    """An unreadable file: a sentence with the file and the line."""

    def __init__(self, file: str, line: int, what: str) -> None:
        super().__init__(f"{file}, line {line}: {what}" if line else f"{file}: {what}")
        self.what = what


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file to read: on disk, or a member of an archive.

    name: its name in messages. path: the file on disk; for a member, that of its `archive`. folder: the name of its
    folder below the user's choice; "" at the top or if the folder's name is only that of a split. split: "train", "val"
    or "test" if its name or a folder's says so, else "". size: its bytes, unpacked if known. beside: files whose lines
    are parallel to its own.
    """

    name: str
    path: Path
    size: int
    member: str = ""
    archive: zipfile.ZipFile | None = field(default=None, compare=False, repr=False)
    folder: str = ""
    split: str = ""
    beside: tuple[SourceFile, ...] = ()

    @property
    def is_packed(self) -> bool:
        """Whether its content is compressed or in an archive."""
        return bool(self.member) or self.path.suffix.lower() == ".gz"

    @property
    def inner_name(self) -> str:
        """Its own file name, without .gz."""
        name = PurePosixPath(self.member).name if self.member else self.path.name
        return name[:-3] if name.lower().endswith(".gz") else name

    @property
    def suffix(self) -> str:
        """The last suffix of `inner_name`, in lower case."""
        return PurePosixPath(self.inner_name).suffix.lower()

    @contextmanager
    def open(self, meter: Meter | None = None) -> Iterator[BinaryIO]:
        """Open it as a byte stream that raises FormatError if it unpacks to too much.

        Raises:
            FormatError: if it cannot be opened or is damaged.
        """
        try:
            with self._raw() as (raw, limit):
                counted = _Counted(raw, self, limit, meter)
                yield cast(BinaryIO, io.BufferedReader(counted, _PART_BYTES))
        except OSError as error:
            if isinstance(error, gzip.BadGzipFile):
                raise FormatError(self.name, 0, "it is not a .gz file, or damaged: pack it again.") from error
            raise FormatError(
                self.name, 0, f"it cannot be read ({error.strerror or error}): check its permissions."
            ) from error
        except (EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            if not self.is_packed:
                raise
            raise FormatError(self.name, 0, f"it is damaged or cut off ({error}): pack it again.") from error

    @contextmanager
    def _raw(self) -> Iterator[tuple[IO[bytes], int]]:
        """Yield a stream of its unpacked bytes, and the limit of their number."""
        if self.archive is not None:
            packed = self.archive.getinfo(self.member).compress_size
            with self.archive.open(self.member) as file:
                is_packed_twice = self.member.lower().endswith(".gz")
                unzipped = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if is_packed_twice else file
                yield unzipped, unpacked_limit(packed)
        elif self.is_packed:
            with gzip.open(self.path) as unpacked:
                yield cast(IO[bytes], unpacked), unpacked_limit(self.path.stat().st_size)
        else:
            with self.path.open("rb") as plain:
                yield plain, 1 << 62


@dataclass(kw_only=True)
class Meter:
    """The bytes read from all files of a source, compared with their `total` and the unpacking limit."""

    total: int = 0
    done: int = 0
    limit: int = MAX_UNPACKED_BYTES

    def add(self, n_bytes: int, file: SourceFile) -> None:
        """Count bytes read from a file; FormatError if it unpacks, together with the files before it, to too much."""
        self.done += n_bytes
        if file.is_packed and self.done > self.limit:
            _refuse(file, "with the files before it, it unpacks", self.limit)


class GrowthMeter:
    """Counts the characters of rows, many of which may share one text, against the unpacking limit for `n_bytes`."""

    def __init__(self, file: SourceFile, n_bytes: int, ratio: int = MAX_RATIO) -> None:
        self._file, self._n, self._limit = file, 0, unpacked_limit(n_bytes, ratio)

    def add(self, n_characters: int, line: int) -> None:
        """Count a row; FormatError if the rows exceed the limit."""
        self._n += n_characters
        if self._n > self._limit:
            raise FormatError(
                self._file.name,
                line,
                f"up to here its rows have more than {format_size(self._limit)}, because many share one text: no data "
                "set does that.",
            )


def _refuse(file: SourceFile, what: str, limit: int) -> NoReturn:
    raise FormatError(
        file.name,
        0,
        f"{what} to more than {format_size(limit)}, which a data set would not: if that is meant, unpack it yourself.",
    )


def unpacking_limit(paths: Collection[Path]) -> int:
    """Return the limit of the unpacked bytes of files on disk."""
    return unpacked_limit(sum(map(_size, paths)))


class _Counted(io.RawIOBase):
    """A stream that counts the bytes read, and raises beyond `limit` or the meter's limit."""

    def __init__(self, stream: IO[bytes], file: SourceFile, limit: int, meter: Meter | None) -> None:
        super().__init__()
        self._stream, self._file, self._limit, self._meter = stream, file, limit, meter
        self._n_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self._n_read += len(data)
        if self._n_read > self._limit:
            _refuse(self._file, "it unpacks", self._limit)
        if self._meter is not None:
            self._meter.add(len(data), self._file)
        return len(data)


def read_lines(file: SourceFile, encoding: str = "", meter: Meter | None = None) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text file with their numbers from 1, each ending with "\\n" except perhaps the last.

    Reads UTF-8 with or without a byte order mark, and UTF-16 with one; others by `encoding`. Never holds a line longer
    than MAX_LINE_BYTES in memory.

    Raises:
        FormatError: for a line that is too long, has NUL characters, or is in another encoding.
    """
    wide = encoding.lower().startswith(("utf-16", "utf-32", "utf16", "utf32"))
    number = 0
    with file.open(meter) as stream:
        _check_kind(file, cast(io.BufferedReader, stream).peek(4))
        if not encoding and cast(io.BufferedReader, stream).peek(2).startswith(_UTF16_MARKS):
            encoding, wide = "utf-16", True
        for raw in (
            _wide_lines(stream, file, encoding) if wide else iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b"")
        ):
            if len(raw) > MAX_LINE_BYTES:
                raise FormatError(
                    file.name, number + 1, f"it is longer than {format_size(MAX_LINE_BYTES)}: is this a text file?"
                )
            text = raw if isinstance(raw, str) else _decoded(raw, file, number + 1, encoding)
            if number == 0:
                text = text.removeprefix("\ufeff")
            if "\0" in text:
                raise FormatError(
                    file.name, number + 1, "it has a NUL character, so this is no text file: save it as UTF-8 text."
                )
            # Usually one line; several in old Mac files, where a carriage return ends a line.
            parts = _LINE.findall(text.replace("\r\n", "\n").replace("\r", "\n")) if "\r" in text else (text,)
            for part in parts:
                number += 1
                yield number, part


def _check_kind(file: SourceFile, beginning: bytes) -> None:
    """Raise FormatError for a table or text file that begins like a picture or a document."""
    kind = next((words for mark, words in _NO_TEXTS.items() if beginning.startswith(mark)), "")
    if kind:
        raise FormatError(file.name, 0, f"this is {kind}, not a table or a text: choose another file.")


def _decoded(data: bytes, file: SourceFile, number: int, encoding: str) -> str:
    try:
        return data.decode(encoding or "utf-8")
    except UnicodeDecodeError as error:
        known = f"{encoding}" if encoding else "UTF-8"
        raise FormatError(
            file.name,
            number,
            f"byte {data[error.start]:#04x} is not {known}: save the file as UTF-8, or say its encoding (latin-1?).",
        ) from error
    except LookupError:
        raise ValueError(_unknown_encoding(encoding)) from None


def read_chunks(file: SourceFile, encoding: str = "", meter: Meter | None = None) -> Iterator[str]:
    """Yield the text of a file, decoded as by `read_lines`, in chunks of some ten thousand characters."""
    with file.open(meter) as stream:
        _check_kind(file, cast(io.BufferedReader, stream).peek(4))
        is_wide = cast(io.BufferedReader, stream).peek(2).startswith(_UTF16_MARKS)
        encoding = encoding or ("utf-16" if is_wide else "utf-8")
        line = 1
        try:
            decoder = codecs.getincrementaldecoder(encoding)()
            is_first, at_end = True, False
            while not at_end:
                data = stream.read(_PART_BYTES)
                at_end = not data
                text = decoder.decode(data, final=at_end)
                if is_first:
                    text, is_first = text.removeprefix("\ufeff"), not text
                if "\0" in text:
                    line += text.count("\n", 0, text.index("\0"))
                    raise FormatError(file.name, line, "it has a NUL character, so this is no text file.")
                line += text.count("\n")
                yield text
        except UnicodeError as error:
            data = getattr(error, "object", b"")[: getattr(error, "start", 0)]
            raise FormatError(
                file.name,
                line + data.count(b"\n"),
                f"it is not {encoding.upper()} from here on: save the file as UTF-8, or say its encoding (latin-1?).",
            ) from error
        except LookupError:
            raise ValueError(_unknown_encoding(encoding)) from None


def _unknown_encoding(name: str) -> str:
    return f"There is no encoding called {name!r}: use utf-8, latin-1, cp1252 or utf-16."


def _wide_lines(stream: BinaryIO, file: SourceFile, encoding: str) -> Iterator[str]:
    number = 0
    try:
        text = io.TextIOWrapper(stream, encoding=encoding, newline=None)
        while line := text.readline(MAX_LINE_BYTES + 1):
            number += 1
            yield line
        text.detach()
    except UnicodeError as error:
        raise FormatError(file.name, number + 1, f"it is not {encoding} from here on: save it as UTF-8.") from error
    except LookupError:
        raise ValueError(_unknown_encoding(encoding)) from None


def read_whole(file: SourceFile, max_bytes: int) -> bytes:
    """Read all bytes of a file that is not a sequence of lines; FormatError if it has more than `max_bytes`.

    No meter counts them; the caller does, so that progress follows its rows.
    """
    with file.open() as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise FormatError(file.name, 0, f"it is larger than {format_size(max_bytes)}: split it into several files.")
    return data


def find_files(paths: Sequence[Path | str]) -> list[SourceFile]:
    """Return the files that paths stand for: themselves, all below a folder, all in a .zip; sorted by name.

    Hidden files and folders, and symbolic links in folders, are left out.

    Raises:
        ValueError: if there are none or too many, a path does not exist, or an archive has names outside of it.
    """
    if not paths:
        raise ValueError("No file chosen: choose a file, a folder or a .zip.")
    found = list[SourceFile]()
    for path in map(Path, paths):
        path = path.expanduser()
        if path.is_dir():
            found += _in_folder(path)
        elif not path.exists():
            raise ValueError(f"{path} does not exist: check the name, or choose the file again.")
        elif not path.is_file():
            raise ValueError(f"{path} is a device or a pipe, which may never end: choose a file.")
        elif path.suffix.lower() == ".zip":
            found += _in_archive(path)
        elif path.name.lower().endswith((".tar", ".tar.gz", ".tgz", ".7z", ".rar", ".bz2", ".xz", ".zst")):
            raise ValueError(f"{path} is an archive of a kind that is not read here: unpack it and choose its folder.")
        else:
            size = _size(path)
            if not size:
                raise ValueError(f"{path} is empty: choose a file with data in it.")
            found.append(SourceFile(name=str(path), path=path, size=size, split=split_of(path.name)))
        if len(found) > MAX_FILES:
            raise ValueError(f"{path} has more than {MAX_FILES:,} files: choose a part of it.")
    if not found:
        raise ValueError(f"{paths[0]} has no files in it: choose another folder.")
    return found


def split_of(name: str) -> str:
    """Return the split in a file's name, as in "train-00000-of-00002.parquet" or "en_test.conllu"; else ""."""
    words = re.split(r"[^a-z]+", PurePosixPath(name).name.lower())
    return next((_SPLIT_NAMES[word] for word in words if word in _SPLIT_NAMES), "")


def _placed(name: str, parts: Sequence[str]) -> tuple[str, str]:
    """Return the split and the folder of a file below folders `parts`; a folder named after a split does not count."""
    splits = [_SPLIT_NAMES[part.lower()] for part in parts if part.lower() in _SPLIT_NAMES]
    folders = [part for part in parts if part.lower() not in _SPLIT_NAMES]
    return split_of(name) or (splits[0] if splits else ""), folders[-1] if folders else ""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error


def _in_folder(root: Path) -> Iterator[SourceFile]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith((".", "__")))
        inner = Path(folder)
        for name in sorted(names):
            path = inner / name
            if name.startswith(".") or path.is_symlink() or not path.is_file():
                continue
            if size := _size(path):
                split, label = _placed(name, inner.relative_to(root).parts)
                yield SourceFile(name=str(path), path=path, size=size, folder=label, split=split)


def _in_archive(path: Path) -> Iterator[SourceFile]:
    try:
        archive = zipfile.ZipFile(path)  # closed with its last file: reopening reads the whole list
        members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FormatError(str(path), 0, f"it is no .zip file, or damaged ({error}): pack it again.") from error
    if len(members) > MAX_FILES:
        raise FormatError(str(path), 0, f"it has {len(members):,} files, more than {MAX_FILES:,}: unpack a part of it.")
    for info in members:
        if _leads_out(info):
            raise FormatError(
                str(path),
                0,
                f"its member {info.filename!r} leads out of the archive: it is not safe, so nothing is read.",
            )
        if info.flag_bits & 1:
            raise FormatError(str(path), 0, "it is encrypted: unpack it with its password, and choose the folder.")
    unpacked, packed = sum(info.file_size for info in members), _size(path)  # members may share bytes
    if unpacked > unpacking_limit([path]):
        raise FormatError(
            str(path), 0, f"it unpacks from {format_size(packed)} to {format_size(unpacked)}, which no data set does."
        )
    for info in sorted(members, key=lambda info: info.filename):
        parts = PurePosixPath(info.filename).parts
        if info.is_dir() or not info.file_size or any(part.startswith((".", "__")) for part in parts):
            continue
        split, folder = _placed(parts[-1], parts[:-1])
        yield SourceFile(
            name=f"{path}/{info.filename}",
            path=path,
            size=info.file_size,
            member=info.filename,
            archive=archive,
            folder=folder,
            split=split,
        )


def _leads_out(info: zipfile.ZipInfo) -> bool:
    name = info.filename.replace("\\", "/")
    is_absolute = name.startswith("/") or re.match("[A-Za-z]:", name) is not None
    return is_absolute or ".." in name.split("/") or stat.S_ISLNK(info.external_attr >> 16)
