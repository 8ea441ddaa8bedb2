"""Comparison of tokenizers on the same texts: tokens, words kept whole, unknown tokens, and what each costs a model."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from terrarium.models.design import total_parameters
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.codec import text_parts
from terrarium.models.tokenizers.making.texts import BATCH_CHARACTERS, batches
from terrarium.models.tokenizers.special_tokens import unknown_ids
from terrarium.models.tokenizers.token_bytes import TokenBytes

_SPACED = re.compile(r"\S+")
_WORD = re.compile(r"\w(?:\S*\w)?")
"""A word without the punctuation around it."""
_Ints = NDArray[np.int64]


class TextSource(Protocol):
    """Texts that can be read once (a CorpusTexts), with a label and their approximate size in bytes."""

    @property
    def label(self) -> str: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def texts(self) -> Iterable[str]: ...


TextLoader = Callable[[], Generator[Event, None, TextSource]]
"""Loads texts; a generator of events, because a corpus may have to be built first."""


@dataclass(frozen=True, kw_only=True)
class MeasuredPart(Event):
    """One part of the texts, such as a language, was measured. `figures`: by name of the tokenizer."""

    label: str
    figures: Mapping[str, Figures]


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """The cost of a vocabulary for a design, and how much text fits into its context at the measured rate."""

    vocabulary_parameters: int
    total_parameters: int
    context_characters: float
    context_words: float

    @property
    def share(self) -> float:
        """The vocabulary's share of all parameters."""
        return self.vocabulary_parameters / self.total_parameters


def compare(
    tokenizers: Mapping[str, Tokenizer], sources: Iterable[TextLoader]
) -> Generator[Event, None, list[MeasuredPart]]:
    """Measure tokenizers on one source of texts after another; can be cancelled about every 0.5 MB.

    Yields Phase and Progress (in bytes of text times tokenizers), and each MeasuredPart.

    Raises:
        ValueError: if texts cannot be read, or contain no words.
    """
    parts = []
    for source in sources:
        loaded = yield from source()
        yield Phase(name=f"Measuring on {loaded.label}")
        figures = yield from measure(tokenizers, loaded)
        if not all(each.n_words for each in figures.values()):
            raise ValueError(f"There are no words in {loaded.label}: choose another text.")
        parts.append(MeasuredPart(label=loaded.label, figures=figures))
        yield parts[-1]
    return parts


def measure(tokenizers: Mapping[str, Tokenizer], loaded: TextSource) -> Generator[Event, None, dict[str, Figures]]:
    """Measure each tokenizer, by name, on the same texts. Yields Progress."""
    total, done, began = len(tokenizers) * loaded.n_bytes, 0, time.monotonic()
    yield Progress(done=0, total=total)
    work = measure_texts(list(tokenizers.values()), loaded.texts)
    while True:
        try:
            n_bytes = next(work)
        except StopIteration as end:
            return dict(zip(tokenizers, end.value, strict=True))
        done += n_bytes
        total = max(total, done)  # n_bytes was an estimate
        left = (time.monotonic() - began) * (total - done) / max(done, 1)
        yield Progress(done=done, total=total, seconds_left=left)


