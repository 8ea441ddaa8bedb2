"""Text ↔ ids ↔ bytes: encoding safe against injected special tokens, exact pieces for display, streaming decoding.

If a tokenizer preserves every byte of a text, its pieces tile the text. If not (lowercasing, dropped spaces, unknown
characters), they lie at the offsets that it reports, with gaps or overlaps.
"""

from __future__ import annotations

import codecs
import itertools
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer
from tokenizers import models as cores
from tokenizers.decoders import DecodeStream

from terrarium.models.tokenizers.token_bytes import BYTE_TOKENS, TokenBytes, component_steps, special_ids

SPECIAL_TOKENS = ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>")
"""The tokens 0 to 4 of every tokenizer trained here, in this order."""

_CUT_ABOVE = 200_000
"""Texts of more characters than this are encoded in parts: on all cores, and without one huge array of offsets."""

_CUT_EVERY = 50_000
_CUT_POINTS = (
    (re.compile(r"(?<=\S)(?= \S)"), ("a", " a")),
    (re.compile(r"(?<=\S)\n(?=\S)"), ("a\n", "a")),
)
"""Word boundaries (before a single space, after a single line break), each with a probe to test a tokenizer with."""

_PROBES = ("a", "Zeit", "é", "7", "1984", ".", "!?", "'s", "-", "_", "(", "中", "👍")
"""Words of all kinds that pre-tokenizers tell apart."""

_DECODE_BATCH_SIZE = 10_000  # tokens
_BATCH_SIZE = 16  # parts per call, enough to keep all cores busy
_LOCAL_NORMALIZERS = {"NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer"}
"""Normalisers that never change text across a line break."""
MARKS = {" ": "·", "\t": "⇥", "\n": "⏎", "\r": "␍"}
"""How white space is shown."""


_WITHIN_WORD = re.compile(r"(?:(?![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff])[^\W_]){2}")
"""Two letters or digits, but not of scripts without spaces: Thai, Lao, Burmese, Khmer, Chinese and Japanese."""


class Piece(NamedTuple):
    """One token of a text: its bytes, its byte offsets in the UTF-8 text, and how to display it.

    `display` marks white space (· ⇥ ⏎) and writes bytes that are not a whole character as ⟨E2⟩.
    """

    id: int
    bytes: bytes
    start: int
    end: int
    display: str
    special: bool = False


def replace_surrogates(text: str) -> str:
    """Replace the lone surrogates of `text`, which JSON and Qt can produce, with U+FFFD.

    They cannot be encoded as UTF-8, and tokenizers reject them.
    """
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode untrusted text as token ids: a special token spelled out in it is encoded as plain characters."""
    return [id for part in literal_parts(tokenizer, text) for id in _encode_plain(tokenizer, part)]


def words_of(tokenizer: Tokenizer, ids: Sequence[int]) -> list[range]:
    """Return the positions of each word's tokens, in order.

    Adjacent letters and digits form one word, such as “sang” in two pieces. Every other token is a word of its own, as
    are tokens of scripts without spaces between words. The decoder decides whether a space separates two tokens, so
    “##s” belongs to the token before it.
    """
    special, words = special_ids(tokenizer), list[range]()
    for i, id in enumerate(ids):
        if i and id not in special and ids[i - 1] not in special:
            before, both = tokenizer.decode([ids[i - 1]]), tokenizer.decode([ids[i - 1], id])
            if _WITHIN_WORD.match(before[-1:] + both.removeprefix(before)[:1]):
                words[-1] = range(words[-1].start, i + 1)
                continue
        words.append(range(i, i + 1))
    return words


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Encode many texts as by `encode_text`, on all cores."""
    if any(content in text for content in special_ids(tokenizer).values() for text in texts):
        parts = [text_parts(tokenizer, text) for text in texts]
    else:
        parts = [_parts(tokenizer, text) for text in texts]
    encodings = iter(tokenizer.encode_batch_fast([part for some in parts for part in some], add_special_tokens=False))
    return [[id for _ in some for id in next(encodings).ids] for some in parts]


def text_parts(tokenizer: Tokenizer, text: str) -> list[str]:
    """Split a text into parts that, encoded one by one (on all cores), give the same ids as `encode_text`."""
    return [part for whole in literal_parts(tokenizer, text) for part in _parts(tokenizer, whole)]


def literal_parts(tokenizer: Tokenizer, text: str) -> list[str]:
    """Split a text so that no part spells a special token: encoded one by one, the parts stay plain text."""
    specials = [content for content in special_contents(tokenizer) if content in text]
    if not specials:
        return [text]
    # Cutting each mention after its first character hides it from the tokenizer, and loses nothing.
    pattern = re.compile("|".join(f"(?={re.escape(content)})" for content in specials))
    cuts = [0, *(match.start() + 1 for match in pattern.finditer(text)), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(cuts)]


