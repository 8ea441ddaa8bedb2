"""Atomic writes of files and folders (a crash leaves either the old or the new one), and reading JSON files."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

TEMPORARY_PREFIX = ".tmp-"
"""Prefix of files and folders that are still being written; safe to delete after their writer has ended."""


TRIES = 50 if os.name == "nt" else 1
PAUSE_S = 0.02
"""Attempts to move a file, and seconds between them: on Windows, moving fails while another process has it open."""


class DamagedError(ValueError):
    """A file is missing or does not parse, so its content is lost; other errors may be temporary."""


def atomic_write_bytes(path: Path, data: bytes, *, private: bool = False, creates_folder: bool = True) -> None:
    """Replace `path` with `data` atomically.

    Args:
        private: only the owner may read the file.
        creates_folder: whether missing folders are created; otherwise FileNotFoundError is raised.
    """
    if creates_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_beside(path)
    try:
        if private:
            temporary.touch(0o600)
        write_synced(temporary, data)
        replace_path(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename, error.filename2 = str(path), None  # the temporary name means nothing to the user
        raise
    _sync_folder(path.parent)


def atomic_write_text(path: Path, text: str, *, private: bool = False, creates_folder: bool = True) -> None:
    """Replace `path` with `text` in UTF-8 atomically, as `atomic_write_bytes`."""
    atomic_write_bytes(path, text.encode(), private=private, creates_folder=creates_folder)


def atomic_write_json(path: Path, value: Any, *, indent: int = 1, creates_folder: bool = True) -> None:
    """Replace `path` with indented JSON atomically, as `atomic_write_bytes`. NaN and infinity raise ValueError."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    atomic_write_text(path, text + "\n", creates_folder=creates_folder)


def make_private(path: Path) -> Path:
    """Restrict a file or folder, if it exists, to its owner, and return `path`. On Windows, the home is private."""
    with contextlib.suppress(OSError):  # it is missing, or another user's, or the file system has no modes
        if os.name != "nt" and (mode := path.stat().st_mode) & 0o077:
            path.chmod(mode & 0o7700)
    return path


def private_folder(folder: Path) -> Path:
    """Create a folder if missing, restrict it to its owner, and return it."""
    folder.mkdir(0o700, parents=True, exist_ok=True)
    return make_private(folder)


def replace_path(source: Path, target: Path) -> None:
    """Move a file or folder with os.replace; on Windows, wait while another process has a file of it open."""
    _retried(lambda: os.replace(source, target))


def remove_folder(folder: Path) -> None:
    """Delete a folder. It is renamed to a hidden name first, so that a kill never leaves half of it under its name.

    Raises:
        OSError: if the folder is in use (it is then unchanged), or if a file of it cannot be deleted; the rest then has
            the hidden name, and is deleted by `clear_leftovers`.
    """
    doomed = _temporary_beside(folder)
    replace_path(folder, doomed)
    shutil.rmtree(doomed)


def _retried(move: Callable[[], None]) -> None:
    for _ in range(TRIES - 1):
        try:
            return move()
        except PermissionError:
            time.sleep(PAUSE_S)
    return move()


def _temporary_beside(path: Path) -> Path:
    """Return an unused path in the same folder, so that renaming it to `path` is atomic."""
    return path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{uuid.uuid4().hex[:8]}")


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and flush it to disk (fsync)."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Flush an existing file to disk (fsync)."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Create a hard link to a file that is never changed in place, or a copy if it is on another disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Replace the file `path` atomically: yields a temporary path to write, which is moved to `path` at the end.

    Raises:
        OSError: if it cannot be written; `path` is then unchanged, and no temporary file remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_leftovers(path.parent, name=path.name)
    temporary = _temporary_beside(path)
    try:
        yield temporary
        sync_file(temporary)
        replace_path(temporary, path)
    except OSError as error:
        if error.filename == str(temporary):  # the temporary name means nothing to the user
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Create the folder `path` atomically: yields a temporary folder to fill, which is renamed to `path` at the end.

    Raises:
        OSError: if the folder already exists, or the disk is full.
    """
    with temporary_folder(path) as temporary:
        yield temporary
        publish_folder(temporary, path)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Create a folder beside `path` with a hidden name; at the end it is deleted, unless `publish_folder` moved it."""
    temporary = _temporary_beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish_folder(temporary: Path, path: Path) -> None:
    """Rename a filled temporary folder to `path`; OSError if `path` already exists."""
    _sync_folder(temporary)
    _retried(lambda: os.rename(temporary, path))  # unlike replace, never onto an empty folder on Windows
    _sync_folder(path.parent)


def clear_leftovers(folder: Path, older_than_s: float = 86_400.0, *, name: str = "") -> None:
    """Delete temporary files of killed processes in `folder`; younger ones may still be in use.

    Args:
        name: delete only temporary files of this target.
    """
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        if name and not leftover.name.startswith(f"{TEMPORARY_PREFIX}{name}-"):
            continue
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime < older_than_s:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Flush the entries of `folder` to disk (a no-op on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_stamp(path: Path) -> tuple[int, int]:
    """Return (mtime in ns, size in bytes), which changes with the file; (0, 0) if it does not exist."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


MAX_JSON_BYTES = 1 << 26
"""Size limit of a JSON file, except tokenizers; a larger one would take more than seconds to parse."""


def read_json(path: Path, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """Read the JSON object in `path`.

    Raises:
        DamagedError: if the file is missing, too large, or not a JSON object; the message names it.
        ValueError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise DamagedError(f"{path} is damaged: it has more than {max_bytes >> 20} MiB.")
        value = json.loads(data)
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested too deeply
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"{path} is damaged: it is not valid JSON.") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{path} is damaged: it does not hold a JSON object.")
    return value
