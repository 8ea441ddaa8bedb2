"""The bytes of a token: undoes byte-level characters, ▁ for spaces, ## for continuations, and <0x41>."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer
from tokenizers import models as cores

SPACE_MARK = "▁"
"""The character for a space within tokens of SentencePiece."""

_JOINED = {"ByteLevel", "ByteFallback", "Fuse", "Metaspace", "Replace"}
"""Decoders that just concatenate the bytes of the tokens."""


def byte_token(byte: int) -> str:
    """Return the token of a byte, as SentencePiece writes it: “<0x41>”."""
    return f"<0x{byte:02X}>"


BYTE_TOKENS = {byte_token(byte): byte for byte in range(256)}
"""token -> byte, for all 256."""


def special_ids(tokenizer: Tokenizer) -> dict[int, str]:
    """Return the special tokens of a tokenizer, id -> text."""
    return {id: token.content for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def component_steps(component: object) -> list[dict[str, Any]]:
    """Return the flattened steps of a normaliser, pre-tokenizer or decoder, as in its JSON; none for None."""
    if component is None:
        return []
    state: Any = component.__getstate__()
    steps: list[dict[str, Any]] = []
    waiting = [json.loads(state)]
    while waiting:
        step = waiting.pop(0)
        nested = step.get("decoders") or step.get("pretokenizers") or step.get("normalizers")
        if nested:
            waiting[:0] = nested
        else:
            steps.append(step)
    return steps


class TokenBytes(dict[int, bytes]):
    """A mapping id -> bytes of the token, filled lazily."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._added = {id: token.content for id, token in tokenizer.get_added_tokens_decoder().items()}
        steps = component_steps(tokenizer.decoder)
        types = {step["type"] for step in steps}
        self._bytes_of = self.alphabet() if "ByteLevel" in types else {}
        self._spells_bytes = "ByteFallback" in types
        self._mark = next((mark for mark in map(_space_mark, steps) if mark), None)
        core = tokenizer.model
        self._continues = core.continuing_subword_prefix if isinstance(core, cores.WordPiece) else None
        self._ends_word = core.end_of_word_suffix if isinstance(core, cores.BPE) else None
        space_steps = [step for step in steps if step["type"] in ("Metaspace", "Replace")]
        self.tile_the_text = (
            bool(types)
            and types <= _JOINED
            and all(step["type"] == "Replace" or step.get("prepend_scheme") == "never" for step in space_steps)
        )
        """Whether decoding just concatenates the bytes of the tokens."""

    @staticmethod
    @functools.cache
    def alphabet() -> Mapping[str, int]:
        """Return GPT-2's alphabet, character -> byte: printable bytes as themselves, others from U+0100 on."""
        plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in plain]
        return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}

    def __missing__(self, id: int) -> bytes:
        token = self._tokenizer.id_to_token(id) if 0 <= id < 2**32 else None
        if token is None:
            size = self._tokenizer.get_vocab_size()
            raise ValueError(f"This tokenizer has no token {id}: ids range from 0 to {size - 1}.")
        self[id] = value = self._read(id, token)
        return value

    def _read(self, id: int, token: str) -> bytes:
        if id in self._added:
            return token.encode()
        if self._bytes_of:
            # Imported vocabularies may have unreachable tokens with characters outside the alphabet.
            try:
                return bytes(map(self._bytes_of.__getitem__, token))
            except KeyError:
                return token.encode()
        if self._spells_bytes and token in BYTE_TOKENS:
            return bytes([BYTE_TOKENS[token]])
        if self._continues:
            token = token.removeprefix(self._continues)
        if self._ends_word and token.endswith(self._ends_word):
            token = token.removesuffix(self._ends_word) + " "
        return (token.replace(self._mark, " ") if self._mark else token).encode()


def _space_mark(step: dict[str, Any]) -> str | None:
    """Return the character that a decoder step turns into a space."""
    if step["type"] == "Metaspace":
        return str(step["replacement"])
    if step["type"] == "Replace" and step["content"] == " ":
        mark: str | None = step["pattern"].get("String")
        return mark
    return None
