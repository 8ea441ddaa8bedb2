"""A split of a corpus as token ids: in memory, or for a large corpus in memory-mapped files beside it.

The files of a split are in encoded/<12 digits>/ in the corpus's folder; the digits are from a SHA-256 of the tokenizer
and the form of examples. They are train.ids (uint16, or uint32 for a larger vocabulary), and for examples train.starts
(int64: the start of each, and the end of the last) and train.reply (uint8, if only replies count). train.json records
how much is written, so that an interrupted encoding resumes. One process writes; others wait for it. No torch import.
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
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout
from tokenizers import Tokenizer

from terrarium.models.corpora.blocks import check_room
from terrarium.models.corpora.corpus import Corpus, Example
from terrarium.models.data.examples import (
    ExampleForm,
    Integers,
    PackedExamples,
    encode_examples,
    encode_own_chats,
    encode_plain_texts,
    fit_pair,
    pack_examples,
)
from terrarium.models.events import Event, Phase, Progress, ProgressMeter, result_of
from terrarium.models.files.atomic import atomic_write_json, read_json
from terrarium.models.tokenizers.codec import text_parts
from terrarium.models.tokenizers.many_texts import ManyTextsEncoder
from terrarium.models.tokenizers.special_tokens import end_id

FORMAT = 1
"""File format version. Increase it if texts or conversations are encoded differently, so that all files are rebuilt."""

GROUP_BYTES = 1 << 19
"""Text per encoder call, which bounds memory use and the delay of a cancellation."""

COMMIT_BYTES = 1 << 24
"""Text between two updates of train.json: the most that is encoded again after a kill."""

TAKE_SIZE = 1 << 16
"""Numbers read per memory mapping: pages stay resident until the file is unmapped."""

_WAIT_S = 0.2


class TokenArray(Protocol):
    """Integers in memory (a numpy array) or in a file, with random access."""

    def __len__(self) -> int:
        """Return the number of integers."""

    def take(self, indices: Integers) -> Integers:
        """Return the integers at these positions, in the shape of `indices`."""


class FileArray:
    """The integers in a file, memory-mapped only during access, so that what was read does not stay in memory."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        self._path, self.dtype = path, dtype
        self._n = path.stat().st_size // dtype.itemsize

    def __len__(self) -> int:
        return self._n

    def take(self, indices: Integers) -> Integers:
        """Implement TokenArray.take; ValueError if the file is gone."""
        wanted, taken = indices.reshape(-1), np.empty(indices.size, self.dtype)
        try:
            for start in range(0, indices.size, TAKE_SIZE):
                part = slice(start, start + TAKE_SIZE)
                taken[part] = np.memmap(self._path, self.dtype, "r", shape=(self._n,))[wanted[part]]
        except (OSError, ValueError) as error:
            raise ValueError(f"{self._path} cannot be read ({error}): delete its folder, and start again.") from error
        return taken.reshape(indices.shape)


