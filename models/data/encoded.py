"""A split of a corpus as token ids: in memory, or for a large corpus in files beside it, which are mapped into memory.

The files of a split are in encoded/<first 12 digits of the tokenizer's SHA-256>/ of the corpus's folder: train.ids
(uint16, or uint32 for a larger vocabulary), and for examples train.starts (int64: where each begins, and the end of the
last) and train.reply (uint8, where there are conversations). train.json says how much of them is written, and what they
were made of: whoever was interrupted goes on from there. One process writes; others wait for it. No torch import.
"""

from __future__ import annotations

import hashlib
import os
import time
from codecs import getincrementaldecoder
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from tokenizers import Tokenizer

from models.chat.own_template import encode_conversations
from models.data.blocks import check_room
from models.data.corpus import Corpus, Example
from models.events import Event, Phase, Progress, result_of
from models.files.atomic import atomic_write_json, read_json
from models.tokenizers import encode_text, encode_texts
from models.tokenizers.codec import text_parts
from models.tokenizers.special_tokens import end_id

FORMAT = 1
"""Of the files. Where texts or conversations are encoded otherwise, a higher one has all of them made anew."""

GROUP_BYTES = 1 << 19
"""Text that is encoded at once, which bounds memory use and the delay of a cancellation."""

COMMIT_BYTES = 1 << 24
"""Text after which train.json is written anew: at most so much is encoded again after a kill."""

_WAIT_S = 0.2