def model_cost(design: ModelConfig, vocab_size: int, figures: Figures) -> ModelCost:
    """Return the parameters that a vocabulary of this size takes in a design, and the text that fits into its context.

    figures: of the texts that set the rate; without tokens, the text that fits is NaN.
    """
    # Parameters are linear in the vocabulary size, so one more token gives the cost of each in any design: a row of
    # the embedding, another one if the head is not tied, a bias if it has one.
    total = total_parameters(design)
    per_token = total_parameters(dataclasses.replace(design, vocab_size=design.vocab_size + 1)) - total
    return ModelCost(
        vocabulary_parameters=vocab_size * per_token,
        total_parameters=total + (vocab_size - design.vocab_size) * per_token,
        context_characters=design.context_length * figures.characters_per_token,
        context_words=design.context_length * figures.words_per_token,
    )


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Counts of one tokenizer on some texts. A ratio with denominator 0 is NaN.

    Attributes:
        n_bytes, n_characters: of the texts, in UTF-8 and in Unicode code points.
        n_words: separated by white space; languages without spaces have almost none.
        n_bare_words: words with a letter or digit, without the punctuation around them.
        n_tokens, n_unknown: all tokens, and unknown tokens.
        n_whole: bare words within one token, with or without punctuation.
    """

    n_bytes: int = 0
    n_characters: int = 0
    n_words: int = 0
    n_bare_words: int = 0
    n_tokens: int = 0
    n_unknown: int = 0
    n_whole: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(Figures)})

    @property
    def tokens_per_word(self) -> float:
        """Fertility."""
        return _ratio(self.n_tokens, self.n_words)

    @property
    def words_per_token(self) -> float:
        return _ratio(self.n_words, self.n_tokens)

    @property
    def characters_per_token(self) -> float:
        return _ratio(self.n_characters, self.n_tokens)

    @property
    def bytes_per_token(self) -> float:
        return _ratio(self.n_bytes, self.n_tokens)

    @property
    def whole_share(self) -> float:
        """The share of bare words within one token."""
        return _ratio(self.n_whole, self.n_bare_words)

    @property
    def unknown_share(self) -> float:
        """The share of unknown tokens."""
        return _ratio(self.n_unknown, self.n_tokens)


def measure_texts(tokenizers: Sequence[Tokenizer], texts: Iterable[str]) -> Generator[int, None, tuple[Figures, ...]]:
    """Encode each text like `encode_text` with each tokenizer; returns the figures in the order of the tokenizers.

    Yields how many bytes were encoded since the last yield, in total the size of the texts times the number of
    tokenizers. Apart from single longer texts, about a megabyte of text is in memory at a time.
    """
    counters = [_Counter(tokenizer) for tokenizer in tokenizers]
    totals = [Figures()] * len(counters)
    for batch in map(_Batch, batches(texts)):
        for i, counter in enumerate(counters):
            figures = yield from counter.count(batch)
            totals[i] += figures
    return tuple(totals)


class _Batch:
    """Texts joined with line breaks, so that no word spans two of them.

    Attributes:
        texts: at least one.
        byte_at: (characters + 1,) the byte offset of each character in UTF-8.
        starts: the start of each text, in characters.
        word_starts, word_ends: (words,) of bare words, in bytes.
        figures: the counts that do not depend on the tokenizer.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts
        joined = "\n".join(texts)
        codes = np.frombuffer(joined.encode("utf-32-le"), np.uint32)
        widths = np.ones(len(codes), np.int64)
        for above in (0x7F, 0x7FF, 0xFFFF):
            widths += codes > above
        self.byte_at: _Ints = np.concatenate(([0], np.cumsum(widths)))
        self.starts = [0, *itertools.accumulate(len(text) + 1 for text in texts)][:-1]
        spans = np.fromiter(itertools.chain.from_iterable(m.span() for m in _WORD.finditer(joined)), np.int64)
        self.word_starts: _Ints = self.byte_at[spans[0::2]]
        self.word_ends: _Ints = self.byte_at[spans[1::2]]
        n_breaks = len(texts) - 1
        self.figures = Figures(
            n_bytes=int(self.byte_at[-1]) - n_breaks,
            n_characters=len(joined) - n_breaks,
            n_words=sum(1 for _ in _SPACED.finditer(joined)),
            n_bare_words=len(self.word_starts),
        )


