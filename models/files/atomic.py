"""Writing so that a crash at any moment leaves the old file or the new one, and reading with sentences for errors."""

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
"""What half-written files and folders are called; whoever owns the folder may delete them."""


TRIES = 50 if os.name == "nt" else 1
PAUSE_S = 0.02
"""How often, and after how long, a move is tried again."""


class DamagedError(ValueError):
    """A file is missing or does not parse: what it held is lost, unlike where it only cannot be read at the moment."""


def atomic_write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data`, or leave it as it is. Makes missing folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_beside(path)
    try:
        write_synced(temporary, data)
        _move(os.replace, temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename, error.filename2 = str(path), None  # nobody knows the other name
        raise
    _sync_folder(path.parent)


def atomic_write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, or leave it as it is. Makes missing folders."""
    atomic_write_bytes(path, text.encode())


def atomic_write_json(path: Path, value: Any, *, indent: int = 1) -> None:
    """Replace `path` by readable JSON, or leave it as it is. NaN and infinity are a ValueError."""
    atomic_write_text(path, json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False) + "\n")


def _move(move: Callable[[Path, Path], None], source: Path, target: Path) -> None:
    """os.replace or os.rename, which Windows refuses for as long as somebody reads what is moved or replaced."""
    for _ in range(TRIES - 1):
        try:
            return move(source, target)
        except PermissionError:
            time.sleep(PAUSE_S)
    return move(source, target)


def _temporary_beside(path: Path) -> Path:
    """A fresh name in the same folder, from which a rename to `path` is atomic."""
    return path.with_name(f"{TEMPORARY_PREFIX}{path.name}-{uuid.uuid4().hex[:8]}")


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Make the folder `path`: it is there with everything that the block puts into the folder it gets, or not at all.

    Raises:
        OSError: where there is one of that name already, or the disk is full.
    """
    half_made = _temporary_beside(path)
    try:
        half_made.mkdir(parents=True)
        yield half_made
        _sync_folder(half_made)
        _move(os.rename, half_made, path)
        _sync_folder(path.parent)
    finally:
        shutil.rmtree(half_made, ignore_errors=True)


def clear_leftovers(folder: Path, older_than_s: float = 86_400.0) -> None:
    """Delete what killed processes left half-made in `folder`; what is younger may still be in the making."""
    for leftover in folder.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if time.time() - leftover.stat().st_mtime < older_than_s:
                continue
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink()


def _sync_folder(folder: Path) -> None:
    """Wait until the names in `folder` are on the disk (Windows does so by itself)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_stamp(path: Path) -> tuple[int, int]:
    """What is another after each change of a file; (0, 0) where there is none."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`.

    Raises:
        DamagedError: where the file is missing or no JSON object, naming it.
        ValueError: where it cannot be read.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check that you may read it.") from error
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, or nested without end
        raise DamagedError(f"{path} is damaged: it is not valid JSON.") from error
    if not isinstance(value, dict):
        raise DamagedError(f"{path} is damaged: it does not hold a JSON object.")
    return value