@dataclass(frozen=True, kw_only=True)
class EncodedSplit:
    """One split of a corpus as token ids (n,): one long text, or examples one after another.

    starts: (examples + 1,), the start of each example; None for one text. An example includes its end token `end`.
    reply: (n,), whether a token belongs to a reply; None if all count as replies. n_bytes: UTF-8 bytes of the text.
    n_cut: how many pairs have a target that is already truncated. on_disk: whether the arrays are files.
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
        """Number of examples; 0 for one long text."""
        return 0 if self.starts is None else len(self.starts) - 1

    def lengths(self, at_most: int) -> npt.NDArray[np.int64]:
        """Return the lengths of the examples in tokens (n,); of an even sample if there are more than `at_most`."""
        assert self.starts is not None
        first = np.arange(0, self.n_examples, max(1, -(-self.n_examples // at_most)))
        lengths = np.empty(len(first), np.int64)
        for start in range(0, len(first), TAKE_SIZE):
            some = first[start : start + TAKE_SIZE]
            lengths[start : start + len(some)] = self.starts.take(some + 1) - self.starts.take(some)
        return lengths

    def n_longer(self, length: int) -> int:
        """Count the examples of more than `length` tokens."""
        assert self.starts is not None
        n = 0
        for start in range(0, self.n_examples, TAKE_SIZE):
            starts = self.starts.take(np.arange(start, min(start + TAKE_SIZE, self.n_examples) + 1))
            n += int((np.diff(starts) > length).sum())
        return n


def encode_split(corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm | None = None) -> EncodedSplit:
    """Run `encode_split_events` to its end and return its result."""
    return result_of(encode_split_events(corpus, tokenizer, split, form))


def encode_split_events(
    corpus: Corpus, tokenizer: Tokenizer, split: str, form: ExampleForm | None = None
) -> Generator[Event, None, EncodedSplit]:
    """Tokenize a split of a corpus in the form in which a model reads examples.

    Yields Progress (bytes), and Phase if a large corpus is encoded for the first time.

    Raises:
        ValueError: if a file is damaged, the disk is full, or as `encode_examples`.
    """
    form = form or ExampleForm()
    if corpus.is_large:
        return (yield from _EncodedFiles(corpus, tokenizer, split, form).encode())
    encoder = ManyTextsEncoder(tokenizer)
    if corpus.kind == "text":
        return (yield from _text_in_memory(corpus, encoder, split))
    return (yield from _examples_in_memory(corpus, encoder, split, form))


def _text_in_memory(corpus: Corpus, encoder: ManyTextsEncoder, split: str) -> Generator[Event, None, EncodedSplit]:
    """Encode the text of a small corpus part by part, if it can be split without changing tokens."""
    size = corpus.path(split).stat().st_size
    ids, n_bytes, meter = bytearray(), 0, ProgressMeter(size)
    for part, n_bytes in _text_parts(corpus, split, encoder, 0, size + 1):
        ids += part.examples.ids.data
        yield meter.progress(n_bytes)
    return EncodedSplit(split=split, n_bytes=n_bytes, ids=np.frombuffer(ids, encoder.dtype))


def _examples_in_memory(
    corpus: Corpus, encoder: ManyTextsEncoder, split: str, form: ExampleForm
) -> Generator[Event, None, EncodedSplit]:
    """Encode the examples of a small corpus by kind: plain texts first, then the others as in `encode_examples`."""
    rows, size = corpus.rows(split), corpus.path(split).stat().st_size
    kinds = ("text", "target", "messages") if form.pairs_apart else ("text", "messages", "target")
    found = dict.fromkeys(kinds, False)
    ids, reply, lengths = bytearray(), bytearray(), [np.zeros(1, np.int64)]
    n_bytes, n_cut = 0, 0
    for i, kind in enumerate(kinds):
        done, meter = 0, ProgressMeter(size)
        if i and not found[kind]:
            continue
        for group in rows.groups(0, GROUP_BYTES):
            if not i:
                found |= {each: found[each] or any(each in row for row in group) for each in kinds}
            chosen = {
                number: row
                for number, row in enumerate(group, done + 1)
                if next(each for each in kinds if each in row) == kind
            }
            part = _encode([*chosen.values()], encoder, form, [*chosen])
            ids += part.examples.ids.data
            lengths.append(np.diff(part.examples.starts))
            if kind != "text":
                reply += part.examples.reply.data
            n_bytes, n_cut = n_bytes + part.examples.n_bytes, n_cut + part.n_cut
            done += len(group)
            yield meter.progress(rows.offset(done))
    n_tokens = len(ids) // encoder.dtype.itemsize
    return EncodedSplit(
        split=split,
        n_bytes=n_bytes,
        ids=np.frombuffer(ids, encoder.dtype),
        starts=np.cumsum(np.concatenate(lengths)),
        reply=np.frombuffer(reply.rjust(n_tokens, b"\1"), np.uint8) if 0 in reply else None,
        end=end_id(encoder.tokenizer) or 0,
        n_cut=n_cut,
    )


def _encode(rows: Sequence[Example], encoder: ManyTextsEncoder, form: ExampleForm, numbers: Sequence[int]) -> _Part:
    """Encode examples, truncating pairs to the context. numbers: the rows' numbers in their split, from 1."""
    if all("text" in row for row in rows):
        return _Part(encode_plain_texts(rows, encoder, form))
    if not form.template.template and all("messages" in row for row in rows):
        return _Part(encode_own_chats(rows, encoder))
    examples, n_bytes = encode_examples(rows, encoder, form, numbers)
    n_cut = 0
    if form.pairs_apart and form.model is not None and any("target" in row for row in rows):
        fitted = [fit_pair(example, form.model.context_length) for example in examples]
        n_cut = sum(sum(after) < sum(before) for (_, before), (_, after) in zip(examples, fitted, strict=True))
        examples = fitted
    packed = pack_examples(examples, n_bytes)
    return _Part(packed._replace(ids=packed.ids.astype(encoder.dtype)), n_cut)


class _Part(NamedTuple):
    """A part of a split: examples, with `n_cut` truncated targets of pairs; or a part of one text, as one example."""

    examples: PackedExamples
    n_cut: int = 0


