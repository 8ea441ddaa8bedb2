"""Text ↔ ids ↔ bytes: encoding that people cannot trick, exact pieces for display, and decoding while it streams.

Works with every byte-complete tokenizer: ours (`models.tokenizers.train`), and foreign ones that are byte-level and put
no space before a text.
"""

from __future__ import annotations

import codecs
import itertools
import re
from collections.abc import Iterable
from typing import NamedTuple

from tokenizers import Tokenizer, decoders

SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
"""The ids 0 to 4 of every tokenizer of ours, in this order."""

_CUT_ABOVE = 200_000
"""Texts of more characters than this are encoded in parts: on all cores, and without one huge record of offsets."""

_CUT_EVERY = 50_000
_CUT_PLACE = re.compile(r"(?<=\S)\n(?=\S)")
_BYTE_TOKEN = re.compile(r"<0x([0-9A-F]{2})>")
_VISIBLE = {" ": "·", "\t": "⇥", "\n": "⏎", "\r": "␍"}


class Piece(NamedTuple):
    """One token of a text: its bytes, where they lie in the UTF-8 text (byte offsets), and how to show it.

    `display` marks spaces (· ⇥ ⏎) and writes bytes that are no whole character as ⟨E2⟩.
    """

    id: int
    bytes: bytes
    start: int
    end: int
    display: str
    special: bool = False


def special_ids(tokenizer: Tokenizer) -> dict[int, str]:
    """The special tokens of a tokenizer, id -> text."""
    return {id: token.content for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of what somebody wrote. A text that spells a special token is encoded as its characters, never as it."""
    specials = [content for content in special_ids(tokenizer).values() if len(content) > 1 and content in text]
    if not specials:
        return _encode_plain(tokenizer, text)
    # Cutting every mention after its first character hides it from the tokenizer, and loses nothing.
    pattern = re.compile("|".join(f"(?={re.escape(content)})" for content in specials))
    cuts = [0, *(match.start() + 1 for match in pattern.finditer(text)), len(text)]
    parts = [text[start:end] for start, end in itertools.pairwise(cuts)]
    return [id for part in parts for id in _encode_plain(tokenizer, part)]


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a prompt in which special tokens are meant: «<|user|>» becomes one token."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def _encode_plain(tokenizer: Tokenizer, text: str) -> list[int]:
    if len(text) <= _CUT_ABOVE or not _can_be_cut(tokenizer):
        return encode_prompt(tokenizer, text)
    # A lone line break between two words is a border to every pre-tokenizer in use, so cutting there changes nothing.
    parts, start = [], 0
    while start < len(text):
        place = _CUT_PLACE.search(text, start + _CUT_EVERY)
        end = place.end() if place else len(text)
        parts.append(text[start:end])
        start = end
    encodings = tokenizer.encode_batch_fast(parts, add_special_tokens=False)
    return [id for encoding in encodings for id in encoding.ids]


def _can_be_cut(tokenizer: Tokenizer) -> bool:
    """Whether a text that is cut after a lone line break and encoded in parts has the same ids as in one."""
    if tokenizer.normalizer is not None:
        return False
    if not isinstance(tokenizer.decoder, decoders.ByteLevel) and tokenizer.pre_tokenizer is not None:
        return False
    # Some foreign ones put a space before whatever they are given.
    return encode_prompt(tokenizer, "a\n") + encode_prompt(tokenizer, "a") == encode_prompt(tokenizer, "a\na")


def decode(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text of the ids, special tokens written out; the exact inverse of encoding.

    Raises:
        ValueError: for an id that the tokenizer does not have.
    """
    table = TokenBytes(tokenizer)
    return b"".join(table[id] for id in ids).decode("utf-8", errors="replace")


class TokenBytes(dict[int, bytes]):
    """id -> the bytes that the token stands for, looked up as needed."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._tokenizer = tokenizer
        self._specials = special_ids(tokenizer)
        self._byte_level = isinstance(tokenizer.decoder, decoders.ByteLevel)
        self._bytes_of = self.alphabet() if self._byte_level else {}

    @staticmethod
    def alphabet() -> dict[str, int]:
        """GPT-2's characters for bytes: printable ones stand for themselves, the others for 256 and up."""
        plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        others = [byte for byte in range(256) if byte not in plain]
        return {chr(byte): byte for byte in plain} | {chr(256 + i): byte for i, byte in enumerate(others)}

    def __missing__(self, id: int) -> bytes:
        token = self._tokenizer.id_to_token(id) if 0 <= id < 2**32 else None
        if token is None:
            size = self._tokenizer.get_vocab_size()
            raise ValueError(f"This tokenizer has no token {id}: its ids go from 0 to {size - 1}.")
        self[id] = value = self._read(id, token)
        return value

    def _read(self, id: int, token: str) -> bytes:
        if id in self._specials:
            return token.encode()
        if self._byte_level:
            return bytes(self._bytes_of[character] for character in token)
        byte = _BYTE_TOKEN.fullmatch(token)
        return bytes([int(byte[1], 16)]) if byte else token.encode()


def token_pieces(tokenizer: Tokenizer, text: str, *, parse_special: bool = True) -> list[Piece]:
    """The tokens of a text, in order; their byte spans tile it exactly.

    Where `parse_special` is true, «<|end|>» in the text is shown as the special token, else as its characters.
    """
    return pieces_of(tokenizer, encode_prompt(tokenizer, text) if parse_special else encode_text(tokenizer, text))


def pieces_of(tokenizer: Tokenizer, ids: Iterable[int]) -> list[Piece]:
    """As `token_pieces`, of ids that exist already."""
    table, specials = TokenBytes(tokenizer), special_ids(tokenizer)
    known: dict[int, tuple[bytes, str, bool]] = {}
    pieces, start = [], 0
    for id in ids:
        if id not in known:
            special = id in specials
            known[id] = (table[id], f"⟨{specials[id].strip('<|>')}⟩" if special else show_bytes(table[id]), special)
        data, display, special = known[id]
        end = start + len(data)
        pieces.append(Piece(id, data, start, end, display, special))
        start = end
    return pieces


def show_bytes(data: bytes) -> str:
    """Bytes as text in which everything can be seen: · for a space, ⟨E2⟩ for a byte that is no whole character."""
    return "".join(_show_character(character) for character in data.decode("utf-8", errors="surrogateescape"))


def _show_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape marks a byte that is no UTF-8
        return f"⟨{code - 0xDC00:02X}⟩"
    if character in _VISIBLE:
        return _VISIBLE[character]
    if character.isprintable():
        return character
    return f"⟨{code:02X}⟩" if code < 0x80 else f"⟨U+{code:04X}⟩"


class IncrementalDecoder:
    """Decodes one token at a time; characters that span tokens appear when they are complete, never broken."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._bytes = TokenBytes(tokenizer)
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def add(self, id: int) -> str:
        """The text that this token completes: "" while a character is still incomplete."""
        return self._utf8.decode(self._bytes[id])

    def finish(self) -> str:
        """What stands for a character that stays incomplete: "�", or "" where there is none."""
        return self._utf8.decode(b"", final=True)
