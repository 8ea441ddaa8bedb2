"""Corpora: training texts, split and stored by content hash, so that a run can resume if the source was deleted.

A corpus is the folder corpora/<first 12 digits of its SHA-256>/ with about.json and, depending on its kind, train.txt
and val.txt ("text") or train.jsonl and val.jsonl ("examples": {"text": …} or {"messages": […]} per line). A dataset is
a corpus of examples with a task; its rows have the columns of that task, and it may have a third split, test.

A large corpus has a split of more than one block (models.corpora.blocks): about.json has the digest of each block, and
train.offsets … (int64) the offset of each line. It is never read completely into memory. No torch import.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import shutil
import time
from codecs import iterdecode
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from terrarium.models.corpora.blocks import BlockFile, BlockWriter, JsonRows, StoredOffsets, check_room
from terrarium.models.events import Event, Progress
from terrarium.models.files.atomic import (
    TEMPORARY_PREFIX,
    DamagedError,
    atomic_write_json,
    publish_folder,
    read_json,
    replace_path,
    temporary_folder,
)
from terrarium.models.library.library import Library
from terrarium.models.library.run_record import is_locked, lock_of
from terrarium.models.tokenizers.codec import replace_surrogates

if TYPE_CHECKING:
    from terrarium.models.runs.run_folder import RunFolder

FORMAT = 1
DATASET_FORMAT = 2
"""The format of corpora with a task, which older versions cannot read."""
SPLITS = ("train", "val")
TEST = "test"
"""A third split, which datasets may have."""
_SUFFIXES = {"text": ".txt", "examples": ".jsonl"}
SAMPLE_BYTES = 1 << 26
"""Maximum bytes to train a tokenizer on: more of the same text hardly changes it."""

_SAMPLE_PARTS = 64
_OFFSETS = ".offsets"
_BEGINNING_S = 60.0
"""Seconds after creating its folder by which a writer has surely acquired its lock."""


Example = dict[str, Any]
"""{"text": str} or {"messages": [{"role": str, "content": str}, …]}, or another row of models.settings.tasks."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A corpus on disk.

    `sha`: the folder's name (12 digits of the SHA-256). `source`: "files", "stdlib", "examples" or "pronouns".
    `label`: the displayed name. `n_bytes`: of all splits. `has_chats`: whether there is any {"messages": …}.
    `digests`: split → SHA-256 of its file. A dataset has a `task` (of TASKS; else ""), its `labels` in the order of a
    model's outputs, and the headline `metric`. A large corpus has `blocks`, split → digest of each block of
    `block_bytes` of its file.
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
    blocks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    block_bytes: int = 0

    @property
    def is_large(self) -> bool:
        """Whether it is too large to read into memory: use `rows`, `text_blocks` and `sample_text` then."""
        return bool(self.blocks)

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits: "train", "val" and, if it exists, "test"."""
        return tuple(self.digests)

    def path(self, split: str) -> Path:
        """Return the file of a split."""
        assert split in self.splits
        return self.folder / f"{split}{_SUFFIXES[self.kind]}"

    def read_text(self, split: str) -> str:
        """Return the text of a split (kind "text"). Raises ValueError, naming the file, if it is damaged."""
        assert self.kind == "text"
        return self._read(split).decode()

    def read_examples(self, split: str) -> list[Example]:
        """Return the examples of a split (kind "examples"). Raises ValueError, naming the file, if it is damaged."""
        assert self.kind == "examples"
        return [json.loads(line) for line in self._read(split).split(b"\n") if line]

    def rows(self, split: str) -> JsonRows:
        """Return the examples of a split, read lazily. Raises ValueError, naming the file, if it is damaged."""
        assert self.kind == "examples"
        file, stored = self.file(split), self._offsets_file(split)
        if split in self.blocks and stored.is_file() and stored.stat().st_size % 8 == 0 < stored.stat().st_size:
            offsets = StoredOffsets(stored)
            if offsets[-1] == file.size:
                return JsonRows(file, offsets)
        return JsonRows(file, file.line_offsets())

    def text_blocks(self, split: str) -> Iterator[str]:
        """Iterate over the text of a split (kind "text") in parts; ValueError, naming the file, if it is damaged."""
        assert self.kind == "text"
        return iterdecode(self.file(split).chunks(), "utf-8")

    def sample_text(self, split: str, n_bytes: int) -> str:
        """Return the text of a split (kind "text"); of a large corpus only about `n_bytes`, from all parts of it."""
        if not self.is_large:
            return self.read_text(split)
        return b"".join(self._sample_parts(split, n_bytes)).decode(errors="ignore")

    def sample_events(self, split: str) -> Generator[Event, None, Path]:
        """Return the file of a split, or for a larger split a file with SAMPLE_BYTES of lines from all parts of it.

        The sample file is created on first use, yielding Progress.
        """
        file = self.path(split)
        if not self.is_large or file.stat().st_size <= SAMPLE_BYTES:
            return file
        sample = self.folder / f"{split}-sample{file.suffix}"
        if not sample.is_file():
            with temporary_folder(sample) as folder:
                with (folder / sample.name).open("wb") as made:
                    for done, part in enumerate(self._sample_parts(split, SAMPLE_BYTES), start=1):
                        made.write(part)
                        yield Progress(done=done, total=_SAMPLE_PARTS)
                replace_path(folder / sample.name, sample)
        return sample

    def _sample_parts(self, split: str, n_bytes: int) -> Iterator[bytes]:
        """Yield complete lines from evenly spaced parts of a split, in order; of a text, parts of very long lines."""
        file = self.file(split)
        for i in range(_SAMPLE_PARTS):
            start = i * file.size // _SAMPLE_PARTS
            data = file.read(start, start + n_bytes // _SAMPLE_PARTS)
            first = data.find(b"\n") + 1 if i else 0
            whole = data[first : data.rfind(b"\n") + 1]
            yield data if not whole and self.kind == "text" else whole

    def file(self, split: str) -> BlockFile:
        """Open the file of a split for reading in parts. Raises ValueError if missing."""
        if split in self.blocks:
            return BlockFile(self.path(split), self.blocks[split], self.block_bytes)
        return BlockFile(self.path(split), [self.digests[split]])

    def _offsets_file(self, split: str) -> Path:
        return self.folder / f"{split}{_OFFSETS}"

    def _read(self, split: str) -> bytes:
        file = self.file(split)
        return file.read(0, file.size)


class CorpusWriter:
    """Writes a corpus of any size, row by row. A context manager: without `finish`, no files remain.

    `kind`, `source` and `seed` as in Corpus. `n_bytes`: the size, if known, to fail early with ValueError if the disk
    has too little room.

        with CorpusWriter(library) as writer:
            for split, row in rows:
                writer.add(split, row)
            corpus = writer.finish("my data", task="classification", labels=["ham", "spam"], metric="macro_f1")
    """

    def __init__(
        self,
        library: Library,
        kind: str = "examples",
        *,
        source: str = "examples",
        seed: int | None = None,
        n_bytes: int = 0,
    ) -> None:
        check_room(library.corpora, n_bytes, "This text")
        self._library, self._kind, self._source, self._seed = library, kind, source, seed
        self._has_chats = False
        self._exit = contextlib.ExitStack()
        self._files: dict[str, BlockWriter] = {}
        self._offsets: dict[str, IO[bytes]] = {}
        self.n_rows = dict.fromkeys((*SPLITS, TEST), 0)
        """The number of rows so far, by split."""

    def __enter__(self) -> CorpusWriter:
        with contextlib.ExitStack() as stack:
            self._library.corpora.mkdir(parents=True, exist_ok=True)
            _clear_abandoned(self._library.corpora)
            self._folder = stack.enter_context(temporary_folder(self._library.corpora / "corpus"))
            self._lock = stack.enter_context(lock_of(self._folder))
            for split in SPLITS:
                self._open(split)
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files.values():
            file.abandon()
        for offsets in self._offsets.values():
            offsets.close()
        self._exit.close()

    @property
    def bytes_written(self) -> int:
        """The number of bytes so far (UTF-8), of all splits."""
        return sum(file.n_bytes for file in self._files.values())

    def add(self, split: str, row: Example) -> None:
        """Append an example to "train", "val" or "test" (kind "examples")."""
        assert self._kind == "examples"
        if split not in self._files:
            assert split == TEST
            self._open(split)
        self._has_chats = self._has_chats or "messages" in row
        file = self._files[split]
        file.write(_encoded(json_line(row)))
        self._offsets[split].write(file.n_bytes.to_bytes(8, "little"))
        self.n_rows[split] += 1

    def add_text(self, split: str, text: str) -> None:
        """Append text to "train" or "val" (kind "text")."""
        assert self._kind == "text"
        self._files[split].write(text.encode())

    def finish(self, label: str, *, task: str = "", labels: Sequence[str] = (), metric: str = "") -> Corpus:
        """Store the corpus under the hash of its content, unless an intact copy exists, and return it."""
        for file in self._files.values():
            file.close()
        for offsets in self._offsets.values():
            offsets.close()
        dataset = {"task": task, "labels": list(labels), "metric": metric} if task else {}
        digests = {split: file.digest for split, file in self._files.items()}
        identity = [self._kind, *digests.values(), *([json.dumps(dataset), label] if dataset else [])]
        sha256 = hashlib.sha256(":".join(identity).encode()).hexdigest()
        folder = self._library.corpora / sha256[:12]
        for _ in range(2):  # another process may create it right after the first attempt
            with contextlib.suppress(ValueError):
                return open_corpus(self._library, sha256)
            if not folder.exists():
                break
        else:  # damaged: move it to the trash, where it can be restored from
            self._library.move_to_trash(folder)
        about = {
            "format": DATASET_FORMAT if dataset else FORMAT,
            "kind": self._kind,
            "source": self._source,
            "label": label,
            "seed": self._seed,
            "bytes": self.bytes_written,
            "chats": self._has_chats,
            "sha256": sha256,
            "digests": digests,
            **dataset,
            **self._blocks(),
        }
        atomic_write_json(self._folder / "about.json", about)
        self._lock.release()
        (self._folder / "lock").unlink(missing_ok=True)
        try:
            publish_folder(self._folder, folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # these: another process stored the same corpus
                raise
        return open_corpus(self._library, sha256)

    def _blocks(self) -> dict[str, Any]:
        """Return the about.json entries of a large corpus; otherwise delete the offsets and return {}."""
        if all(len(file.block_digests) == 1 for file in self._files.values()):
            for offsets in self._offsets.values():
                Path(offsets.name).unlink()
            return {}
        digests = {split: file.block_digests for split, file in self._files.items()}
        return {"blocks": digests, "block_bytes": self._files["train"].block_bytes}

    def _open(self, split: str) -> None:
        self._files[split] = BlockWriter(self._folder / f"{split}{_SUFFIXES[self._kind]}")
        if self._kind == "examples":
            self._offsets[split] = (self._folder / f"{split}{_OFFSETS}").open("wb")
            self._offsets[split].write(bytes(8))


def _clear_abandoned(corpora: Path) -> None:
    """Delete the temporary folders of killed writers."""
    for leftover in corpora.glob(f"{TEMPORARY_PREFIX}*"):
        began = (leftover / "lock").exists() and time.time() - leftover.stat().st_mtime > _BEGINNING_S
        if began and not is_locked(leftover):
            shutil.rmtree(leftover, ignore_errors=True)


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
    """Store examples that are already split as a corpus; `source`, `label` and `seed` record their origin.

    With a `task` it is a dataset (see Corpus).
    """
    with CorpusWriter(library, source=source, seed=seed) as writer:
        for split, examples in (("train", train), ("val", val), (TEST, test)):
            for example in examples:
                writer.add(split, example)
        return writer.finish(label, task=task, labels=labels, metric=metric)


def open_run_corpus(library: Library, run: RunFolder) -> Corpus:
    """Open the training corpus of a run. Raises ValueError like `open_corpus`."""
    sha = run.made_from("corpus")
    return open_corpus(library, sha, str(run.lineage["corpus"].get("name", "")))


def open_corpus(library: Library, sha: str, name: str = "") -> Corpus:
    """Open the corpus with the SHA-256 `sha` (the first 12 digits are enough).

    Args:
        name: its label when it was used, for a message.

    Raises:
        ValueError: if the corpus is missing (or in the trash), or damaged; the message names the file.
    """
    if not re.match("[0-9a-f]{12}", sha):
        raise ValueError(f"{sha!r} is not a corpus of the library: choose the source again.")
    folder = library.corpora / sha[:12]
    path = folder / "about.json"
    if not folder.is_dir():
        raise DamagedError(
            f"The data {name or sha[:12]!r} is not in the library: restore it from the trash, or import it again."
        )
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
            digests={split: about["digests"][split] for split in (*SPLITS, *(set(about["digests"]) & {TEST}))},
            task=about.get("task", ""),
            labels=tuple(about.get("labels", ())),
            metric=about.get("metric", ""),
            blocks={split: tuple(digests) for split, digests in about.get("blocks", {}).items()},
            block_bytes=about.get("block_bytes", 0),
        )
        sizes = [corpus.path(split).stat().st_size for split in corpus.splits]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error} is missing or wrong.") from error
    except OSError as error:
        raise ValueError(f"{error.filename} cannot be read ({error.strerror}): choose the source again.") from error
    if sum(sizes) != corpus.n_bytes:
        raise ValueError(f"A file in {folder} is truncated or was changed: choose the source again.")
    return corpus


def list_corpora(library: Library) -> list[Corpus]:
    """Return all readable corpora; damaged ones are skipped."""
    found = []
    for about in sorted(library.corpora.glob("*/about.json")):
        try:
            found.append(open_corpus(library, about.parent.name))
        except ValueError:
            continue
    return found


def find_corpus(library: Library, label: str, task: str) -> Corpus | None:
    """Return the corpus with that label and task, or None."""
    return next((corpus for corpus in list_corpora(library) if (corpus.label, corpus.task) == (label, task)), None)


def find_dataset(library: Library, name: str) -> Corpus:
    """Return the dataset with that label or folder name. Raises ValueError if missing."""
    datasets = [corpus for corpus in list_corpora(library) if corpus.task]
    for corpus in datasets:
        if name in (corpus.label, corpus.sha):
            return corpus
    known = ", ".join(repr(corpus.label) for corpus in datasets) or "none yet"
    raise ValueError(f"There is no dataset called {name!r} in the library: it has {known}.")


_ENCODER = json.JSONEncoder(ensure_ascii=False)


def json_line(example: Example) -> str:
    """Format an example as a line of JSON; lone surrogates are not escaped."""
    # Unicode line separators may occur in strings; only \n ends a line.
    encode = _ENCODER.encode
    if all(isinstance(value, str) for value in example.values()):  # the same text, in a third of the time
        return "{" + ", ".join([f"{encode(name)}: {encode(value)}" for name, value in example.items()]) + "}\n"
    return encode(example) + "\n"


def prompt_digest(messages: Sequence[Mapping[str, str]]) -> bytes:
    """Return a 12-byte digest of a prompt, equal for the same roles and contents."""
    said = json.dumps([[message["role"], message["content"]] for message in messages])
    return hashlib.blake2b(said.encode(), digest_size=12).digest()


def _encoded(line: str) -> bytes:
    try:
        return line.encode()
    except UnicodeEncodeError:
        return replace_surrogates(line).encode()
