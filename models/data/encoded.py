"""A split of a corpus as token ids: in memory, or for a large corpus in files beside it, which are mapped into memory.

The files of a split are in encoded/<12 digits>/ of the corpus's folder, which are of a SHA-256 of the tokenizer and of
the form of examples: train.ids (uint16, or uint32 for a larger vocabulary), and for examples train.starts (int64: where
each begins, and the end of the last) and train.reply (uint8, where only replies count). train.json says how much is
written: whoever was interrupted goes on from there. One process writes; others wait for it. No torch import.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from codecs import getincrementaldecoder
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from tokenizers import Tokenizer

from models.data.blocks import check_room
from models.data.corpus import Corpus, Example
from models.data.examples import EncodedExample, ExampleForm, encode_examples, fit_pair
from models.events import Event, Phase, Progress, result_of
from models.files.atomic import atomic_write_json, read_json
from models.tokenizers import encode_text
from models.tokenizers.codec import text_parts
from models.tokenizers.special_tokens import end_id

FORMAT = 1
"""Of the files. Where texts or conversations are encoded otherwise, a higher one has all of them made anew."""

GROUP_BYTES = 1 << 19
"""Text that is encoded at once, which bounds memory use and the delay of a cancellation."""

_GROUP_ROWS = 2_000

COMMIT_BYTES = 1 << 24
"""Text after which train.json is written anew: at most so much is encoded again after a kill."""

_WAIT_S = 0.2

Integers = npt.NDArray[Any]


class TokenArray(Protocol):
    """Integers in memory (a numpy array) or in a file, of which some can be taken."""

    def __len__(self) -> int:
        """How many there are."""

    def take(self, indices: Integers) -> Integers:
        """Those at these positions, in the shape of `indices`."""


class FileArray:
    """The integers in a file, which is mapped into memory only while some are taken: what was read is not held."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._path, self.dtype = path, dtype
        self._n = path.stat().st_size // dtype.itemsize

    def __len__(self) -> int:
        return self._n

    def take(self, indices: Integers) -> Integers:
        """As of TokenArray; ValueError where the file is gone."""
        if not indices.size:
            return np.empty(indices.shape, self.dtype)
        try:
            return np.asarray(np.memmap(self._path, self.dtype, "r", shape=(self._n,))[indices])
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._path} cannot be read ({error}): delete its folder, and start again.") from error


@dataclass(frozen=True, kw_only=True)
class EncodedSplit:
    """One split of a corpus as token ids (n,): of one long text, or of examples one after another.

    `starts` (examples + 1,) says where each example begins; None for one text. An example has its end token `end`.
    `reply` (n,): whether a token belongs to a reply, None where all count as such. `n_bytes`: UTF-8 bytes of the text.
    `n_cut`: how many pairs have a target that is cut already. `on_disk`: the arrays are files.
    """

    split: str
    n_bytes: int
    ids: TokenArray
    starts: TokenArray | None = None
    reply: TokenArray | None = None
    end: int = -1
    n_cut: int = 0
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
        return np.asarray(self.starts.take(first + 1) - self.starts.take(first))


class PackedExamples(NamedTuple):
    """Examples one after another: ids (n,), starts (examples + 1,), reply (n,) uint8."""

    ids: Integers
    starts: Integers
    reply: Integers


def pack_examples(examples: Sequence[EncodedExample]) -> PackedExamples:
    """Examples as arrays."""
    return PackedExamples(
        ids=np.array([id for ids, _ in examples for id in ids], dtype=np.int64),
        starts=np.array([0, *accumulate(len(ids) for ids, _ in examples)], dtype=np.int64),
        reply=np.array([flag for _, reply in examples for flag in reply], dtype=np.uint8),
    )


def encode_split(corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm | None = None) -> EncodedSplit:
    """As `encode_split_events`, which it waits for."""
    return result_of(encode_split_events(corpus, tokenizer, split, form))


def encode_split_events(
    corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm | None = None
) -> Generator[Event, None, EncodedSplit]:
    """A split of a corpus, tokenized in the form in which a model reads examples.

    Yields Phase and Progress (bytes) while a large one is encoded, the first time.

    Raises:
        ValueError: where a file is damaged, the disk has no room, or as `encode_examples`.
    """
    form = form or ExampleForm()
    if corpus.is_large:
        return (yield from _EncodedFiles(corpus, tokenizer, split, form).encode())
    if corpus.kind == "text":
        text = corpus.read_text(split)
        ids = np.array(encode_text(tokenizer, text), dtype=np.int64)
        return EncodedSplit(split=split, n_bytes=len(text.encode()), ids=ids)
    return _in_memory(corpus, tokenizer, split, form)


