"""The corpus of each data source of a run, and texts for training or measuring tokenizers. No torch."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from terrarium.models.corpora.corpus import SPLITS, Corpus, find_dataset, open_corpus
from terrarium.models.corpora.text_corpora import build_stdlib_corpus, build_text_corpus_events
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world.corpus import build_tiny_world_corpus
from terrarium.models.tiny_world.pronouns import build_pronoun_corpus
from terrarium.models.tiny_world.refusals import build_rule_corpus, parse_rule_name
from terrarium.models.tiny_world.reply_format import build_format_corpus, parse_format_name
from terrarium.models.tiny_world.stories import N_STORIES, stories
from terrarium.models.tiny_world.tasks.corpora import build_task_corpus, parse_dataset_name
from terrarium.models.tiny_world.wishes import build_wish_corpus, parse_wish_name
from terrarium.models.tokenizers.making.texts import example_texts, read_texts

_SAMPLE_CHARACTERS = 1 << 20
"""Characters of examples that are read to estimate how much of a file is text."""


def prepare_corpus(library: Library, data: DataSpec) -> Generator[Event, None, Corpus]:
    """Return the corpus that `data` describes, building it if the library lacks it."""
    yield Phase(name="Preparing the text")
    if data.source == "tiny-world":
        return (yield from build_tiny_world_corpus(library, data.seed))
    if data.source == "stdlib":
        return build_stdlib_corpus(library)
    if data.source == "pronouns":
        return build_pronoun_corpus(library)
    if data.source == "dataset" and (world_task := parse_dataset_name(data.dataset)):
        return (yield from build_task_corpus(library, *world_task))
    if data.source == "dataset" and (wish := parse_wish_name(data.dataset)):
        return (yield from build_wish_corpus(library, *wish))
    if data.source == "dataset" and (rule := parse_rule_name(data.dataset)):
        return (yield from build_rule_corpus(library, *rule))
    if data.source == "dataset" and (form := parse_format_name(data.dataset)):
        return (yield from build_format_corpus(library, *form))
    if data.source == "dataset":
        return find_dataset(library, data.dataset)
    return (yield from build_text_corpus_events(library, data.files, data.val_fraction, data.max_bytes))


@dataclass(frozen=True, kw_only=True)
class CorpusChoice:
    """The selected texts: source is "tiny-world", "stdlib", "corpus" (`sha`), "files" (`files`) or "text" (`text`)."""

    source: str
    sha: str = ""
    files: tuple[str, ...] = ()
    text: str = ""


class CorpusTexts(NamedTuple):
    """Texts to read once, with a label and their approximate size in bytes."""

    label: str
    n_bytes: int
    texts: Iterator[str]


def chosen_corpus(library: Library, choice: CorpusChoice) -> Generator[Event, None, Corpus]:
    """Return the corpus of a choice other than "text", building it if the library lacks it.

    Raises:
        ValueError: as open_corpus and prepare_corpus.
    """
    if choice.source == "corpus":
        return open_corpus(library, choice.sha)
    return (yield from prepare_corpus(library, DataSpec(source=choice.source, files=choice.files)))


def corpus_texts(library: Library, choice: CorpusChoice) -> Generator[Event, None, CorpusTexts]:
    """Return the texts of a choice (of a corpus, both splits), building the corpus if the library lacks it.

    Until the texts are iterated, only the beginning of example files is read, for `n_bytes`; then one block at a time.

    Raises:
        ValueError: if the corpus is missing or damaged, no file was chosen, or a file is missing.
    """
    if choice.source == "text":
        data = choice.text.encode(errors="replace")  # a text field can contain an unpaired surrogate
        return CorpusTexts("your text", len(data), iter([data.decode()]))
    if choice.source == "files":
        return _of_files([Path(file) for file in choice.files])
    corpus = yield from chosen_corpus(library, choice)
    paths = [corpus.path(split) for split in SPLITS]
    return CorpusTexts(corpus.label, sum(map(_n_bytes, paths)), read_texts(paths))


def language_texts(language: str, n: int = N_STORIES) -> Generator[Event, None, CorpusTexts]:
    """Generate `n` stories of Tiny World in one of LANGUAGE_NAMES; they are the same in each language."""
    yield Phase(name=f"Generating stories in {language}")
    texts = []
    for story in stories(language, n):
        texts.append(story)
        if len(texts) % 500 == 0:
            yield Progress(done=len(texts), total=n)
    return CorpusTexts(language, sum(len(story.encode()) for story in texts), iter(texts))


def files_label(files: Sequence[str]) -> str:
    """Return a label for several files: “notes.txt and 2 more”."""
    names = [Path(file).name for file in files]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _of_files(paths: list[Path]) -> CorpusTexts:
    if not paths:
        raise ValueError("No file chosen: choose at least one text file.")
    return CorpusTexts(files_label([str(path) for path in paths]), sum(map(_n_bytes, paths)), read_texts(paths))


def _n_bytes(path: Path) -> int:
    """Return the approximate number of bytes of text in a file, estimated for examples. 0 if it is missing."""
    if not path.is_file():
        return 0
    size = path.stat().st_size
    if path.suffix != ".jsonl":
        return size
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        lines = file.readlines(_SAMPLE_CHARACTERS)
    n_lines = sum(len(line.encode()) for line in lines)
    return round(size * sum(len(text.encode()) for text in example_texts(lines, path)) / max(n_lines, 1))
