"""Text ↔ ids ↔ bytes: encoding that people cannot trick, exact pieces for display, and decoding while it streams.

Where a tokenizer keeps every byte of a text, its pieces tile it. Where it does not (it makes capitals small, drops
spaces, knows not every character), they lie where it says that they came from: with gaps, or over one another.
"""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers import models as cores
from tokenizers.decoders import DecodeStream

from models.tokenizers.token_bytes import BYTE_TOKENS, TokenBytes, parts_of, special_ids

SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
"""The ids 0 to 4 of every tokenizer of ours, in this order."""

_CUT_ABOVE = 200_000
"""Texts of more characters than this are encoded in parts: on all cores, and without one huge record of offsets."""

_CUT_EVERY = 50_000
_CUT_PLACES = (
    (re.compile(r"(?<=\S)(?= \S)"), ("a", " a")),
    (re.compile(r"(?<=\S)\n(?=\S)"), ("a\n", "a")),
)
"""Before a lone space, after a lone line break: borders of words, and a text that shows whether a tokenizer agrees."""

_DECODED_AT_ONCE = 10_000  # tokens
_AT_ONCE = 16  # parts, so that all cores have work
_HARMLESS = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"}
"""Normalisers that never reach across a line break."""
_VISIBLE = {" ": "·", "\t": "⇥", "\n": "⏎", "\r": "␍"}


class Piece(NamedTuple):
    """One token of a text: its bytes, where it lies in the UTF-8 text (byte offsets), and how to show it.

    `display` marks spaces (· ⇥ ⏎) and writes bytes that are no whole character as ⟨E2⟩.
    """

    id: int
    bytes: bytes
    start: int
    end: int
    display: str
    special: bool = False


def whole_characters(text: str) -> str:
    """`text` with halves of characters (lone surrogates, as JSON and Qt can hand them out) replaced by U+FFFD each.

    Neither UTF-8 nor tokenizers take them.
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of what somebody wrote. A text that spells a special token is encoded as its characters, never as it."""
    return [id for part in literal_parts(tokenizer, text) for id in _encode_plain(tokenizer, part)]


def text_parts(tokenizer: Tokenizer, text: str) -> list[str]:
    """A text in parts that have the ids of `encode_text` when they are encoded one by one, on all cores."""
    return [part for whole in literal_parts(tokenizer, text) for part in _parts(tokenizer, whole)]


