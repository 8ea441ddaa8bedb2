"""Reading what a tokenizer is trained on, in pieces that fit into memory and that the trainers survive."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONGEST_RUN = 1000
"""Characters: the trainers take minutes for a longer run without a break, or crash (measured on 1 MB)."""

BATCH = 1 << 19
"""Characters that are encoded at once: what bounds the memory, and how soon a cancel is heard."""

_BLOCK = 1 << 20
_SPACES = " \t\r\n"
_SPACE = re.compile(f"[{_SPACES}]")


@dataclass
class Cut:
    """How many runs without a break were too long, and were cut for the training."""

    n_runs: int = 0

    @property
    def sentence(self) -> str | None:
        """What the user should know of it; None where nothing was cut."""
        if not self.n_runs:
            return None
        runs = "1 run" if self.n_runs == 1 else f"{self.n_runs:,} runs"
        verb = "was" if self.n_runs == 1 else "were"
        return f"{runs} of more than {LONGEST_RUN:,} characters without a break {verb} cut there for the training."


def read_texts(paths: Sequence[Path]) -> Iterator[str]:
    """The texts of files, in blocks that end where a line does; of .jsonl examples, only what people will read.

    Raises:
        ValueError: for a file that is missing or not UTF-8, or a .jsonl line that is no example.
    """
    for path in paths:
        try:
            with path.open(encoding="utf-8", newline="") as file:
                if path.suffix == ".jsonl":
                    yield from example_texts(file, path)
                else:
                    while block := file.read(_BLOCK):
                        yield block + file.readline(_BLOCK)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8 text{_where_not_utf8(path)}: save it as UTF-8.") from error
        except OSError as error:
            raise ValueError(f"{path} cannot be read: {error.strerror or error}.") from error


def _where_not_utf8(path: Path) -> str:
    """Words for the first line that does not decode: what reads in blocks knows only the place in its block."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                return f" (line {number:,}, byte {error.start + 1:,}: {line[error.start]:02X})"
    return ""


def example_texts(lines: Iterable[str], path: Path) -> Iterator[str]:
    """What people will read of the examples in the lines of `path`, a text at a time; ValueError as in `read_texts`."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            example = json.loads(line)
            contents = [example["text"]] if "text" in example else [m["content"] for m in example["messages"]]
            texts = [" " + content for content in contents]  # the chat template puts a space before each
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise ValueError(f'{path}, line {number}: not an example ({{"text": …}} or {{"messages": …}}).') from error
        yield from texts


def cut_runs(texts: Iterable[str], longest: int, *, anywhere: bool = False, cut: Cut | None = None) -> Iterator[str]:
    """The texts, cut where more than `longest` characters come without a space between them, or `anywhere`.

    What was one text comes as several then, which a trainer treats as separate.
    """
    for text in texts:
        start = 0
        for first, end in [(0, len(text))] if anywhere else _unbroken(text, longest):
            if cut is not None and end - first > longest:
                cut.n_runs += 1
            for place in range(first + longest, end, longest):
                yield text[start:place]
                start = place
        yield text[start:]


def _unbroken(text: str, longest: int) -> Iterator[tuple[int, int]]:
    """The runs of more than `longest` characters without a space: a place of each is a multiple of `longest`."""
    end = 0
    for place in range(0, len(text), longest):
        if place < end or text[place] in _SPACES:
            continue
        first = 1 + max(text.rfind(space, max(end, place - longest), place) for space in _SPACES)
        first = first or max(end, place - longest)
        space = _SPACE.search(text, place)
        end = len(text) if space is None else space.start()
        if end - first > longest:
            yield first, end


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """The texts that are not empty, as many at once as have BATCH characters together, at least one."""
    batch: list[str] = []
    size = 0
    for text in texts:
        if batch and size + len(text) > BATCH:
            yield batch
            batch, size = [], 0
        if text:
            batch.append(text)
            size += len(text)
    if batch:
        yield batch


def not_empty(texts: Iterable[str]) -> Iterator[str]:
    """The texts; ValueError at their end where there was nothing but spaces."""
    empty = True
    for text in texts:
        empty = empty and not text.strip()
        yield text
    if empty:
        raise ValueError("The text is empty, so there is nothing to learn tokens from: choose another file.")
