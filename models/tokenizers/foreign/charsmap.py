"""SentencePiece's table of replacements: a double array of UTF-8 keys, then the texts that they become.

Of all keys that a text goes on with, the longest is replaced, and reading goes on behind it
(github.com/google/sentencepiece, src/normalizer.cc; the array is that of github.com/s-yata/darts-clone).
"""

from __future__ import annotations

import itertools
import struct
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

_LABEL = (1 << 31) | 0xFF
_VALUE = (1 << 31) - 1
_MOST_KEYS, _LONGEST_KEY = 1 << 20, 64  # its own largest table has 227,000 keys of at most 16 bytes


def read_charsmap(blob: bytes) -> dict[str, str]:
    """All replacements of a table.

    Raises:
        ValueError: where it is damaged.
    """
    if not blob:
        return {}
    size = struct.unpack_from("<I", blob)[0] if len(blob) >= 4 else 0
    if not size or size % 4 or 4 + size > len(blob):
        raise ValueError("a table that is cut off")
    units = struct.unpack_from(f"<{size // 4}I", blob, 4)
    texts = blob[4 + size :]
    found: dict[str, str] = {}
    children: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for place, unit in enumerate(units):
        label = unit & _LABEL
        if 0 < label < 256:  # else nothing, or a value
            children[place ^ label].append((label, place))
    waiting = [(_offset(units[0]), b"")]
    while waiting:
        place, key = waiting.pop()
        if len(found) > _MOST_KEYS or len(key) > _LONGEST_KEY:  # a damaged array leads around in circles
            raise ValueError("a table that does not end")
        for byte, child in children.get(place, ()):
            leads, longer = child ^ _offset(units[child]), key + bytes([byte])
            if units[child] >> 8 & 1:
                if leads >= len(units):
                    raise ValueError("a table that leads nowhere")
                start = units[leads] & _VALUE
                found[longer.decode()] = texts[start : texts.index(b"\0", start)].decode()
            waiting.append((leads, longer))
    return found


def _offset(unit: int) -> int:
    return (unit >> 10) << ((unit & (1 << 9)) >> 6)


def replace_longest(rules: Mapping[str, str], text: str, longest: int) -> str:
    """`text` as SentencePiece replaces it. `longest`: the characters of the longest key."""
    out, place = [], 0
    while place < len(text):
        for length in range(min(longest, len(text) - place), 0, -1):
            found = rules.get(text[place : place + length])
            if found is not None:
                out.append(found)
                place += length
                break
        else:
            out.append(text[place])
            place += 1
    return "".join(out)


def make_charsmap(rules: Mapping[str, str]) -> bytes:
    """A table of these replacements, as Hugging Face's `Precompiled` reads it."""
    places: dict[str, int] = {}
    texts = bytearray()
    root = _Node()
    for key, text in rules.items():
        if text not in places:
            places[text] = len(texts)
            texts += text.encode() + b"\0"
        node = root
        for byte in key.encode():
            node = node.children.setdefault(byte, _Node())
        node.value = places[text]
    units = _lay_out(root)
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(texts)


@dataclass
class _Node:
    """What may follow a beginning of keys, and the value where it is one itself."""

    children: dict[int, _Node] = field(default_factory=dict)
    value: int | None = None


def _lay_out(root: _Node) -> list[int]:
    """The tree as an array: a unit holds its byte, whether a key ends with it, and what to xor to find its children."""
    units, bases = {0: 0}, set[int]()
    waiting = [(0, 0, root)]
    free, free_for_many = 1, 1
    while waiting:
        place, label, node = waiting.pop()
        while free in units or free in bases:
            free += 1
        wanted = list(node.children) + ([0] if node.value is not None else [])
        base = next(
            base
            for base in itertools.count(free_for_many if node.children else free)
            if base not in bases and not any(base ^ byte in units for byte in wanted)
        )
        bases.add(base)
        if node.children:
            free_for_many = base
        units[place] = (base ^ place) << 10 | (node.value is not None) << 8 | label
        if node.value is not None:
            units[base] = 1 << 31 | node.value
        for byte, child in node.children.items():
            units[base ^ byte] = 0
            waiting.append((base ^ byte, byte, child))
    n = (max(*units, *bases) | 0xFF) + 1  # whatever byte is looked up, its place is in the array
    return [units.get(place, 0) for place in range(n)]
