"""The texts of whatever can be read to measure tokenizers on: corpora, sources that make one, files, a text at hand."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from models.data.corpus import SPLITS, open_corpus
from models.data.sources import prepare_corpus
from models.data.tiny_world.parallel import N_STORIES, stories
from models.events import Event, Phase, Progress
from models.library.library import Library
from models.settings.run_spec import DataSpec
from models.tokenizers.making.texts import example_texts, read_texts

_LOOK = 1 << 20
"""Characters of examples that are looked at to tell how much of them is text."""


@dataclass(frozen=True, kw_only=True)
class CorpusChoice:
    """Which texts: source is "tiny-world", "stdlib", "corpus" (`sha`), "files" (`files`) or "text" (`text` itself)."""

    source: str
    sha: str = ""
    files: tuple[str, ...] = ()
    text: str = ""


class CorpusTexts(NamedTuple):
    """What to call them; about how many bytes of text they are; the texts, to be read once."""

    label: str
    n_bytes: int
    texts: Iterator[str]


def corpus_texts(library: Library, choice: CorpusChoice) -> Generator[Event, None, CorpusTexts]:
    """The texts of a choice, both splits of a corpus; the corpus is built where the library does not have it yet.

    Before the texts are asked for, no more of the files is read than the beginning of examples, for `n_bytes`; then a
    block at a time.

    Raises:
        ValueError: where the corpus is gone or damaged, no file was chosen, or one is missing.
    """
    if choice.source == "text":
        data = choice.text.encode(errors="replace")  # a text field can hold half of a surrogate pair
        return CorpusTexts("the text at hand", len(data), iter([data.decode()]))
    if choice.source == "files":
        return _of_files([Path(file) for file in choice.files])
    if choice.source == "corpus":
        corpus = open_corpus(library, choice.sha)
    else:
        corpus = yield from prepare_corpus(library, DataSpec(source=choice.source))
    paths = [corpus.path(split) for split in SPLITS]
    return CorpusTexts(corpus.label, sum(map(_n_bytes, paths)), read_texts(paths))


def language_texts(language: str, n: int = N_STORIES) -> Generator[Event, None, CorpusTexts]:
    """`n` stories of Tiny World in one of LANGUAGE_NAMES, the same ones in each."""
    yield Phase(name=f"Telling stories in {language}")
    told = []
    for story in stories(language, n):
        told.append(story)
        if len(told) % 500 == 0:
            yield Progress(done=len(told), total=n)
    return CorpusTexts(language, sum(len(story.encode()) for story in told), iter(told))


def files_label(files: Sequence[str]) -> str:
    """What files are called together: “notes.txt and 2 more”."""
    names = [Path(file).name for file in files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _of_files(paths: list[Path]) -> CorpusTexts:
    if not paths:
        raise ValueError("No file is chosen: choose at least one text file.")
    return CorpusTexts(files_label([str(path) for path in paths]), sum(map(_n_bytes, paths)), read_texts(paths))


def _n_bytes(path: Path) -> int:
    """About how many bytes of text a file holds: of examples, as many to the byte as its first lines. 0 without one."""
    if not path.is_file():
        return 0
    size = path.stat().st_size
    if path.suffix != ".jsonl":
        return size
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = file.readlines(_LOOK)
    n_lines = sum(len(line.encode()) for line in lines)
    return round(size * sum(len(text.encode()) for text in example_texts(lines, path)) / max(n_lines, 1))
