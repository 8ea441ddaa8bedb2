"""Tokenizers side by side: what each makes of the same texts, part by part, and what it costs a model."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tokenizers import Tokenizer

from models import cost
from models.events import Event, Phase, Progress
from models.settings.model_config import ModelConfig
from models.tokenizers.text.text_measures import Figures, measure_texts


class TextSource(Protocol):
    """TextSource to be read once (a CorpusTexts): what to call them, about how many bytes they have."""

    @property
    def label(self) -> str: ...
    @property
    def n_bytes(self) -> int: ...
    @property
    def texts(self) -> Iterable[str]: ...


TextLoader = Callable[[], Generator[Event, None, TextSource]]
"""Makes texts, as a generator of what there is to tell meanwhile (a corpus may have to be built first)."""


@dataclass(frozen=True, kw_only=True)
class MeasuredPart(Event):
    """One part of the texts, such as a language, is measured: the figures of each tokenizer, by its name."""

    label: str
    figures: Mapping[str, Figures]


@dataclass(frozen=True, kw_only=True)
class ModelCost:
    """What a vocabulary costs a design, and how much text it lets into the context (at the rate of measured texts)."""

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
    """Measure tokenizers on one source of texts after the other; closing it ends the work after some 0.5 MB.

    Yields Phase and Progress (in bytes of text times tokenizers), and a MeasuredPart as soon as there is one.

    Raises:
        ValueError: where texts cannot be read, or hold nothing but spaces.
    """
    parts = []
    for source in sources:
        made = yield from source()
        yield Phase(name=f"Measuring on {made.label}")
        figures = yield from measure(tokenizers, made)
        if not all(each.n_words for each in figures.values()):
            raise ValueError(f"There are no words in {made.label}, so there is nothing to compare on: choose another.")
        parts.append(MeasuredPart(label=made.label, figures=figures))
        yield parts[-1]
    return parts


def measure(tokenizers: Mapping[str, Tokenizer], made: TextSource) -> Generator[Event, None, dict[str, Figures]]:
    """The figures of each tokenizer, by its name, on the same texts. Yields Progress."""
    total, done, began = len(tokenizers) * made.n_bytes, 0, time.monotonic()
    yield Progress(done=0, total=total)
    work = measure_texts(list(tokenizers.values()), made.texts)
    while True:
        try:
            n_bytes = next(work)
        except StopIteration as end:
            return dict(zip(tokenizers, end.value, strict=True))
        done += n_bytes
        total = max(total, done)  # how many bytes there are was an estimate
        left = (time.monotonic() - began) * (total - done) / max(done, 1)
        yield Progress(done=done, total=total, seconds_left=left)


def model_cost(design: ModelConfig, vocab_size: int, figures: Figures) -> ModelCost:
    """What a design with a vocabulary of that size has in parameters for it, and what its context then holds.

    The figures are of the texts whose rate counts; without any token in them, what fits is NaN.
    """
    # Parameters are linear in the vocabulary, so one token more tells what each takes, in every design: a row of the
    # embeddings, another one where the head has its own, a bias where it has one.
    total = cost.total_parameters(design)
    per_token = cost.total_parameters(dataclasses.replace(design, vocab_size=design.vocab_size + 1)) - total
    return ModelCost(
        vocabulary_parameters=vocab_size * per_token,
        total_parameters=total + (vocab_size - design.vocab_size) * per_token,
        context_characters=design.context_length * figures.characters_per_token,
        context_words=design.context_length * figures.words_per_token,
    )
