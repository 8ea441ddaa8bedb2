"""Corpora: training texts, split and stored by content hash, so that a run can resume when the source is gone.

A corpus is the folder corpora/<first 12 digits of its SHA-256>/ with about.json and, by its kind, train.txt and val.txt
("text") or train.jsonl and val.jsonl ("examples": {"text": …} or {"messages": […]} per line). A dataset is a corpus of
examples with a task; its rows have the columns of that task, and it may have a third split, test. No torch import.
"""

from __future__ import annotations

import ast
import hashlib
import json
import platform
import re
import sysconfig
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from models.events import Event, Progress, result_of
from models.files.atomic import atomic_folder, atomic_write_json, read_json, write_synced
from models.library.library import Library
from models.number_words import format_size

FORMAT = 1
DATASET_FORMAT = 2
"""That of corpora with a task, which older versions cannot read."""
SPLITS = ("train", "val")
_SUFFIXES = {"text": ".txt", "examples": ".jsonl"}
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\f\v\b\x1b")
_NEAR = 200
_CHUNK_BYTES = 1 << 24
_COPIES = 8
"""How many times its size a text takes at most in memory, while it is split and stored."""

_NO_SOURCES = frozenset({"site-packages", "dist-packages", "test", "tests", "idlelib", "idle_test", "__pycache__"})

Example = dict[str, Any]
"""{"text": str} or {"messages": [{"role": str, "content": str}, …]}, or another row of models.settings.tasks."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One corpus on disk.

    `sha` names its folder (12 digits of its SHA-256); `source` is "files", "stdlib", "examples" or "pronouns",
    `label` what people read; `n_bytes` counts all splits; `has_chats`: any {"messages": …}; `digests`: split → SHA-256
    of its file. A dataset has a `task` (of TASKS; else ""), its `labels` in the order of a model's outputs, and the
    headline `metric`.
    """

    folder: Path
    sha: str
    kind: str
    source: str
    label: str
    seed: int | None
    n_bytes: int
    has_chats: bool
    digests: Mapping[str, str]
    task: str = ""
    labels: tuple[str, ...] = ()
    metric: str = ""

    @property
    def splits(self) -> tuple[str, ...]:
        """ "train", "val" and, where there is one, "test"."""
        return tuple(self.digests)

    def path(self, split: str) -> Path:
        """The file of a split."""
        assert split in self.splits
        return self.folder / f"{split}{_SUFFIXES[self.kind]}"

    def read_text(self, split: str) -> str:
        """The text of a split (kind "text"); ValueError where the file is damaged, naming it."""
        assert self.kind == "text"
        return self._read(split).decode()

    def read_examples(self, split: str) -> list[Example]:
        """The examples of a split (kind "examples"); ValueError where the file is damaged, naming it."""
        assert self.kind == "examples"
        return [json.loads(line) for line in self._read(split).split(b"\n") if line]

    def _read(self, split: str) -> bytes:
        path = self.path(split)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ValueError(f"{path} cannot be read ({error.strerror}): choose the source again.") from error
        if hashlib.sha256(data).hexdigest() != self.digests[split]:
            raise ValueError(f"{path} was changed, so training cannot resume exactly: choose the source again.")
        return data


def build_text_corpus(library: Library, files: Sequence[Path | str], val_fraction: float) -> Corpus:
    """As `build_text_corpus_events`, which it waits for."""
    return result_of(build_text_corpus_events(library, files, val_fraction))