def special_contents(tokenizer: Tokenizer) -> list[str]:
    """Return the special tokens that a text can spell; one of a single character cannot be distinguished from it."""
    return [content for content in special_ids(tokenizer).values() if len(content) > 1]


def encode_prompt(tokenizer: Tokenizer, text: str) -> list[int]:
    """Encode a trusted prompt, in which special tokens are parsed: “<|user|>” becomes one token.

    Raises:
        ValueError: if the text contains a lone surrogate, which UTF-8 cannot encode.
    """
    try:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    except TypeError as error:
        raise ValueError("The text contains half a character (a lone surrogate): delete or retype it.") from error
    return ids


def _encode_plain(tokenizer: Tokenizer, text: str) -> list[int]:
    parts = _parts(tokenizer, text)
    if len(parts) == 1:
        return encode_prompt(tokenizer, text)
    encodings = tokenizer.encode_batch_fast(parts, add_special_tokens=False)
    return [id for encoding in encodings for id in encoding.ids]


def _parts(tokenizer: Tokenizer, text: str) -> list[str]:
    """Split a long text where this changes no token; return a short text as one part."""
    cut = _cut_point(tokenizer) if len(text) > _CUT_ABOVE else None
    if cut is None:
        return [text]
    parts, start = [], 0
    while start < len(text):
        match = cut.search(text, start + _CUT_EVERY)
        end = match.end() if match else len(text)
        parts.append(text[start:end])
        start = end
    return parts


def _cut_point(tokenizer: Tokenizer) -> re.Pattern[str] | None:
    """Return the pattern of positions where a text can be split without changing its ids, or None."""
    if not {step["type"] for step in component_steps(tokenizer.normalizer)} <= _LOCAL_NORMALIZERS:
        return None
    return next((pattern for pattern, probe in _CUT_POINTS if _can_be_cut(tokenizer, [probe])), None)


def can_be_cut_at_spaces(tokenizer: Tokenizer) -> bool:
    """Return whether splitting any text before each single space between words preserves its ids."""
    if not {step["type"] for step in component_steps(tokenizer.normalizer)} <= _LOCAL_NORMALIZERS:
        return False
    if isinstance(tokenizer.model, cores.BPE) and tokenizer.model.dropout:
        return False  # BPE dropout is random
    for token in tokenizer.get_added_tokens_decoder().values():
        if re.search(r"\S ", token.content) or token.single_word or token.lstrip or token.rstrip:
            return False
    return _can_be_cut(tokenizer, [(before, f" {after}") for before in _PROBES for after in _PROBES])


def _can_be_cut(tokenizer: Tokenizer, probes: Sequence[tuple[str, str]]) -> bool:
    """Return whether this tokenizer has a word boundary between the two texts of each probe."""

    def can_cross(before: str, after: str) -> bool:
        """Return whether the pre-tokenizer allows a token to cross the boundary."""
        if tokenizer.pre_tokenizer is None:
            return True
        spans = tokenizer.pre_tokenizer.pre_tokenize_str(before + after)
        return any(start < len(before) < end for _, (start, end) in spans)

    if any(can_cross(*probe) for probe in probes) and has_merges(tokenizer):
        return False
    # Some imported tokenizers prepend a space to every text.
    texts = list(dict.fromkeys(text for before, after in probes for text in (before, after, before + after)))
    encodings = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
    ids = {text: encoding.ids for text, encoding in zip(texts, encodings, strict=True)}
    return all(ids[before] + ids[after] == ids[before + after] for before, after in probes)


def has_merges(tokenizer: Tokenizer) -> bool:
    """Return whether any token spans more than one byte or character: false only for byte and character tokenizers."""
    if not isinstance(tokenizer.model, cores.BPE):
        return True
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    tokens = (token for token in tokenizer.get_vocab(with_added_tokens=False) if len(token) > 1 and token not in added)
    return any(not (tokenizer.model.byte_fallback and token in BYTE_TOKENS) for token in tokens)


