"""Reading of a tokenizer's training text, in blocks that fit into memory and that the trainers can handle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from terrarium.models.files.encodings import SAVE_AS_UTF8, encoding_of_file

MAX_RUN_LENGTH = 1000
"""Characters without a space: longer runs take the trainers minutes, or crash them (measured on 1 MB)."""

BATCH_CHARACTERS = 1 << 19
"""Characters per call of the encoder, which bounds memory use and the delay of a cancellation."""

_BLOCK = 1 << 20
_LONGEST_LINE = 1 << 26
_SPACES = " \t\r\n"
_SPACE = re.compile(f"[{_SPACES}]")


@dataclass
class CutCounter:
    """Counts runs without spaces that were too long and were split for the training."""

    n_runs: int = 0

    @property
    def sentence(self) -> str | None:
        """A notice for the user; None if nothing was split."""
        if not self.n_runs:
            return None
        runs = "1 run" if self.n_runs == 1 else f"{self.n_runs:,} runs"
        verb = "was" if self.n_runs == 1 else "were"
        return f"{runs} of more than {MAX_RUN_LENGTH:,} characters without a space {verb} split for the training."


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    """Yield the texts of files in blocks of whole lines; of .jsonl examples only the texts, without keys.

    Raises:
        ValueError: for a file that is missing or not UTF-8, or an invalid line of a .jsonl file.
    """
    for path in paths:
        try:
            with path.open(encoding=encoding_of_file(path), newline="") as file:
                if path.suffix == ".jsonl":
                    yield from example_texts(_lines(file, path), path)
                else:
                    while block := file.read(_BLOCK):
                        yield block + file.readline(_BLOCK)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text{_where_not_utf8(path)}: {SAVE_AS_UTF8}.") from error
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error


def _lines(file: TextIO, path: Path) -> Iterator[str]:
    """Yield the lines of a file, each of which must fit into memory."""
    number = 0
    while line := file.readline(_LONGEST_LINE):
        number += 1
        if len(line) == _LONGEST_LINE:
            raise ValueError(f"{path}, line {number:,}: not an example, as it has over {_LONGEST_LINE:,} characters.")
        yield line


def _where_not_utf8(path: Path) -> str:
    """Describe the first line that does not decode; read again, as block offsets mean nothing to the user."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f" (line {number:,}, byte {error.start + 1:,}: {line[error.start]:02X})"
    return ""


def example_texts(lines: Iterable[str], path: Path) -> Iterator[str]:
    """Yield the texts of the .jsonl examples in `lines`; ValueError, naming `path`, for an invalid line."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            example = json.loads(line)
            texts = [" " + content for content in _contents(example)]  # the chat template puts a space before each
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise ValueError(f'{path}, line {number}: not an example ({{"text": …}} or {{"messages": …}}).') from error
        yield from texts


def _contents(example: dict[str, Any]) -> list[str]:
    """Return the texts of an example: its messages, its words as one text, or its columns of text."""
    if "messages" in example:
        return [message["content"] for message in example["messages"]]
    if "words" in example:
        return [" ".join(example["words"])]
    columns = ("text", "text_pair", "question", "context", "source", "target")
    found = [example[column] for column in columns if column in example]
    if not found:
        raise KeyError("text")
    return found


def split_long_runs(
    texts: Iterable[str], longest: int, *, anywhere: bool = False, cut: CutCounter | None = None
) -> Iterator[str]:
    """Split texts where more than `longest` characters have no space (or every `longest` characters, if `anywhere`).

    The trainers treat the parts as separate texts.
    """
    for text in texts:
        start = 0
        for first, end in [(0, len(text))] if anywhere else _unbroken(text, longest):
            if cut is not None and end - first > longest:
                cut.n_runs += 1
            for position in range(first + longest, end, longest):
                yield text[start:position]
                start = position
        yield text[start:]


def _unbroken(text: str, longest: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) of runs of more than `longest` characters without a space; each has a multiple of it."""
    end = 0
    for position in range(0, len(text), longest):
        if position < end or text[position] in _SPACES:
            continue
        first = 1 + max(text.rfind(space, max(end, position - longest), position) for space in _SPACES)
        first = first or max(end, position - longest)
        space = _SPACE.search(text, position)
        end = len(text) if space is None else space.start()
        if end - first > longest:
            yield first, end


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the non-empty texts, in batches of up to BATCH_CHARACTERS characters (but at least one text)."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
        if text:
            batch.append(text)
            size += len(text)
    if batch:
        yield batch


def require_text(texts: Iterable[str]) -> Iterator[str]:
    """Pass the texts through; ValueError at the end if there was nothing but white space."""
    empty = True
    for text in texts:
        empty = empty and not text.strip()
        yield text
    if empty:
        raise ValueError("The text is empty: choose another file.")
