"""Corpora of plain text: a user's files, or the docstrings of Python's standard library. No torch import."""

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
"""Bytes of a text to compress when checking whether it is repetitive, which takes about 30 ms."""
MIN_BYTES = 21_000
"""Minimum size of a text; with less, the held-out tenth measures nothing, and the rest is too little to learn from."""
SAME_AGAIN = 0.1
"""Bits per byte of gzip below which a text counts as repetitive."""
_NO_SOURCES = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "__pycache__"})


def build_text_corpus(library: Library, files: Sequence[Path | str], val_fraction: float) -> Corpus:
    """Run `build_text_corpus_events` to its end and return the corpus."""
    return result_of(build_text_corpus_events(library, files, val_fraction))


def build_text_corpus_events(
    library: Library, files: Sequence[Path | str], val_fraction: float, max_bytes: int = 0
) -> Generator[Event, None, Corpus]:
    """Build a corpus from one or more text files in UTF-8, or in UTF-16 with a byte order mark.

    Yields Progress (bytes read). The end of the joined text is for validation (`split_index`). A text of more than one
    block is never in memory as a whole, and validation begins at the first line in its last `val_fraction` of bytes.

    Args:
        max_bytes: the maximum to read, from the beginning of the first file on; 0 = all.

    Raises:
        ValueError: for a file that is missing, empty, binary, not UTF-8, or too short to split, or if the disk has too
            little room, with the remedy.
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
    """Check quickly, by the first megabytes of each file, whether a model can learn from them.

    Args:
        is_all: whether these files are all of the training data, so that they must not be too short. Fine-tuning, or
            a run whose settings the user chooses, can use less.

    Raises:
        ValueError: for a file that is missing, empty, binary or not UTF-8, or if the text is repetitive; with `is_all`
            also if it is too short.
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
    bits = 8 * len(zlib.compress(sample)) / max(1, len(sample))  # empty if the file has only a byte order mark
    if bits < SAME_AGAIN:
        raise repetitive(paths[0].name, bits)


def too_short(label: str, text: str) -> ValueError:
    """Return the error for a text of fewer than MIN_BYTES, with the remedy."""
    return ValueError(
        f"{label} has only {format_count(len(text.split()), 'word')}, too few to learn from and to be tested on a "
        f"tenth of: use a text of some {MIN_BYTES // 6:,} words at least."
    )


def repetitive(label: str, gzip: float) -> ValueError:
    """Return the error for a repetitive text, with the remedy; gzip: its compressed size in bits per byte."""
    return ValueError(
        f"{label} repeats the same text again and again (gzip needs {gzip:.2f} bits for each byte), so there is "
        "nothing to learn from it: choose one that does not repeat itself."
    )


def build_stdlib_corpus(library: Library, val_fraction: float = 0.1) -> Corpus:
    """Build a corpus of the docstrings of Python's standard library, over a million characters of plain English.

    Reuses the library's copy, whatever its `val_fraction`.

    Raises:
        ValueError: if the sources are not installed.
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
    """Return the size of a file in bytes; ValueError if it is not a regular file."""
    if path.is_dir():  # on Windows, reading it would be a permission error
        raise ValueError(f"{path} is a folder: choose the text files in it.")
    if not path.exists():
        raise ValueError(f"{path} does not exist: check the name, or choose the file again.")
    if not path.is_file():
        raise ValueError(f"{path} is a device or a pipe, which may never end: choose a text file.")
    return path.stat().st_size


def _read_text_file(path: Path, done: int, total: int) -> Generator[Event, None, tuple[str, int]]:
    """Read a user's file, with plain newlines and without a byte order mark; return its text and the new `done`.

    Reading stops after `total` bytes of all files, of which `done` were read before. Yields Progress.
    """
    parts = list[str]()
    for text, n_bytes in _text_file_parts(path, total - done):
        parts.append(text)
        done += n_bytes
        yield Progress(done=done, total=total)
    return "".join(parts), done


def _text_file_parts(path: Path, max_bytes: int) -> Iterator[tuple[str, int]]:
    """Yield the text of a file in parts, each with the number of bytes read for it, as `_read_text_file` does.

    Reading stops after `max_bytes`; a character that is cut there is left out.
    """
    newlines = IncrementalNewlineDecoder(None, translate=True)
    position = 0
    try:
        encoding = encoding_of_file(path)
        decoder = getincrementaldecoder(encoding)()
        with path.open("rb") as file:
            while part := file.read(min(_CHUNK_BYTES, max_bytes - position)):
                # A binary file is reported as such, before the strict decoder reports an invalid byte.
                seen = part.decode("utf-16" if encoding == "utf-16" else "latin-1", errors="replace")
                _check_is_text(path, seen, is_first=position == 0)
                yield newlines.decode(decoder.decode(part)), len(part)
                position += len(part)
            is_cut = bool(file.read(1))
        yield newlines.decode("" if is_cut else decoder.decode(b"", final=True), final=True), 0
    except UnicodeDecodeError as error:
        # The decoder's input also contains the end of the previous part if that ended within a character.
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
    """Build the corpus of the first `total` bytes of files, in parts. Closing it early leaves no files."""
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
    """Return the start of the first line that begins after index `wanted`, or `wanted` itself if there is none."""
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
    """Return the character index where validation begins: the line start nearest to the wanted index.

    Validation begins within a line if the nearest line start is farther away than both half of the validation part and
    _NEAR characters.
    """
    wanted = round(len(text) * (1 - val_fraction))
    max_distance = max((len(text) - wanted) / 2, _NEAR)
    after, before = text.find("\n", wanted, len(text) - 1) + 1, text.rfind("\n", 0, wanted) + 1
    starts = [start for start in (after, before) if start > 0 and abs(start - wanted) <= max_distance]
    return min(starts, key=lambda start: abs(start - wanted), default=wanted)


def _characters(n: int) -> str:
    return "1 character" if n == 1 else f"{n} characters"


def _docstrings(root: Path) -> Iterator[str]:
    """Yield the docstrings of all modules below `root`, in the order of their paths; tests are left out."""
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
    """Yield the module and all its statements, in the order of `ast.walk` but without visiting expressions."""
    todo: deque[ast.AST] = deque([tree])
    while todo:
        node = todo.popleft()
        yield node
        for block in ("body", "handlers", "orelse", "finalbody", "cases"):
            todo.extend(getattr(node, block, ()))
