"""Files in a downloaded package: a folder, a .zip or .whl, a .tar.gz or .tgz, and archives within."""

from __future__ import annotations

import io
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from terrarium.models.number_words import format_size

MAX_FILE_BYTES = 1 << 26
"""Size limit of a file."""
MAX_BYTES = 1 << 29
"""Size limit of all files of a package together."""
_MAX_DEPTH = 2
_ZIPS, _TARS = (".zip", ".whl"), (".tar", ".tar.gz", ".tgz")


def read_files(path: Path, pattern: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, data) of the files in a package whose name, with folders separated by “/”, matches the pattern.

    A file that is not an archive stands for itself. Nothing is unpacked to disk, so names cannot lead outside.

    Raises:
        ValueError: if the path does not exist, or an archive is damaged or too large.
    """
    wanted = re.compile(pattern)
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            name = file.relative_to(path).as_posix()
            if file.is_file() and not file.is_symlink() and (wanted.search(name) or _is_archive(name)):
                yield from _read_file(file, name, wanted)
    elif path.is_file():
        yield from _read_file(path, path.name, wanted)
    else:
        raise ValueError(f"{path} does not exist: check the name, or choose the file again.")


def _read_file(file: Path, name: str, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    try:
        with file.open("rb") as stream:
            if _is_archive(name):
                yield from _members(stream, str(file), wanted, _Budget(str(file)), depth=1)
            elif wanted.search(name):
                yield name, _Budget(str(file)).read(stream)
    except (OSError, EOFError, zlib.error, tarfile.TarError, zipfile.BadZipFile, NotImplementedError) as error:
        raise ValueError(f"{file} is damaged or no package ({error}): download it again.") from error
    except RuntimeError as error:
        raise ValueError(f"{file} is encrypted: choose the file as it was published.") from error


def _members(
    stream: IO[bytes], where: str, wanted: re.Pattern[str], budget: _Budget, depth: int
) -> Iterator[tuple[str, bytes]]:
    """Yield the wanted members of an archive, and of the archives in it."""
    for name, member in _zip_members(stream) if where.lower().endswith(_ZIPS) else _tar_members(stream):
        if wanted.search(name):
            yield name, budget.read(member)
        elif _is_archive(name) and depth < _MAX_DEPTH:
            inner = io.BytesIO(budget.read(member))
            yield from _members(inner, name, wanted, budget, depth + 1)


def _zip_members(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(stream) as archive:
        for info in sorted(archive.infolist(), key=lambda info: info.filename):
            if not info.is_dir():
                with archive.open(info) as member:
                    yield info.filename, member


def _tar_members(stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield members in their order: a compressed archive is read sequentially, once."""
    with tarfile.open(fileobj=stream, mode="r|*") as archive:
        for info in archive:
            member = archive.extractfile(info) if info.isreg() else None
            if member is not None:
                yield info.name, member


def _is_archive(name: str) -> bool:
    return PurePosixPath(name).name.lower().endswith((*_ZIPS, *_TARS))


class _Budget:
    """The remaining number of bytes that may be read from a package."""

    def __init__(self, path: str) -> None:
        self._path, self._left = path, MAX_BYTES

    def read(self, stream: IO[bytes]) -> bytes:
        data = stream.read(MAX_FILE_BYTES + 1)
        self._left -= len(data)
        if len(data) > MAX_FILE_BYTES or self._left < 0:
            raise ValueError(
                f"{self._path} unpacks to more than {format_size(MAX_BYTES)}, or has a file of more than "
                f"{format_size(MAX_FILE_BYTES)}, which this package does not: download it again."
            )
        return data
