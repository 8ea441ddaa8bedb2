"""Writes models into new folders and files: tensors into a safetensors file, in chunks."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from terrarium.models.files.atomic import atomic_folder, replace_path, sync_file, temporary_folder
from terrarium.models.interop.stored import DTYPES
from terrarium.models.library.library import safe_name

_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_CHUNK_BYTES = 1 << 24


def write_tensors(path: Path, tensors: Mapping[str, Tensor], *, synced: bool = True) -> Generator[int, None, None]:
    """Write a safetensors file, yielding the number of bytes written each time; OSError if the disk is full.

    Tensors on the CPU are written without a copy, and the GIL is released while a chunk is written.

    Args:
        synced: whether the file is flushed to disk at the end (fsync).
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # data begins at a multiple of 8
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            numbers = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
            for start in range(0, len(numbers), _CHUNK_BYTES):
                yield file.write(numbers[start : start + _CHUNK_BYTES])
        if synced:
            file.flush()
            os.fsync(file.fileno())


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write into, which becomes `path` on success and is removed otherwise.

    Raises:
        ValueError: if `path` exists already and is not an empty folder, or its name is not valid on every system.
    """
    check_new_folder(path)
    with atomic_folder(path) as half_made:
        yield half_made
        if path.exists():  # Windows cannot rename onto it
            path.rmdir()


def check_new_folder(path: Path) -> None:
    """Raise ValueError if the folder to write exists and is not empty, or its name is not valid on every system."""
    if name := path.absolute().name:
        safe_name(name)
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise ValueError(f"{path} exists already: choose another folder, or move it away.")


def file_path(out: Path, ending: str) -> Path:
    """Return `out`, absolute, with a name that ends in `ending` (such as “.gguf”).

    Raises:
        ValueError: if `out` is a folder, or its name is not valid on every system.
    """
    if out.name in ("", ".."):  # of “.” and “/”, too
        raise ValueError(f"{out} is a folder: give the name of a file in it.")
    out = out.absolute()
    name = safe_name(out.name if out.name.lower().endswith(ending) else out.name + ending)
    if out.is_dir():
        raise ValueError(f"{out} is a folder: give the name of a file in it, such as {out / name}.")
    return out.with_name(name)


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path to write a file to, which becomes `path` on success and is removed otherwise.

    Raises:
        ValueError: if `path` exists already.
    """
    check_free(path)
    with temporary_folder(path) as folder:
        half_made = folder / path.name
        yield half_made
        sync_file(half_made)
        check_free(path)
        replace_path(half_made, path)


@contextlib.contextmanager
def discarding(*files: Path) -> Iterator[None]:
    """Remove the files if the block fails or is closed, so that they do not block the next attempt."""
    try:
        yield
    except BaseException:
        for file in files:
            file.unlink(missing_ok=True)
        raise


def check_free(path: Path) -> None:
    """Raise ValueError if the file to write exists, or is a folder."""
    if path.is_dir():
        raise ValueError(f"{path} is a folder: give the name of a file in it.")
    if path.exists():
        raise ValueError(f"{path} exists already: choose another name, or move it away.")
