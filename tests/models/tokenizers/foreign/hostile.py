"""Files made to take for ever or all memory: small on disk, endless or enormous when they are read naively."""

from __future__ import annotations

import base64
import itertools
import json
import struct
from pathlib import Path


def write_endless_ranks(path: Path) -> None:
    """tiktoken ranks whose merges take hours to derive: thousands of long tokens that all begin alike."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"a" * 2**i for i in range(1, 12)]
    tokens += [b"a" * 4000 + b"%d" % i for i in range(3000)]
    path.write_bytes(b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens)))


def write_shared_trie(path: Path, n_levels: int = 60) -> None:
    """A SentencePiece model whose table of replacements has 2^n_levels paths through n_levels nodes, and no key."""
    base = [256 * (level + 1) for level in range(n_levels + 1)]
    units = [0] * (base[-1] + 256)
    units[0] = base[0] << 10
    for here, below in itertools.pairwise(base):
        for label in b"ab":
            child = here ^ label
            units[child] = (child ^ below) << 10 | label
    table = struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + b"\0"
    pieces = [_field(1, _field(1, b"<unk>") + _number(3, 2)), *(_field(1, _field(1, c.encode())) for c in "▁ab")]
    normaliser = _field(3, _field(1, b"mine") + _field(2, table))
    path.write_bytes(b"".join(pieces) + _field(2, _number(3, 1)) + normaliser)


def write_deep_json(path: Path) -> None:
    """JSON nested 200,000 times."""
    path.write_text('{"model": ' + "[" * 200_000)


def write_wide_json(path: Path) -> None:
    """JSON that takes some twenty times as much memory as it is long."""
    path.write_text('{"model": {"type": "BPE"}, "x": [' + "[]," * 2_000_000 + "[]]}")


def write_long_fields(path: Path) -> None:
    """A SentencePiece model with a piece of 2^60 bytes."""
    path.write_bytes(b"\x0a\x09\x0a\x07" + b"pieces!" + b"\x0a" + _varint(2**60) + b"x" * 100)


def write_many_pieces(path: Path) -> None:
    """A SentencePiece model of which all but one piece is fields without a meaning."""
    piece = _field(1, _field(1, b"<unk>") + _number(3, 2))
    path.write_bytes(piece + b"\x20\x00" * 200_000)


GGUF_STRING, GGUF_ARRAY, GGUF_BYTE = 8, 9, 0


def write_gguf(path: Path, n_tensors: int = 0, n_values: int = 1, values: bytes = b"", size: int = 0) -> None:
    """A GGUF file with these counts and metadata; filled with zeros up to `size` bytes, which take none on disk."""
    path.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_values) + values)
    with path.open("r+b") as file:
        file.truncate(max(size, path.stat().st_size))


def gguf_key(kind: int) -> bytes:
    """A metadata key and the kind of its value."""
    return struct.pack("<Q", 1) + b"k" + struct.pack("<I", kind)


def gguf_array(kind: int, length: int) -> bytes:
    """The head of an array."""
    return struct.pack("<IQ", kind, length)


def write_safetensors(path: Path, header: bytes, length: int | None = None) -> None:
    """A safetensors file with this header, which claims to be `length` bytes long."""
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)


def write_config(folder: Path) -> None:
    """A config.json of a tiny model, beside which other files are put."""
    config = {"architectures": ["GPT2LMHeadModel"], "vocab_size": 4, "n_positions": 4, "n_embd": 4, "n_layer": 1}
    (folder / "config.json").write_text(json.dumps({**config, "n_head": 1}))


def _field(number: int, data: bytes) -> bytes:
    """A protobuf field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