def decode(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """Decode ids to text, with special tokens written out; the exact inverse of encoding for lossless tokenizers.

    Raises:
        ValueError: for an id that is not in the vocabulary.
    """
    table = TokenBytes(tokenizer)
    if table.tile_the_text:
        # In batches, as in EncodedText: a list of millions would block other threads.
        at, parts = iter(ids), list[bytes]()
        while part := [table[id] for id in itertools.islice(at, _DECODE_BATCH_SIZE)]:
            parts.append(b"".join(part))
        return b"".join(parts).decode("utf-8", errors="replace")
    ids = list(ids)
    for id in set(ids):
        table[id]  # raises if it does not exist
    # As a batch of one: unlike `decode`, that releases the GIL (0.6 s for 5 MB).
    text: str = tokenizer.decode_batch([ids], skip_special_tokens=False)[0]
    return text


def token_pieces(tokenizer: Tokenizer, text: str, *, parse_special: bool = True) -> list[Piece]:
    """Encode a text as pieces, in order; they tile the text if the tokenizer preserves every byte.

    parse_special: “<|end|>” in the text becomes the special token, else plain characters.
    """
    pieces: list[Piece] = []
    for ids, starts, ends in encode_with_offsets(tokenizer, text, parse_special=parse_special):
        located = zip(pieces_of(tokenizer, ids), starts, ends, strict=True)
        pieces += [piece._replace(start=start, end=end) for piece, start, end in located]
    return pieces


def encode_with_offsets(
    tokenizer: Tokenizer, text: str, *, parse_special: bool = True
) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Like `token_pieces`, as (ids, starts, ends) for each part of a long text.

    Starts and ends are byte offsets in the whole UTF-8 text.
    """
    parts = _parts(tokenizer, text) if parse_special else text_parts(tokenizer, text)
    at = 0
    for i in range(0, len(parts), _BATCH_SIZE):
        batch = parts[i : i + _BATCH_SIZE]
        for part, located in zip(batch, encode_all_with_offsets(tokenizer, batch), strict=True):
            ids, starts, ends = located
            yield ids, [at + start for start in starts], [at + end for end in ends]
            at += len(part.encode())


def encode_all_with_offsets(
    tokenizer: Tokenizer, texts: Sequence[str]
) -> Iterator[tuple[list[int], list[int], list[int]]]:
    """Encode texts, parsing special tokens; yield (ids, starts, ends) of each, with byte offsets in the text."""
    table = TokenBytes(tokenizer)
    for text, encoding in zip(texts, tokenizer.encode_batch(list(texts), add_special_tokens=False), strict=True):
        ids = encoding.ids
        spelled = [table[id] for id in ids]
        if b"".join(spelled) == text.encode():
            edges = list(itertools.accumulate(map(len, spelled), initial=0))
            yield ids, edges[:-1], edges[1:]
        else:
            widths = (1 + (c > "\x7f") + (c > "\u07ff") + (c > "\uffff") for c in text)  # in UTF-8
            byte_at = list(itertools.accumulate(widths, initial=0))
            yield ids, [byte_at[start] for start, _ in encoding.offsets], [byte_at[end] for _, end in encoding.offsets]


def pieces_of(tokenizer: Tokenizer, ids: Iterable[int]) -> list[Piece]:
    """Return the pieces of ids, placed one after the other."""
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
    """Bytes as text in which everything is visible: · for a space, ⟨E2⟩ for a byte of an incomplete character."""
    shown = "".join(_show_character(character) for character in data.decode("utf-8", errors="surrogateescape"))
    is_mark = shown and unicodedata.category(shown[0]) in ("Mn", "Me")  # a combining accent without its base
    return "◌" + shown if is_mark else shown


def _show_character(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how surrogateescape marks an invalid byte
        return f"⟨{code - 0xDC00:02X}⟩"
    if character in MARKS:
        return MARKS[character]
    if character.isprintable():
        return character
    return f"⟨{code:02X}⟩" if code < 0x80 else f"⟨U+{code:04X}⟩"


class IncrementalDecoder:
    """Decodes one token at a time; characters that span tokens appear once they are complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = TokenBytes(tokenizer)
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._stream = None if self._bytes.tile_the_text else DecodeStream(skip_special_tokens=False)
        self._ids: list[int] = []
        self._n_emitted = 0

    def add(self, id: int) -> str:
        """Return the text that this token completes; "" while a character is incomplete.

        Also "" for an id without a token: some models have a larger vocabulary than their tokenizer.
        """
        if self._tokenizer.id_to_token(id) is None:
            return ""
        data = self._bytes[id]
        if self._stream is None:
            return self._utf8.decode(data)
        self._ids.append(id)
        text = self._stream.step(self._tokenizer, id) or ""
        self._n_emitted += len(text)
        return text

    def finish(self) -> str:
        """Return the end of the text: "�" if the last character is incomplete, else ""."""
        if self._stream is None:
            return self._utf8.decode(b"", final=True)
        return decode(self._tokenizer, self._ids)[self._n_emitted :]