class _Counter:
    """Counts for one tokenizer."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = TokenBytes(tokenizer)
        self._unknown = np.array(sorted(unknown_ids(tokenizer)), np.int64)

    def count(self, batch: _Batch) -> Generator[int, None, Figures]:
        """Count one batch; yields as `measure_texts`."""
        found: list[tuple[_Ints, _Ints, _Ints]] = []
        for located in _grouped(self._placed_parts(batch)):
            found.append(self._encode(batch, located))
            yield sum(int(batch.byte_at[at + len(part)] - batch.byte_at[at]) for at, part in located)
        ids, starts, ends = (np.concatenate([part[i] for part in found]) for i in range(3))
        unknown = np.isin(ids, self._unknown)
        return batch.figures + Figures(
            n_tokens=len(ids),
            n_unknown=int(unknown.sum()),
            n_whole=_n_whole(batch, starts, ends, unknown),
        )

    def _placed_parts(self, batch: _Batch) -> Iterator[tuple[int, str]]:
        """Yield (start in characters, text) of each part that is encoded on its own."""
        for at, text in zip(batch.starts, batch.texts, strict=True):
            for part in text_parts(self._tokenizer, text):
                yield at, part
                at += len(part)

    def _encode(self, batch: _Batch, located: Sequence[tuple[int, str]]) -> tuple[_Ints, _Ints, _Ints]:
        """Return (ids, starts, ends) of the tokens, in bytes of the batch."""
        parts = [part for _, part in located]
        if self._bytes.tile_the_text:
            encodings = self._tokenizer.encode_batch_fast(parts, add_special_tokens=False)
            ids, counts = _ids_of(encodings)
            lengths = self._lengths(ids)
            first = batch.byte_at[[at for at, _ in located]]
            size = batch.byte_at[[at + len(part) for at, part in located]] - first
            sums = np.concatenate(([0], np.cumsum(lengths)))
            token_at = np.concatenate(([0], np.cumsum(counts)))
            if np.array_equal(sums[token_at[1:]] - sums[token_at[:-1]], size):
                starts = sums[:-1] + np.repeat(first - sums[token_at[:-1]], counts)
                return ids, starts, starts + lengths
        # Where tokens do not tile the text, use the offsets of the library.
        encodings = self._tokenizer.encode_batch(parts, add_special_tokens=False)
        ids, counts = _ids_of(encodings)
        flat = itertools.chain.from_iterable
        offsets = np.fromiter(flat(flat(encoding.offsets for encoding in encodings)), np.int64)
        begins = np.repeat([at for at, _ in located], counts)
        return ids, batch.byte_at[begins + offsets[0::2]], batch.byte_at[begins + offsets[1::2]]

    def _lengths(self, ids: _Ints) -> _Ints:
        """Return the length of each token in bytes."""
        kinds, number = np.unique(ids, return_inverse=True)
        sizes = np.fromiter((len(self._bytes[id]) for id in kinds.tolist()), np.int64, len(kinds))
        found: _Ints = sizes[number]
        return found


def _ids_of(encodings: Sequence[Encoding]) -> tuple[_Ints, _Ints]:
    """Return (all ids concatenated, the number of ids of each encoding)."""
    lists = [encoding.ids for encoding in encodings]
    counts = np.fromiter(map(len, lists), np.int64, len(lists))
    return np.fromiter(itertools.chain.from_iterable(lists), np.int64, int(counts.sum())), counts


def _n_whole(batch: _Batch, starts: _Ints, ends: _Ints, unknown: NDArray[np.bool_]) -> int:
    """Return how many bare words overlap a single token, which is not unknown."""
    first = np.searchsorted(ends, batch.word_starts, side="right")
    after = np.searchsorted(starts, batch.word_ends, side="left")
    alone = first[after - first == 1]
    return int((~unknown[alone]).sum())


def _grouped(located: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """Yield the parts in groups to encode together."""
    group: list[tuple[int, str]] = []
    size = 0
    for item in located:
        group.append(item)
        size += len(item[1])
        if size >= BATCH_CHARACTERS:
            yield group
            group, size = [], 0
    if group:
        yield group


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
