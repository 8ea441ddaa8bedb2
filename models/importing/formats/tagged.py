"""Sentences with a tag per word: CoNLL files (one word per line), CoNLL-U, and running text with word/TAG."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from terrarium.models.importing.formats.files import FormatError, Meter, SourceFile, read_lines
from terrarium.models.importing.formats.rows import MAX_COLUMNS, TICK, TICK_LINES, ReadOptions, Row
from terrarium.models.number_words import format_count

_UNIVERSAL = ("words", "lemma", "upos", "xpos", "feats", "head", "deprel")
_NAMES = {1: ("words",), 2: ("words", "tags"), 3: ("words", "pos", "tags"), 4: ("words", "pos", "chunk", "ner")}
"""Number of columns → their names; the four are those of CoNLL-2003."""
_MAX_WORDS = 10_000
_ENTITY = re.compile(r"O|[BILOUSEM]-\S+")
_TAG = re.compile(r"[A-Z$.,:'`\"#()_-][A-Za-z0-9$*+|.,:'`\"#()=_-]{0,15}")
_WORD_TAG = re.compile(r"\S+/[A-Za-z$.,:'`(][\w$*+.,:'`()-]{0,15}")


def read_conll(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the sentences of a file with one word and its columns per line, and empty lines between sentences.

    Lines of -DOCSTART- are left out. Each column becomes a list in the row: see _NAMES.

    Raises:
        FormatError: for a line with another number of columns than the first.
    """
    names: tuple[str, ...] = ()
    has_tabs = False
    sentence, began = list[list[str]](), 0
    for line, text in read_lines(file, options.encoding, meter):
        if line % TICK_LINES == 0:
            yield line, TICK
        text = text.rstrip("\n")
        if not text.strip() or text.startswith("-DOCSTART-"):
            if sentence:
                yield began, _row(names, sentence)
            sentence = []
            continue
        if not names:
            has_tabs = "\t" in text
        cells = text.split("\t") if has_tabs else text.split()
        if not names:
            n = len(cells)
            if n > MAX_COLUMNS:
                raise FormatError(file.name, line, f"it has more than {MAX_COLUMNS} columns: is this CoNLL?")
            names = _NAMES.get(n) or ("words", *(f"column{index}" for index in range(2, n)), "tags")
            if n < 2:
                raise FormatError(file.name, line, f"{text[:40]!r} has no tag: a line has a word and its tag.")
        if len(cells) != len(names):
            raise FormatError(
                file.name, line, f"it has {format_count(len(cells), 'column')}, but the first line has {len(names)}."
            )
        began = line if not sentence else began
        sentence.append(cells)
        _check_length(file, began, len(sentence))
    if sentence:
        yield began, _row(names, sentence)


def read_conllu(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the sentences of a CoNLL-U file (universaldependencies.org/format.html); only its words, not contractions.

    Raises:
        FormatError: for a line without ten columns.
    """
    sentence, began = list[list[str]](), 0
    for line, text in read_lines(file, options.encoding, meter):
        if line % TICK_LINES == 0:
            yield line, TICK
        text = text.rstrip("\n")
        if not text.strip():
            if sentence:
                yield began, _row(_UNIVERSAL, sentence)
            sentence = []
            continue
        if text.startswith("#"):
            continue
        cells = text.split("\t")
        if len(cells) != 10:
            raise FormatError(
                file.name, line, f"it has {format_count(len(cells), 'column')} between tabs, but CoNLL-U has 10."
            )
        if not cells[0].isdecimal():  # 1-2: a contraction of the following words; 1.1: an empty node
            continue
        began = line if not sentence else began
        sentence.append(cells[1:8])
        _check_length(file, began, len(sentence))
    if sentence:
        yield began, _row(_UNIVERSAL, sentence)


def read_word_tags(file: SourceFile, options: ReadOptions, meter: Meter | None = None) -> Iterator[tuple[int, Row]]:
    """Read the sentences of a file with one per line, each word followed by a slash and its tag: “the/DT dog/NN”.

    Raises:
        FormatError: for a word without a tag.
    """
    for line, text in read_lines(file, options.encoding, meter):
        if line % TICK_LINES == 0:
            yield line, TICK
        words, tags = list[str](), list[str]()
        for token in text.split():
            word, slash, tag = token.rpartition("/")
            if not slash or not word or not tag:
                raise FormatError(file.name, line, f"{token[:40]!r} has no tag: each word has a slash and its tag.")
            words.append(word)
            tags.append(tag)
        if words:
            yield line, {"words": words, "tags": tags}


def looks_like_conll(sample: Sequence[str]) -> bool:
    """Return whether the first lines of a text have a word and its tags each, with empty lines between."""
    lines = [text.split() for text in sample if text.strip() and not text.startswith(("-DOCSTART-", "#"))]
    if len(lines) < 2 or not 2 <= len(lines[0]) <= 12 or any(len(cells) != len(lines[0]) for cells in lines):
        return False
    tags = [cells[-1] for cells in lines]
    has_gaps = any(not text.strip() for text in sample)
    if all(_ENTITY.fullmatch(tag) for tag in tags):
        return True
    return has_gaps and all(_TAG.fullmatch(tag) for tag in tags)


def looks_like_word_tags(sample: Sequence[str]) -> bool:
    """Return whether the words of the first lines have tags after a slash."""
    tokens = [token for text in sample for token in text.split()]
    return len(tokens) >= 2 and sum(_WORD_TAG.fullmatch(token) is not None for token in tokens) >= 0.95 * len(tokens)


def _row(names: Sequence[str], sentence: Sequence[Sequence[str]]) -> Row:
    return {name: list(column) for name, column in zip(names, zip(*sentence, strict=True), strict=True)}


def _check_length(file: SourceFile, line: int, n: int) -> None:
    if n > _MAX_WORDS:
        raise FormatError(
            file.name, line, f"this sentence has more than {_MAX_WORDS:,} words: put empty lines between sentences."
        )