Ids = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class EncodedSplit:
    """One split of a corpus as token ids (n,): of one long text, or of examples one after another.

    `starts` (examples + 1,) says where each example begins; None for one text. An example has its end token `end`.
    `reply` (n,): whether a token belongs to a reply, None where all count as such. `n_bytes`: UTF-8 bytes of the text.
    `on_disk`: the arrays are files mapped into memory, of which only small parts may be read at once.
    """

    split: str
    n_bytes: int
    ids: Ids
    starts: npt.NDArray[np.int64] | None = None
    reply: Ids | None = None
    end: int = -1
    on_disk: bool = False

    @property
    def n_tokens(self) -> int:
        """Number of tokens in the split."""
        return len(self.ids)

    @property
    def n_examples(self) -> int:
        """Number of examples; 0 of one text."""
        return 0 if self.starts is None else len(self.starts) - 1

    def lengths(self, at_most: int) -> npt.NDArray[np.int64]:
        """The lengths in tokens of the examples (n,), of more than `at_most` of an evenly spread sample."""
        assert self.starts is not None
        first = np.arange(0, self.n_examples, max(1, -(-self.n_examples // at_most)))
        return np.asarray(self.starts[first + 1] - self.starts[first])


def encode_split(corpus: Corpus, tokenizer: Tokenizer, split: str) -> EncodedSplit:
    """As `encode_split_events`, which it waits for."""
    return result_of(encode_split_events(corpus, tokenizer, split))


def encode_split_events(corpus: Corpus, tokenizer: Tokenizer, split: str) -> Generator[Event, None, EncodedSplit]:
    """A split of a corpus, tokenized. Yields Phase and Progress (bytes) while a large one is encoded, the first time.

    Raises:
        ValueError: where a file is damaged, the disk has no room, or the tokenizer cannot separate examples.
    """
    end = end_id(tokenizer)
    if corpus.kind == "examples" and end is None:
        raise ValueError("This tokenizer has no end token, so it cannot separate examples: use another tokenizer.")
    if corpus.is_large:
        return (yield from _EncodedFiles(corpus, tokenizer, split).encode())
    if corpus.kind == "text":
        text = corpus.read_text(split)
        ids = np.array(encode_text(tokenizer, text), dtype=np.int64)
        return EncodedSplit(split=split, n_bytes=len(text.encode()), ids=ids)
    examples = corpus.read_examples(split)
    ordered = [example for kind in ("text", "messages") for example in examples if kind in example]
    part = _encode_examples(tokenizer, ordered)
    reply = np.array(part.reply, dtype=np.uint8)
    return EncodedSplit(
        split=split,
        n_bytes=part.n_bytes,
        ids=np.array(part.ids, dtype=np.int64),
        starts=np.array([0, *accumulate(part.lengths)], dtype=np.int64),
        reply=None if reply.all() else reply,
        end=-1 if end is None else end,
    )


class _Part(NamedTuple):
    """A part of a split: its ids, the length of each example, whether each token is a reply, the bytes of its text."""

    ids: list[int]
    lengths: list[int]
    reply: list[bool]
    n_bytes: int


def _encode_examples(tokenizer: Tokenizer, examples: Sequence[Example]) -> _Part:
    """Plain texts, each with an end token, and conversations."""
    end = end_id(tokenizer)
    assert end is not None
    plain = iter(encode_texts(tokenizer, [" " + example["text"].strip() for example in examples if "text" in example]))
    chats = iter(encode_conversations(tokenizer, [row["messages"] for row in examples if "messages" in row]))
    ids, lengths, reply, n_bytes = list[int](), list[int](), list[bool](), 0
    for example in examples:
        if "text" in example:
            new = [*next(plain), end]
            flags = [True] * len(new)
            n_bytes += len(example["text"].encode())
        elif "messages" in example:
            new, flags = next(chats)
            n_bytes += sum(len(message["content"].encode()) for message in example["messages"])
        else:
            continue
        ids += new
        reply += flags
        lengths.append(len(new))
    return _Part(ids, lengths, reply, n_bytes)


@dataclass(kw_only=True)
class _Written:
    """How much of a split is encoded: `offset` bytes of its file and `n_rows` lines, which gave `n_tokens` …"""

    offset: int = 0
    n_rows: int = 0
    n_examples: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    done: bool = False


class _EncodedFiles:
    """The files of one split of a large corpus, encoded with one tokenizer."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, split: str) -> None:
        self._corpus, self._tokenizer, self._split = corpus, tokenizer, split
        self._digest = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
        self._folder = corpus.folder / "encoded" / self._digest[:12]
        self._about = self._folder / f"{split}.json"
        self._dtype = np.dtype("<u2" if max(tokenizer.get_vocab().values(), default=0) < 1 << 16 else "<u4")
        self._is_text, self._has_reply = corpus.kind == "text", corpus.has_chats

    def encode(self) -> Generator[Event, None, EncodedSplit]:
        """The split, encoded where it is not yet, or not to its end."""
        written = self._read_about()
        if not written.done:
            yield Phase(name="Encoding the text")
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / f"{self._split}.lock", thread_local=False)
            total = self._corpus.path(self._split).stat().st_size
            while not _acquired(lock):  # another process encodes it, maybe another one of this run
                yield Progress(done=self._read_about().offset, total=total)
                time.sleep(_WAIT_S)
            try:
                written = self._read_about()
                if not written.done:
                    yield from self._write(written)
            finally:
                lock.release()
        return self._opened(written)

    def _opened(self, written: _Written) -> EncodedSplit:
        end = end_id(self._tokenizer)
        return EncodedSplit(
            split=self._split,
            n_bytes=written.n_bytes,
            ids=_mapped(self._file("ids"), self._dtype),
            starts=None if self._is_text else _mapped(self._file("starts"), np.dtype("<i8")),
            reply=_mapped(self._file("reply"), np.dtype(np.uint8)) if self._has_reply else None,
            end=-1 if end is None else end,
            on_disk=True,
        )

    def _read_about(self) -> _Written:
        """How much is written, as far as the files still have that; nothing where train.json is missing or damaged."""
        try:
            about = read_json(self._about)
            if (about.pop("format"), about.pop("tokenizer")) != (FORMAT, self._digest):
                return _Written()
            written = _Written(**about)
            if any(self._file(name).stat().st_size < size for name, size in self._sizes(written).items()):
                return _Written()
        except (ValueError, KeyError, TypeError, OSError):
            return _Written()
        return written

    def _sizes(self, written: _Written) -> dict[str, int]:
        """The size of each file, in bytes."""
        sizes = {"ids": written.n_tokens * self._dtype.itemsize}
        if not self._is_text:
            sizes["starts"] = 8 * (written.n_examples + 1)
        if self._has_reply:
            sizes["reply"] = written.n_tokens
        return sizes

    def _write(self, written: _Written) -> Generator[Event, None, None]:
        """Encode what is missing; closing the generator keeps what is done."""
        total = self._corpus.path(self._split).stat().st_size
        with ExitStack() as stack:
            files = {}
            for name, size in self._sizes(written).items():
                files[name] = stack.enter_context(self._file(name).open("r+b" if size and written.offset else "w+b"))
                files[name].truncate(size)  # what was written after train.json is written again
                files[name].seek(size)
            if not written.offset and not self._is_text:
                files["starts"].seek(0)
                files["starts"].write(bytes(8))
            committed = written.offset
            is_first = True
            yield Progress(done=written.offset, total=total)
            for part, offset, n_rows in self._parts(written):
                if is_first:
                    size = sum(self._sizes(_Written(n_tokens=len(part.ids), n_examples=len(part.lengths))).values())
                    share = (total - written.offset) / max(1, offset - written.offset)
                    check_room(self._folder, int(size * share), "The encoded text")
                    is_first = False
                files["ids"].write(np.array(part.ids, dtype=self._dtype).tobytes())
                if not self._is_text:
                    ends = [written.n_tokens + end for end in accumulate(part.lengths)]
                    files["starts"].write(np.array(ends, dtype="<i8").tobytes())
                if self._has_reply:
                    files["reply"].write(np.array(part.reply, dtype=np.uint8).tobytes())
                written.offset, written.n_rows = offset, n_rows
                written.n_tokens += len(part.ids)
                written.n_examples += len(part.lengths)
                written.n_bytes += part.n_bytes
                if offset - committed >= COMMIT_BYTES:
                    self._commit(written, files)
                    committed = offset
                yield Progress(done=offset, total=total)
            written.done = True
            self._commit(written, files)

    def _commit(self, written: _Written, files: dict[str, Any]) -> None:
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        atomic_write_json(self._about, {"format": FORMAT, "tokenizer": self._digest, **vars(written)})

    def _parts(self, written: _Written) -> Iterator[tuple[_Part, int, int]]:
        """What is not encoded yet, in parts, each with the byte and the line of the file after it."""
        if self._is_text:
            yield from ((part, offset, 0) for part, offset in self._text_parts(written.offset))
            return
        rows, done = self._corpus.rows(self._split), written.n_rows
        for group in rows.groups(done, GROUP_BYTES):
            done += len(group)
            yield _encode_examples(self._tokenizer, group), rows.offset(done), done

    def _text_parts(self, offset: int) -> Iterator[tuple[_Part, int]]:
        """One long text, cut where that changes no token; after a line for a tokenizer that has no such place."""
        decode = getincrementaldecoder("utf-8")().decode
        rest = ""
        for chunk in self._corpus.file(self._split).chunks(offset):
            rest += decode(chunk)
            if len(rest) < GROUP_BYTES:
                continue
            *whole, rest = text_parts(self._tokenizer, rest)
            if not whole:
                line_end = rest.rfind("\n") + 1 or len(rest)
                whole, rest = [rest[:line_end]], rest[line_end:]
            part = self._encode_text(whole)
            offset += part.n_bytes
            yield part, offset
        if rest:
            part = self._encode_text(text_parts(self._tokenizer, rest))
            yield part, offset + part.n_bytes

    def _encode_text(self, parts: Sequence[str]) -> _Part:
        encodings = self._tokenizer.encode_batch_fast(parts, add_special_tokens=False)
        return _Part([id for found in encodings for id in found.ids], [], [], sum(len(p.encode()) for p in parts))

    def _file(self, name: str) -> Path:
        return self._folder / f"{self._split}.{name}"


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _mapped(path: Path, dtype: np.dtype[Any]) -> Ids:
    return np.memmap(path, dtype, "r") if path.stat().st_size else np.empty(0, dtype)
