"""Corpora of plain text: of a user's files, or of the docstrings of Python's standard library. No torch import."""

from __future__ import annotations

import ast
import platform
import sysconfig
import warnings
import zlib
from codecs import getincrementaldecoder
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from io import IncrementalNewlineDecoder
from itertools import accumulate
from pathlib import Path

from terrarium.models.corpora import blocks
from terrarium.models.corpora.corpus import Corpus, CorpusWriter, list_corpora
from terrarium.models.events import Event, Progress, result_of
from terrarium.models.files.encodings import SAVE_AS_UTF8, encoding_of_file
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_count

_CONTROL = frozenset(map(chr, range(32))) - frozenset("\t\n\r\f\v\b\x1b")
_NEAR = 200
_CHUNK_BYTES = 1 << 22
_SAMPLE_BYTES = 1 << 20
"""Of a text, what is compressed to see whether it repeats itself: takes some 30 ms."""
MIN_BYTES = 21_000
"""Below that, the held-out tenth of a text says nothing, and the rest teaches next to nothing."""
SAME_AGAIN = 0.1
"""Bits per byte of gzip, below which a text only repeats itself."""
_NO_SOURCES = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "__pycache__"})


def build_text_corpus(library: Library, files: Sequence[Path | str], val_fraction: float) -> Corpus:
    """As `build_text_corpus_events`, which it waits for."""
    return result_of(build_text_corpus_events(library, files, val_fraction))