@dataclass(kw_only=True)
class _Written:
    """The progress of encoding a split: `offset` bytes of its file and `n_rows` lines, which gave `n_tokens` etc."""

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
        self._encoder = ManyTextsEncoder(tokenizer)
        self._dtype = self._encoder.dtype
        self._is_text = corpus.kind == "text"
        self._has_reply = corpus.has_chats or corpus.task not in ("", "language")

    def encode(self) -> Generator[Event, None, EncodedSplit]:
        """Return the split, encoding what is missing."""
        written = self._read_about()
        if not written.done:
            yield Phase(name="Encoding the text")
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / f"{self._split}.lock", thread_local=False)
            total = self._corpus.path(self._split).stat().st_size
            while not _acquired(lock):  # another process is encoding it, perhaps of the same run
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
        """Read the progress, verified against the files; zero if train.json is missing or damaged."""
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
        """Return the size of each file in bytes."""
        sizes = {"ids": written.n_tokens * self._dtype.itemsize}
        if not self._is_text:
            sizes["starts"] = 8 * (written.n_examples + 1)
        if self._has_reply:
            sizes["reply"] = written.n_tokens
        return sizes

    def _write(self, written: _Written) -> Generator[Event, None, None]:
        """Encode the missing rest; closing the generator preserves what is committed."""
        total = self._corpus.path(self._split).stat().st_size
        with ExitStack() as stack:
            files = {}
            for name, size in self._sizes(written).items():
                files[name] = stack.enter_context(self._file(name).open("r+b" if size and written.offset else "w+b"))
                files[name].truncate(size)  # discard what was written after the last train.json
                files[name].seek(size)
            if not written.offset and not self._is_text:
                files["starts"].seek(0)
                files["starts"].write(bytes(8))
            committed, meter = written.offset, ProgressMeter(total)
            is_first = True
            yield meter.progress(written.offset)
            for part, offset, n_rows in self._parts(written):
                packed, n_examples = part.examples, len(part.examples.starts) - 1
                if is_first:
                    size = sum(self._sizes(_Written(n_tokens=len(packed.ids), n_examples=n_examples)).values())
                    share = (total - written.offset) / max(1, offset - written.offset)
                    check_room(self._folder, int(size * share), "The encoded text")
                    is_first = False
                files["ids"].write(packed.ids.tobytes())
                if not self._is_text:
                    files["starts"].write((packed.starts[1:] + written.n_tokens).astype("<i8").tobytes())
                if self._has_reply:
                    files["reply"].write(packed.reply.tobytes())
                written.offset, written.n_rows = offset, n_rows
                written.n_tokens += len(packed.ids)
                written.n_examples += n_examples
                written.n_bytes += packed.n_bytes
                written.n_cut += part.n_cut
                if offset - committed >= COMMIT_BYTES:
                    self._commit(written, files)
                    committed = offset
                yield meter.progress(offset)
            written.done = True
            self._commit(written, files)

    def _commit(self, written: _Written, files: dict[str, Any]) -> None:
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
        atomic_write_json(self._about, {"format": FORMAT, "tokenizer": self._digest, **vars(written)})

    def _parts(self, written: _Written) -> Iterator[tuple[_Part, int, int]]:
        """Yield the parts not encoded yet, each with the byte offset and line number after it."""
        if self._is_text:
            parts = _text_parts(self._corpus, self._split, self._encoder, written.offset, GROUP_BYTES)
            yield from ((part, offset, 0) for part, offset in parts)
            return
        rows, done = self._corpus.rows(self._split), written.n_rows
        for group in rows.groups(done, GROUP_BYTES):
            numbers = range(done + 1, done + len(group) + 1)
            done += len(group)
            yield _encode(group, self._encoder, self._form, numbers), rows.offset(done), done

    def _file(self, name: str) -> Path:
        return self._folder / f"{self._split}.{name}"


def _text_parts(
    corpus: Corpus, split: str, encoder: ManyTextsEncoder, offset: int, at_most: int
) -> Iterator[tuple[_Part, int]]:
    """Yield one long text from byte `offset` on, split where this changes no token; each part with the byte after it.

    If the tokenizer allows no such split, the text is split after a line, into parts of at least `at_most` bytes.
    """
    decode = getincrementaldecoder("utf-8")().decode
    rest, is_cut = "", True
    for chunk in corpus.file(split).chunks(offset):
        rest += decode(chunk)
        if len(rest) < (GROUP_BYTES if is_cut else at_most):
            continue
        *whole, rest = text_parts(encoder.tokenizer, rest)
        is_cut = bool(whole)
        if not whole:
            if len(rest) < at_most:
                continue
            line_end = rest.rfind("\n") + 1 or len(rest)
            whole, rest = [rest[:line_end]], rest[line_end:]
        part = _encode_text(whole, encoder)
        offset += part.examples.n_bytes
        yield part, offset
    if rest:
        part = _encode_text(text_parts(encoder.tokenizer, rest), encoder)
        yield part, offset + part.examples.n_bytes


def _encode_text(parts: Sequence[str], encoder: ManyTextsEncoder) -> _Part:
    ids, _ = encoder.encode(parts)
    n_bytes = sum(len(part.encode()) for part in parts)
    return _Part(PackedExamples(ids, np.array([0, len(ids)]), np.zeros(len(ids), np.uint8), n_bytes))


def _acquired(lock: FileLock) -> bool:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _identity(form: ExampleForm, tokenizer: Tokenizer) -> list[object]:
    """Return everything, beside the tokenizer, that the ids of examples depend on."""
    template, model = form.template, form.model
    length = model.context_length if model is not None and form.pairs_apart else 0
    return [template.template, dict(template.named_tokens), end_id(tokenizer, model), form.pairs_apart, length]
