"""SentencePiece's precompiled charsmap: a double-array trie of UTF-8 keys, then their replacements.

At each position of a text the longest matching key is replaced, and matching continues after it
(github.com/google/sentencepiece, src/normalizer.cc; the array is that of github.com/s-yata/darts-clone).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_LABEL = (1 << 31) | 0xFF
_VALUE = (1 << 31) - 1
_MAX_VISITS, _MAX_KEY_BYTES, _MAX_TEXT_BYTES = 1 << 19, 64, 1024
"""Limits against damaged tables. The largest published table has 227,000 keys of at most 16 bytes, found in 264,000
node visits. Nodes may be shared, so even a small table may have too many paths to enumerate."""


def read_charsmap(blob: bytes) -> dict[str, str]:
    """Read all replacements of a table, key -> text.

    Raises:
        ValueError: if it is damaged.
    """
    if not blob:
        return {}
    import numpy as np  # imported here so that child processes for other tokenizers start fast

    size = struct.unpack_from("<I", blob)[0] if len(blob) >= 4 else 0
    if not size or size % 4 or 4 + size > len(blob):
        raise ValueError("a table that is cut off")
    units = np.frombuffer(blob, "<u4", size // 4, offset=4).astype(np.int64)
    texts = blob[4 + size :]
    found: dict[str, str] = {}
    labels = units & _LABEL
    children = np.flatnonzero((labels > 0) & (labels < 256))  # the other units are empty, or values
    parents = children ^ labels[children]
    order = np.argsort(parents, kind="stable")
    children, parents = children[order], parents[order]
    offsets = (units >> 10) << ((units & 1 << 9) >> 6)
    is_key = units >> 8 & 1 == 1
    nodes, n_visits = offsets[:1], 1
    keys = np.empty((1, 0), np.uint8)
    while len(nodes):  # all nodes of one depth, and the bytes that lead to them
        begin, end = np.searchsorted(parents, nodes, "left"), np.searchsorted(parents, nodes, "right")
        counts = end - begin
        n_visits += int(counts.sum())
        if n_visits > _MAX_VISITS or keys.shape[1] >= _MAX_KEY_BYTES:  # a damaged array may have cycles
            raise ValueError("a table that does not end")
        among = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        below = children[np.repeat(begin, counts) + among]
        keys = np.hstack([np.repeat(keys, counts, axis=0), labels[below, None].astype(np.uint8)])
        nodes, ends = below ^ offsets[below], is_key[below]
        if (nodes[ends] >= len(units)).any():
            raise ValueError("a table that leads nowhere")
        found.update(zip(_split(keys[ends]), _texts_at(texts, units[nodes[ends]] & _VALUE), strict=True))
    return found


def _split(keys: np.ndarray) -> Iterator[str]:
    """Yield each row of bytes as text."""
    joined, n = keys.tobytes(), keys.shape[1]
    return (joined[i : i + n].decode() for i in range(0, len(joined), n))


def _texts_at(texts: bytes, starts: np.ndarray) -> Iterator[str]:
    """Return the text that starts at each byte offset; many keys share the same text."""
    begins: list[int] = starts.tolist()
    known = {start: texts[start : texts.index(b"\0", start, start + _MAX_TEXT_BYTES)].decode() for start in set(begins)}
    return map(known.__getitem__, begins)


def replace_longest(rules: Mapping[str, str], text: str, longest: int) -> str:
    """Apply SentencePiece's replacements to `text`. `longest`: the length of the longest key, in characters."""
    out, index = [], 0
    while index < len(text):
        for length in range(min(longest, len(text) - index), 0, -1):
            found = rules.get(text[index : index + length])
            if found is not None:
                out.append(found)
                index += length
                break
        else:
            out.append(text[index])
            index += 1
    return "".join(out)


def make_charsmap(rules: Mapping[str, str]) -> bytes:
    """Serialise replacements for Hugging Face's `Precompiled` normaliser."""
    offsets: dict[str, int] = {}
    texts = bytearray()
    root = _Node()
    for key, text in rules.items():
        if text not in offsets:
            offsets[text] = len(texts)
            texts += text.encode() + b"\0"
        node = root
        for byte in key.encode():
            node = node.children.setdefault(byte, _Node())
        node.value = offsets[text]
    units = _build_double_array(root)
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(texts)


@dataclass
class _Node:
    """A trie node: its children by byte, and the value if a key ends here."""

    children: dict[int, _Node] = field(default_factory=dict)
    value: int | None = None


def _build_double_array(root: _Node) -> list[int]:
    """Build a double array of the trie: a unit has its byte, whether a key ends here, and the children's xor offset."""
    units, bases = {0: 0}, set[int]()
    waiting = [(0, 0, root)]
    free, free_for_many = 1, 1
    while waiting:
        index, label, node = waiting.pop()
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
        units[index] = (base ^ index) << 10 | (node.value is not None) << 8 | label
        if node.value is not None:
            units[base] = 1 << 31 | node.value
        for byte, child in node.children.items():
            units[base ^ byte] = 0
            waiting.append((base ^ byte, byte, child))
    n = (max(*units, *bases) | 0xFF) + 1  # all lookups stay in the array
    return [units.get(index, 0) for index in range(n)]