def build_text_corpus_events(
    library: Library, files: Sequence[Path | str], val_fraction: float, max_bytes: int = 0
) -> Generator[Event, None, Corpus]:
    """A corpus of one or more text files in UTF-8, or in UTF-16 with its mark.

    The end of the joined text is for validation (`split_index`).

    max_bytes: read at most, from the beginning of the first file on; 0 = all.

    Yields Progress (bytes read). Of more than one block, the text is never in memory as a whole, and validation begins
    at the first line of the last `val_fraction` of the bytes.

    Raises:
        ValueError: for a file that is missing, empty, binary, not UTF-8, or too short to split, or if the disk has no
            room, with the remedy.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise ValueError("No file chosen: choose at least one text file.")
    sizes = [_text_file_size(path) for path in paths]
    total = min(sum(sizes), max_bytes) if max_bytes else sum(sizes)
    label = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    if max_bytes:
        paths = [path for path, start in zip(paths, accumulate(sizes, initial=0), strict=False) if start < max_bytes]
    if total > blocks.BLOCK_BYTES:
        return (yield from _large_text_corpus(library, paths, total, val_fraction, label))
    texts, done = list[str](), 0
    for path in paths:
        text, done = yield from _read_text_file(path, done, total)
        texts.append(text)
    text = "\n".join(texts)
    return _text_corpus(library, text, val_fraction, source="files", label=label)


def check_text_files(files: Sequence[Path | str], *, is_all: bool = False) -> None:
    """See at once, in the first megabytes of each file, whether something can be learned from them.

    Args:
        is_all: whether nothing else is learned from, so that there has to be enough of it. A fine-tuning, and a run
            whose settings the user chooses, can make something of less.

    Raises:
        ValueError: for a file that is missing, empty, binary or not UTF-8, and where they only repeat themselves; with
            `is_all` also where they have too few bytes together.
    """
    paths = [Path(file) for file in files]
    if not paths:
        return
    for path in paths:
        _text_file_size(path)
    texts = ["".join(text for text, _ in _text_file_parts(path, _CHUNK_BYTES)) for path in paths]
    data = "".join(texts).encode()
    if is_all and len(data) < MIN_BYTES:
        raise too_short(paths[0].name, " ".join(texts))
    sample = data[:_SAMPLE_BYTES]
    bits = 8 * len(zlib.compress(sample)) / max(1, len(sample))  # of a byte order mark alone, no text is left
    if bits < SAME_AGAIN:
        raise repetitive(paths[0].name, bits)


def too_short(label: str, text: str) -> ValueError:
    """What is wrong with a text of fewer than MIN_BYTES, and what to do."""
    return ValueError(
        f"{label} has only {format_count(len(text.split()), 'word')}, too few to learn from and to be tested on a "
        f"tenth of: use a text of some {MIN_BYTES // 6:,} words at least."
    )


def repetitive(label: str, gzip: float) -> ValueError:
    """What is wrong with a text that only repeats itself, and what to do; gzip: bits that it needs for each byte."""
    return ValueError(
        f"{label} repeats the same text again and again (gzip needs {gzip:.2f} bits for each byte), so there is "
        "nothing to learn from it: choose one that does not repeat itself."
    )


def build_stdlib_corpus(library: Library, val_fraction: float = 0.1) -> Corpus:
    """The docstrings of the installed Python's standard library, over a million characters of plain English.

    Reuses the library's copy, whatever its `val_fraction`.

    Raises:
        ValueError: where the sources are not installed.
    """
    label = f"Python {platform.python_version()} docstrings"
    for corpus in list_corpora(library):
        if corpus.source == "stdlib" and corpus.label == label:
            return corpus
    text = "\n\n".join(_docstrings(Path(sysconfig.get_path("stdlib"))))
    if len(text) < 1_000_000:
        raise ValueError(
            "The sources of Python's standard library are not installed here, so there are no docstrings to train on: "
            "choose a file of your own, or Tiny World."
        )
    return _text_corpus(library, text, val_fraction, source="stdlib", label=label)


def _text_file_size(path: Path) -> int:
    """Its size in bytes; ValueError if it is no regular file."""
    if path.is_dir():  # on Windows, reading it would be a permission error
        raise ValueError(f"{path} is a folder: choose the text files in it.")
    if not path.exists():
        raise ValueError(f"{path} does not exist: check the name, or choose the file again.")
    if not path.is_file():
        raise ValueError(f"{path} is a device or a pipe, which may never end: choose a text file.")
    return path.stat().st_size


def _read_text_file(path: Path, done: int, total: int) -> Generator[Event, None, tuple[str, int]]:
    """The text of a user's file, with plain newlines and without a byte order mark, and how much is `done` now.

    It ends where `total` bytes are done.
    """
    parts = list[str]()
    for text, n_bytes in _text_file_parts(path, total - done):
        parts.append(text)
        done += n_bytes
        yield Progress(done=done, total=total)
    return "".join(parts), done


def _text_file_parts(path: Path, max_bytes: int) -> Iterator[tuple[str, int]]:
    """As `_read_text_file`, a part at a time, each with the number of bytes that were read for it.

    max_bytes: where it ends, without a character that is cut there.
    """
    newlines = IncrementalNewlineDecoder(None, translate=True)
    position = 0
    try:
        encoding = encoding_of_file(path)
        decoder = getincrementaldecoder(encoding)()
        with path.open("rb") as file:
            while part := file.read(min(_CHUNK_BYTES, max_bytes - position)):
                # Of a file that is no text, this is to be said, and not which of its bytes are not UTF-8.
                seen = part.decode("utf-16" if encoding == "utf-16" else "latin-1", errors="replace")
                _check_is_text(path, seen, is_first=position == 0)
                yield newlines.decode(decoder.decode(part)), len(part)
                position += len(part)
            is_cut = bool(file.read(1))
        yield newlines.decode("" if is_cut else decoder.decode(b"", final=True), final=True), 0
    except UnicodeDecodeError as error:
        # The decoder was given the end of the part before, where that ends within a character.
        offset = position - (len(error.object) - len(part)) + error.start
        raise ValueError(
            f"{path} is not {error.encoding.upper().removesuffix('-LE').removesuffix('-BE')} text (invalid byte at "
            f"offset {offset}): {SAVE_AS_UTF8}."
        ) from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if not position:
        raise ValueError(f"{path} is empty: choose a file with text in it.")


def _check_is_text(path: Path, part: str, *, is_first: bool) -> None:
    beginning = part[:4096] if is_first else ""
    if "\0" in part or sum(character in _CONTROL for character in beginning) > len(beginning) // 20:
        raise ValueError(f"{path} is not a text file (it contains binary data): choose a plain text file.")


def _large_text_corpus(
    library: Library, paths: Sequence[Path], total: int, val_fraction: float, label: str
) -> Generator[Event, None, Corpus]:
    """The corpus of the first `total` bytes of files, written a part at a time. Closing the generator leaves nothing
    behind."""
    n_train, done, split = round(total * (1 - val_fraction)), 0, "train"
    with CorpusWriter(library, "text", source="files", n_bytes=total) as writer:
        for i, path in enumerate(paths):
            if i:
                writer.add_text(split, "\n")
            for text, n_bytes in _text_file_parts(path, total - done):
                if split == "train" and done + n_bytes > n_train:
                    index = _line_start(text, round(len(text) * max(0, n_train - done) / n_bytes))
                    writer.add_text("train", text[:index])
                    split, text = "val", text[index:]
                writer.add_text(split, text)
                done += n_bytes
                yield Progress(done=done, total=total)
        return writer.finish(label)


def _line_start(text: str, wanted: int) -> int:
    """The start of the first line from index `wanted` on, or `wanted` itself where there is none."""
    return text.find("\n", wanted, len(text) - 1) + 1 or wanted


def _text_corpus(library: Library, text: str, val_fraction: float, *, source: str, label: str) -> Corpus:
    index = split_index(text, val_fraction)
    train, val = text[:index], text[index:]
    if not train.strip() or not val.strip():
        raise ValueError(
            f"{label} has only {_characters(len(text))}, too few to split into training and validation: "
            "use a longer text, of some thousand words at least."
        )
    with CorpusWriter(library, "text", source=source) as writer:
        writer.add_text("train", train)
        writer.add_text("val", val)
        return writer.finish(label)


def split_index(text: str, val_fraction: float) -> int:
    """The character index where validation begins: the line start nearest to the wanted index.

    Within a line where the nearest start is farther off than half of the validation part and than _NEAR characters.
    """
    wanted = round(len(text) * (1 - val_fraction))
    max_distance = max((len(text) - wanted) / 2, _NEAR)
    after, before = text.find("\n", wanted, len(text) - 1) + 1, text.rfind("\n", 0, wanted) + 1
    starts = [start for start in (after, before) if start > 0 and abs(start - wanted) <= max_distance]
    return min(starts, key=lambda start: abs(start - wanted), default=wanted)


def _characters(n: int) -> str:
    return "1 character" if n == 1 else f"{n} characters"


def _docstrings(root: Path) -> Iterator[str]:
    """The docstrings of all modules below `root`, in the order of their paths; tests are left out."""
    for path in sorted(root.rglob("*.py")):
        if not _NO_SOURCES.isdisjoint(path.relative_to(root).parts):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # invalid escapes in old sources
                tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):
            continue
        for node in _statements(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                docstring = ast.get_docstring(node)
                if docstring:
                    yield docstring


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """The module and all its statements, in the order of `ast.walk`, which also looks at each expression."""
    todo: deque[ast.AST] = deque([tree])
    while todo:
        node = todo.popleft()
        yield node
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            todo.extend(getattr(node, block, ()))