def _in_memory(corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm) -> EncodedSplit:
    """The examples of a small corpus, plain texts first, then pairs and conversations as `encode_examples` has them."""
    rows = corpus.read_examples(split)
    plain, others = [row for row in rows if "text" in row], [row for row in rows if "text" not in row]
    groups = [plain[i : i + _GROUP_ROWS] for i in range(0, len(plain), _GROUP_ROWS)]
    packed, n_bytes, n_cut = list[PackedExamples](), 0, 0
    for group in (*groups, others):
        examples, more_bytes, more_cut = _encode(group, tokenizer, form)
        packed.append(pack_examples(examples))  # arrays take less memory than lists
        n_bytes, n_cut = n_bytes + more_bytes, n_cut + more_cut
    lengths = np.concatenate([np.diff(part.starts) for part in packed])
    reply = np.concatenate([part.reply for part in packed])
    return EncodedSplit(
        split=split,
        n_bytes=n_bytes,
        ids=np.concatenate([part.ids for part in packed]),
        starts=np.concatenate([np.zeros(1, dtype=np.int64), lengths.cumsum()]),
        reply=None if reply.all() else reply,
        end=end_id(tokenizer) or 0,
        n_cut=n_cut,
    )


def _encode(rows: Sequence[Example], tokenizer: Tokenizer, form: ExampleForm) -> tuple[list[EncodedExample], int, int]:
    """The examples, pairs cut to the context; how many bytes of text they have, and how many targets are cut."""
    examples, n_bytes = encode_examples(rows, tokenizer, form)
    if not form.pairs_apart or form.model is None or not any("target" in row for row in rows):
        return examples, n_bytes, 0
    fitted = [fit_pair(example, form.model.context_length) for example in examples]
    n_cut = sum(sum(after) < sum(before) for (_, before), (_, after) in zip(examples, fitted, strict=True))
    return fitted, n_bytes, n_cut


class _Part(NamedTuple):
    """A part of a split, of `n_bytes` of text: examples, or a part of one text as an example."""

    examples: Sequence[EncodedExample]
    n_bytes: int
    n_cut: int = 0


@dataclass(kw_only=True)
class _Written:
    """How much of a split is encoded: `offset` bytes of its file and `n_rows` lines, which gave `n_tokens` …"""

    offset: int = 0
    n_rows: int = 0
    n_examples: int = 0
    n_tokens: int = 0
    n_bytes: int = 0
    n_cut: int = 0
    done: bool = False


class _EncodedFiles:
    """The files of one split of a large corpus, encoded with one tokenizer."""

    def __init__(self, corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm) -> None:
        self._corpus, self._tokenizer, self._split, self._form = corpus, tokenizer, split, form
        made_with = [tokenizer.to_str(), *([] if corpus.kind == "text" else _identity(form, tokenizer))]
        self._digest = hashlib.sha256(json.dumps(made_with).encode()).hexdigest()
        self._folder = corpus.folder / "encoded" / self._digest[:12]
        self._about = self._folder / f"{split}.json"
        self._dtype = np.dtype("<u2" if max(tokenizer.get_vocab().values(), default=0) < 1 << 16 else "<u4")
        self._is_text = corpus.kind == "text"
        self._has_reply = corpus.has_chats or corpus.task not in ("", "language")

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
        return EncodedSplit(
            split=self._split,
            n_bytes=written.n_bytes,
            ids=FileArray(self._file("ids"), self._dtype),
            starts=None if self._is_text else FileArray(self._file("starts"), np.dtype("<i8")),
            reply=FileArray(self._file("reply"), np.dtype(np.uint8)) if self._has_reply else None,
            end=end_id(self._tokenizer) or 0,
            n_cut=written.n_cut,
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
                packed, n_examples = pack_examples(part.examples), len(part.examples)
                if is_first:
                    size = sum(self._sizes(_Written(n_tokens=len(packed.ids), n_examples=n_examples)).values())
                    share = (total - written.offset) / max(1, offset - written.offset)
                    check_room(self._folder, int(size * share), "The encoded text")
                    is_first = False
                files["ids"].write(packed.ids.astype(self._dtype).tobytes())
                if not self._is_text:
                    files["starts"].write((packed.starts[1:] + written.n_tokens).astype("<i8").tobytes())
                if self._has_reply:
                    files["reply"].write(packed.reply.tobytes())
                written.offset, written.n_rows = offset, n_rows
                written.n_tokens += len(packed.ids)
                written.n_examples += n_examples
                written.n_bytes += part.n_bytes
                written.n_cut += part.n_cut
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
            yield _Part(*_encode(group, self._tokenizer, self._form)), rows.offset(done), done

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
        ids = [id for found in encodings for id in found.ids]
        return _Part([(ids, [])], sum(len(part.encode()) for part in parts))

    def _file(self, name: str) -> Path:
        return self._folder / f"{self._split}.{name}"


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _identity(form: ExampleForm, tokenizer: Tokenizer) -> list[object]:
    """All of a form that the ids of examples depend on, beside the tokenizer."""
    template, model = form.template, form.model
    length = model.context_length if model is not None and form.pairs_apart else 0
    return [template.template, dict(template.named_tokens), end_id(tokenizer, model), form.pairs_apart, length]
