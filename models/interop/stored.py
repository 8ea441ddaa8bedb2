"""Tensors stored in files, read in chunks. Nothing is allocated before a tensor is read."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from terrarium.models.architecture.lora import merged_weight
from terrarium.models.files.atomic import DamagedError, read_json
from terrarium.models.files.safetensors_file import read_safetensors_header

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_CHUNK_BYTES = 1 << 24
"""Bytes per read, some ten milliseconds, after which the reader may be closed."""


class StoredTensor(Protocol):
    """A tensor in a file."""

    @property
    def where(self) -> str:
        """The file's path."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The tensor's shape."""

    @property
    def start(self) -> int:
        """Offset of its first byte in the file."""

    @property
    def n_bytes(self) -> int:
        """Size in the file, in bytes."""

    def read(self) -> Generator[int, None, Tensor]:
        """Read the tensor; yields the number of bytes read since the last yield.

        Raises:
            ValueError: if the file cannot be read, or its number format is not supported.
        """


@dataclass(frozen=True, kw_only=True)
class SafetensorsTensor:
    """A tensor in a safetensors file."""

    path: Path
    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    n_bytes: int

    @property
    def where(self) -> str:
        return str(self.path)

    def read(self) -> Generator[int, None, Tensor]:
        """See StoredTensor."""
        if self.dtype not in DTYPES:
            raise ValueError(
                f"{self.path}: {self.name} is stored as {self.dtype}, which is not supported: "
                "save the model as float32, float16 or bfloat16."
            )
        buffer = np.empty(self.n_bytes, dtype=np.uint8)
        done = 0
        try:
            with self.path.open("rb") as file:
                file.seek(self.start)
                while done < self.n_bytes:
                    n = file.readinto(buffer.data[done : done + _CHUNK_BYTES])
                    if not n:
                        raise DamagedError(f"{self.path} is damaged: it ends within {self.name}.")
                    done += n
                    yield n
        except OSError as error:
            raise ValueError(f"{self.path} cannot be read: {error.strerror}.") from error
        if not self.n_bytes:
            return torch.empty(self.shape, dtype=DTYPES[self.dtype])
        return torch.from_numpy(buffer).view(DTYPES[self.dtype]).view(self.shape)


@dataclass(frozen=True)
class MergedTensor:
    """The matrix of a layer with an adapter: W + scale · B A, in float32."""

    matrix: StoredTensor
    down: StoredTensor
    """A (r, N)."""
    up: StoredTensor
    """B (M, r)."""
    scale: float

    @property
    def where(self) -> str:
        return self.up.where

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of W; a different one if A or B does not fit W, so that the check of shapes fails."""
        (rank, *inputs), (*outputs, same) = self.down.shape, self.up.shape
        fits = rank == same and (*outputs, *inputs) == self.matrix.shape
        return self.matrix.shape if fits else (*outputs, *inputs)

    @property
    def start(self) -> int:
        return self.up.start

    @property
    def n_bytes(self) -> int:
        return self.matrix.n_bytes + self.down.n_bytes + self.up.n_bytes

    def read(self) -> Generator[int, None, Tensor]:
        """See StoredTensor."""
        weight = yield from self.matrix.read()
        a, b = (yield from self.down.read()), (yield from self.up.read())
        return merged_weight(weight.float(), a.float(), b.float(), self.scale)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file into memory.

    Raises:
        DamagedError: if it is missing or damaged; the message names it.
        ValueError: if it cannot be read.
    """
    try:
        return safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        raise DamagedError(f"{path} is missing.") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    except SafetensorError as error:
        raise DamagedError(f"{path} is damaged ({error}).") from error


def read_header(path: Path) -> dict[str, SafetensorsTensor]:
    """Return the tensors of one safetensors file, by name; errors as `read_safetensors_header`."""
    return {
        name: SafetensorsTensor(path=path, name=name, **entry._asdict())
        for name, entry in read_safetensors_header(path).items()
    }


def read_headers(folder: Path) -> dict[str, SafetensorsTensor]:
    """Return the tensors of a Hugging Face folder, from one file or several with an index.

    Raises:
        ValueError: if there are no weights, or only pickled ones.
        DamagedError: if a file is missing or damaged.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return read_header(single)
    if index.is_file():
        return _read_sharded(folder, index)
    pickled = next((path for path in sorted(folder.glob("*")) if path.suffix in (".bin", ".pt", ".pth", ".ckpt")), None)
    if pickled is not None:
        raise ValueError(
            f"{folder} has its weights only in {pickled.name}, which can run code when it is opened: use the "
            "model.safetensors of this model, or convert it with transformers' save_pretrained()."
        )
    raise ValueError(f"{folder} has no weights: model.safetensors is missing, so download it beside config.json.")


def _read_sharded(folder: Path, index: Path) -> dict[str, SafetensorsTensor]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(file, str) for file in weight_map.values()):
        raise DamagedError(f"{index} is damaged: it has no weight_map.")
    found: dict[str, SafetensorsTensor] = {}
    for file in sorted(set(weight_map.values())):
        if Path(file).name != file:
            raise DamagedError(f"{index} is damaged: {file!r} is not the name of a file beside it.")
        found |= read_header(folder / file)
    missing = next((name for name in weight_map if name not in found), None)
    if missing is not None:
        raise DamagedError(
            f"{folder / weight_map[missing]} does not hold {missing!r}, which {index.name} says is in it."
        )
    return found