def build_text_corpus_events(
    library: Library, files: Sequence[Path | str], val_fraction: float
) -> Generator[Event, None, Corpus]:
    """A corpus of one or more UTF-8 text files; the end of the joined text is for validation (`split_index`).

    Yields Progress (bytes read).

    Raises:
        ValueError: for a file that is missing, empty, binary, not UTF-8, or too short to split, or files that are too
            large, with the remedy.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise ValueError("No file chosen: choose at least one text file.")
    total, most = sum(_text_file_size(path) for path in paths), psutil.virtual_memory().total // _COPIES
    if total > most:
        what = str(paths[0]) if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
        raise ValueError(
            f"{what}: {format_size(total)} of text, but the memory of this computer is enough for {format_size(most)}. "
            "Choose a part of it."
        )
    texts, done = list[str](), 0
    for path in paths:
        text, done = yield from _read_text_file(path, done, total)
        texts.append(text)
    text = "\n".join(texts)
    label = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
    return _text_corpus(library, text, val_fraction, source="files", label=label)


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


def build_examples_corpus(
    library: Library,
    train: Sequence[Example],
    val: Sequence[Example],
    label: str,
    seed: int | None,
    source: str = "examples",
    *,
    test: Sequence[Example] = (),
    task: str = "",
    labels: Sequence[str] = (),
    metric: str = "",
) -> Corpus:
    """A corpus of separate examples, already split; `source`, `label` and `seed` say where they come from.

    With a `task` it is a dataset: see Corpus.
    """
    splits = {"train": train, "val": val, **({"test": test} if test else {})}
    data = {split: b"".join(_json_line(example) for example in examples) for split, examples in splits.items()}
    has_chats = any("messages" in example for examples in splits.values() for example in examples)
    return _store(
        library,
        data,
        kind="examples",
        source=source,
        label=label,
        seed=seed,
        chats=has_chats,
        dataset={"task": task, "labels": list(labels), "metric": metric} if task else {},
    )


def open_corpus(library: Library, sha: str) -> Corpus:
    """Open the corpus with the SHA-256 `sha` (the first 12 digits are enough).

    Raises:
        ValueError: where it is missing or damaged, naming the file.
    """
    if not re.match("[0-9a-f]{12}", sha):
        raise ValueError(f"{sha!r} is not a corpus of the library: choose the source again.")
    folder = library.corpora / sha[:12]
    path = folder / "about.json"
    about = read_json(path)
    try:
        if about["format"] > DATASET_FORMAT:
            raise ValueError(f"{path} is from a newer Terrarium: update this one.")
        corpus = Corpus(
            folder=folder,
            sha=folder.name,
            kind=about["kind"],
            source=about["source"],
            label=about["label"],
            seed=about["seed"],
            n_bytes=about["bytes"],
            has_chats=about["chats"],
            digests={split: about["digests"][split] for split in (*SPLITS, *(set(about["digests"]) & {"test"}))},
            task=about.get("task", ""),
            labels=tuple(about.get("labels", ())),
            metric=about.get("metric", ""),
        )
        sizes = [corpus.path(split).stat().st_size for split in corpus.splits]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong.") from error
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}): choose the source again.") from error
    if sum(sizes) != corpus.n_bytes:
        raise ValueError(f"A file in {folder} is truncated or was changed: choose the source again.")
    return corpus


def list_corpora(library: Library) -> list[Corpus]:
    """All readable corpora; damaged ones are skipped."""
    found = []
    for about in sorted(library.corpora.glob("*/about.json")):
        try:
            found.append(open_corpus(library, about.parent.name))
        except ValueError:
            continue
    return found


def find_dataset(library: Library, name: str) -> Corpus:
    """The dataset with that label, or whose folder has that name; ValueError where there is none."""
    datasets = [corpus for corpus in list_corpora(library) if corpus.task]
    for corpus in datasets:
        if name in (corpus.label, corpus.sha):
            return corpus
    known = ", ".join(repr(corpus.label) for corpus in datasets) or "none yet"
    raise ValueError(f"There is no dataset called {name!r} in the library: it has {known}.")


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
    """The text of a user's file, with plain newlines and without a byte order mark, and how much is `done` now."""
    data = bytearray()
    try:
        with path.open("rb") as file:
            while part := file.read(_CHUNK_BYTES):
                data += part
                done += len(part)
                yield Progress(done=done, total=total)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if not data:
        raise ValueError(f"{path} is empty: choose a file with text in it.")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{path} is UTF-16 text: save it as UTF-8 first.")
    if b"\x00" in data or sum(byte in _CONTROL for byte in data[:4096]) > len(data[:4096]) // 20:
        raise ValueError(f"{path} is not a text file (it contains binary data): choose a plain text file.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text (invalid byte at offset {error.start}): save it as UTF-8 first."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n"), done


def _text_corpus(library: Library, text: str, val_fraction: float, *, source: str, label: str) -> Corpus:
    index = split_index(text, val_fraction)
    train, val = text[:index], text[index:]
    if not train.strip() or not val.strip():
        raise ValueError(
            f"{label} has only {_characters(len(text))}, too few to split into training and validation: "
            "use a longer text, of some thousand words at least."
        )
    data = {"train": train.encode(), "val": val.encode()}
    return _store(library, data, kind="text", source=source, label=label, seed=None, chats=False)


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


def _json_line(example: Example) -> bytes:
    # Unicode line separators may occur in strings; only \n ends a line.
    return (json.dumps(example, ensure_ascii=False) + "\n").encode()


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


def _store(
    library: Library,
    data: Mapping[str, bytes],
    *,
    kind: str,
    source: str,
    label: str,
    seed: int | None,
    chats: bool,
    dataset: Mapping[str, Any] | None = None,
) -> Corpus:
    """Store the corpus under the hash of its content, unless an intact copy is there already."""
    digests = {split: hashlib.sha256(part).hexdigest() for split, part in data.items()}
    identity = [kind, *digests.values(), *([json.dumps(dataset), label] if dataset else [])]
    sha256 = hashlib.sha256(":".join(identity).encode()).hexdigest()
    folder = library.corpora / sha256[:12]
    try:
        return open_corpus(library, sha256)
    except ValueError:
        if folder.exists():  # damaged: move it away, but keep it
            library.move_to_trash(folder)
    with atomic_folder(folder) as half_made:
        for split, part in data.items():
            write_synced(half_made / f"{split}{_SUFFIXES[kind]}", part)
        about = {
            "format": DATASET_FORMAT if dataset else FORMAT,
            "kind": kind,
            "source": source,
            "label": label,
            "seed": seed,
            "bytes": sum(len(part) for part in data.values()),
            "chats": chats,
            "sha256": sha256,
            "digests": digests,
            **(dataset or {}),
        }
        atomic_write_json(half_made / "about.json", about)
    return open_corpus(library, sha256)
