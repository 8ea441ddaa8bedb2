"""Parser of SentencePiece model files (github.com/google/sentencepiece, src/sentencepiece_model.proto)."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from terrarium.models.files.atomic import DamagedError
from terrarium.models.tokenizers.foreign.merges import MAX_TOKEN_LENGTH
from terrarium.models.tokenizers.token_bytes import SPACE_MARK

T = TypeVar("T", int, bytes)

ALGORITHMS = {1: "unigram", 2: "bpe", 3: "word", 4: "char"}

_MIN_MODEL_BYTES = 16  # bytes


class PieceKind(IntEnum):
    """The type of a piece, with the values of the file format."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class SentencePiece:
    """One piece of the vocabulary; its index is its id."""

    text: str
    score: float
    kind: PieceKind


@dataclass(frozen=True, kw_only=True)
class SentencePieceModel:
    """The content of a model file. `algorithm`: one of ALGORITHMS; `charsmap`: see `foreign.charsmap`."""

    where: str
    algorithm: str
    pieces: tuple[SentencePiece, ...]
    byte_fallback: bool = False
    charsmap: bytes = b""
    normalizer: str = ""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True
    whitespace_is_suffix: bool = False

    @property
    def mark(self) -> str:
        """The character for a space within pieces."""
        return SPACE_MARK if self.escape_whitespaces else " "

    def of_kind(self, *kinds: PieceKind) -> list[str]:
        """Return the texts of the pieces of these kinds, in order of their ids."""
        return [piece.text for piece in self.pieces if piece.kind in kinds]


def looks_like_sentencepiece(head: bytes) -> bool:
    """Return whether a file begins like a SentencePiece model: with a piece, whose first field is its text."""
    return len(head) >= _MIN_MODEL_BYTES and head[0] == 0x0A and head[2:3] == b"\x0a" and head[3] <= head[1]


def read_sentencepiece_file(path: Path) -> SentencePieceModel:
    """Read the model in `path`.

    Raises:
        DamagedError: if it is truncated, or not a SentencePiece model.
    """
    try:
        return parse_sentencepiece(path.read_bytes(), str(path))
    except (ValueError, struct.error) as error:
        if isinstance(error, DamagedError):
            raise
        raise DamagedError(f"{path} is damaged or cut off: it is not a complete SentencePiece model.") from error


def parse_sentencepiece(data: bytes, where: str) -> SentencePieceModel:
    """Parse the bytes of a model file; `where` names it in errors. Raises ValueError or struct.error if invalid."""
    pieces: list[SentencePiece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, value in _fields(data):
        if number == 1:
            pieces.append(_piece(_as(bytes, value)))
        elif number == 2:
            trainer = dict(_fields(_as(bytes, value)))
        elif number == 3:
            normalizer = dict(_fields(_as(bytes, value)))
    algorithm = ALGORITHMS.get(_as(int, trainer.get(3, 1)))
    if not pieces or algorithm is None or not normalizer:
        raise ValueError("no pieces, no known algorithm, or no normaliser, which comes last")
    texts = {piece.text for piece in pieces}
    if len(texts) != len(pieces):
        raise DamagedError(f"{where} is damaged: it has a duplicate piece.")
    return SentencePieceModel(
        where=where,
        algorithm=algorithm,
        pieces=tuple(pieces),
        byte_fallback=bool(trainer.get(35, 0)),
        charsmap=_as(bytes, normalizer.get(2, b"")),
        normalizer=_as(bytes, normalizer.get(1, b"")).decode(),
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        escape_whitespaces=bool(normalizer.get(5, 1)),
        whitespace_is_suffix=bool(trainer.get(24, 0)),
    )


def _piece(data: bytes) -> SentencePiece:
    fields = dict(_fields(data))
    (score,) = struct.unpack("<f", _as(bytes, fields.get(2, b"\0\0\0\0")))
    text = _as(bytes, fields[1]).decode() if 1 in fields else ""
    if not 0 < len(text) <= MAX_TOKEN_LENGTH or not math.isfinite(score):
        raise ValueError("a piece without a text or a score")
    return SentencePiece(text, score, PieceKind(_as(int, fields.get(3, 1))))


def _as(kind: type[T], value: int | bytes) -> T:
    """Return a value after checking that it is of that type."""
    if not isinstance(value, kind):
        raise ValueError("a field of another kind")
    return value


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a protobuf message, in order: (number, int for varints or bytes for the rest).

    Parsed without the schema (protobuf.dev/programming-guides/encoding).

    Raises:
        ValueError: if the message is truncated or invalid.
    """
    offset = 0
    while offset < len(data):
        key, offset = _varint(data, offset)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise ValueError("a field without a number")
        if kind == 0:
            value, offset = _varint(data, offset)
            yield number, value
            continue
        if kind == 2:
            length, offset = _varint(data, offset)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"a field of kind {kind}")
        if offset + length > len(data):
            raise ValueError("a field longer than the message")
        yield number, data[offset : offset + length]
        offset += length


def _varint(data: bytes, offset: int) -> tuple[int, int]:
    """Read a varint; return (value, offset after it)."""
    value = 0
    for shift in range(0, 70, 7):
        if offset >= len(data):
            raise ValueError("a number that is cut off")
        byte = data[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, offset
    raise ValueError("a number that does not end")