def literal_parts(tokenizer: Tokenizer, text: str) -> list[str]:
    """A text in parts that spell no special token: encoded one by one, what somebody wrote stays what it is."""
    specials = [content for content in special_ids(tokenizer).values() if len(content) > 1 and content in text]
    if not specials:
        return [text]
    # Cutting every mention after its first character hides it from the tokenizer, and loses nothing.
    pattern = re.compile("|".join(f"(?={re.escape(content)})" for content in specials))
    cuts = [0, *(match.start() + 1 for match in pattern.finditer(text)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a prompt in which special tokens are meant: “<|user|>” becomes one token.

    Raises:
        ValueError: where there is half of a character in it (a lone surrogate), which UTF-8 cannot say.
    """
    try:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    except TypeError as error:
        raise ValueError("The text has half of a character in it: write it anew there, or take that out.") from error
    return ids


def _encode_plain(tokenizer: Tokenizer, text: str) -> list[int]:
    parts = _parts(tokenizer, text)
    if len(parts) == 1:
        return encode_prompt(tokenizer, text)
    encodings = tokenizer.encode_batch_fast(parts, add_special_tokens=False)
    return [id for encoding in encodings for id in encoding.ids]


def _parts(tokenizer: Tokenizer, text: str) -> list[str]:
    """A long text cut where that changes no token; a short one whole."""
    cut = _cut_place(tokenizer) if len(text) > _CUT_ABOVE else None
    if cut is None:
        return [text]
    parts, start = [], 0
    while start < len(text):
        place = cut.search(text, start + _CUT_EVERY)
        end = place.end() if place else len(text)
        parts.append(text[start:end])
        start = end
    return parts


def _cut_place(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    """Where a text can be cut and encoded in parts with the same ids as in one; None for nowhere."""
    if not {step["type"] for step in parts_of(tokenizer.normalizer)} <= _HARMLESS:
        return None
    return next((place for place, probe in _CUT_PLACES if _can_be_cut(tokenizer, *probe)), None)


def _can_be_cut(tokenizer: Tokenizer, before: str, after: str) -> bool:
    """Whether a border that every pre-tokenizer in use makes is one to this tokenizer."""
    if tokenizer.pre_tokenizer is not None:
        spans = [span for _, span in tokenizer.pre_tokenizer.pre_tokenize_str(before + after)]
        if any(start < len(before) < end for start, end in spans) and has_merges(tokenizer):
            return False
    elif has_merges(tokenizer):
        return False
    # Some foreign ones put a space before whatever they are given.
    return encode_prompt(tokenizer, before) + encode_prompt(tokenizer, after) == encode_prompt(
        tokenizer, before + after
    )


def has_merges(tokenizer: Tokenizer) -> bool:
    """Whether any token spans more than one byte or character; True for all kinds but byte and character."""
    if not isinstance(tokenizer.model, cores.BPE):
        return True
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    tokens = (token for token in tokenizer.get_vocab(with_added_tokens=False) if len(token) > 1 and token not in added)
    return any(not (tokenizer.model.byte_fallback and token in BYTE_TOKENS) for token in tokens)


def decode(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """The text of the ids, special tokens written out; the exact inverse of encoding where the tokenizer has one.

    Raises:
        ValueError: for an id that the tokenizer does not have.
    """
    table = TokenBytes(tokenizer)
    if table.tile_the_text:
        # Part by part, as in EncodedText: a list of millions would hold up other threads.
        at, parts = iter(ids), list[bytes]()
        while part := [table[id] for id in itertools.islice(at, _DECODED_AT_ONCE)]:
            parts.append(b"".join(part))
        return b"".join(parts).decode("utf-8", errors="replace")
    ids = list(ids)
    for id in set(ids):
        table[id]  # raises for what there is not
    # As a batch of one: unlike `decode`, that lets other threads run meanwhile (0.6 s for 5 MB).
    text: str = tokenizer.decode_batch([ids], skip_special_tokens=False)[0]
    return text


def token_pieces(tokenizer: Tokenizer, text: str, *, parse_special: bool = True) -> list[Piece]:
    """The tokens of a text, in order; they tile it where the tokenizer keeps every byte.

    Where `parse_special` is true, “<|end|>” in the text is shown as the special token, else as its characters.
    """
    pieces: list[Piece] = []
    for ids, starts, ends in placed_parts(tokenizer, text, parse_special=parse_special):
        places = zip(pieces_of(tokenizer, ids), starts, ends, strict=True)
        pieces += [piece._replace(start=start, end=end) for piece, start, end in places]
    return pieces


def placed_parts(
    tokenizer: Tokenizer, text: str, *, parse_special: bool = True
) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """As `token_pieces`, as three lists for each part of a long text, one after the other.

    The ids, and where in the whole UTF-8 text each token starts and ends, in bytes.
    """
    parts = _parts(tokenizer, text) if parse_special else text_parts(tokenizer, text)
    table, at = TokenBytes(tokenizer), 0
    for i in range(0, len(parts), _AT_ONCE):
        batch = parts[i : i + _AT_ONCE]
        for part, encoding in zip(batch, tokenizer.encode_batch(batch, add_special_tokens=False), strict=True):
            ids, data = encoding.ids, part.encode()
            spelled = [table[id] for id in ids]
            if b"".join(spelled) == data:
                edges = list(itertools.accumulate(map(len, spelled), initial=at))
                yield ids, edges[:-1], edges[1:]
            else:
                widths = (1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff") for c in part)  # in UTF-8
                byte_at = list(itertools.accumulate(widths, initial=at))
                offsets = encoding.offsets
                yield ids, [byte_at[start] for start, _ in offsets], [byte_at[end] for _, end in offsets]
            at += len(data)


def pieces_of(tokenizer: Tokenizer, ids: Iterable[int]) -> list[Piece]:
    """Ids as pieces that lie one after the other."""
    table, specials = TokenBytes(tokenizer), special_ids(tokenizer)
    shows_marks = isinstance(tokenizer.model, cores.WordPiece)
    known: dict[int, tuple[bytes, str, bool]] = {}
    pieces, start = [], 0
    for id in ids:
        if id not in known:
            special = id in specials
            data = table[id]
            shown = (tokenizer.id_to_token(id) or "").encode() if shows_marks else data
            known[id] = (data, f"⟨{specials[id].strip('<|>')}⟩" if special else show_bytes(shown), special)
        data, display, special = known[id]
        end = start + len(data)
        pieces.append(Piece(id, data, start, end, display, special))
        start = end
    return pieces


def show_bytes(data: bytes) -> str:
    """Bytes as text in which everything can be seen: · for a space, ⟨E2⟩ for a byte that is no whole character."""
    shown = "".join(_show_character(character) for character in data.decode("utf-8", errors="surrogateescape"))
    is_mark = shown and unicodedata.category(shown[0]) in ("Mn", "Me")  # an accent that belongs on what came before
    return "◌" + shown if is_mark else shown


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
        self._tokenizer = tokenizer
        self._bytes = TokenBytes(tokenizer)
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stream = None if self._bytes.tile_the_text else DecodeStream(skip_special_tokens=False)
        self._ids: list[int] = []
        self._n_told = 0

    def add(self, id: int) -> str:
        """The text that this token completes: "" while a character is still incomplete.

        "", too, for an id that is no token: some models have a larger vocabulary than their tokenizer.
        """
        if self._tokenizer.id_to_token(id) is None:
            return ""
        data = self._bytes[id]
        if self._stream is None:
            return self._utf8.decode(data)
        self._ids.append(id)
        text = self._stream.step(self._tokenizer, id) or ""
        self._n_told += len(text)
        return text

    def finish(self) -> str:
        """What stands for a character that stays incomplete: "�", or "" where there is none."""
        if self._stream is None:
            return self._utf8.decode(b"", final=True)
        return decode(self._tokenizer, self._ids)[self._n_told :]
