"""Comparison of tokenizers on the same texts, part by part, and of what each costs a model."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tokenizers import Tokenizer

from terrarium.models.design import total_parameters
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.tokenizers.text.text_measures import Figures, measure_texts


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
