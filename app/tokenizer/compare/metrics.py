"""The metrics of the comparison: title, explanation, format, and which direction is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from terrarium.models.number_words import format_compact, format_percent
from terrarium.models.tokenizers.text.compare import Figures, ModelCost


@dataclass(frozen=True)
class Metric:
    """A metric of a tokenizer, computed by either `of_texts` or `of_design`.

    better: -1 if less is better, 1 if more is, 0 if neither.
    """

    title: str
    tip: str
    formatter: Callable[[float], str]
    better: int
    of_texts: Callable[[Figures], float] | None = None
    of_design: Callable[[ModelCost], float] | None = None

    def value(self, figures: Figures | None, cost: ModelCost | None) -> float:
        """Return the value, NaN if unknown."""
        if self.of_texts is not None:
            return math.nan if figures is None else self.of_texts(figures)
        assert self.of_design is not None
        return math.nan if cost is None else self.of_design(cost)

    @property
    def direction(self) -> str:
        """Which direction is better, for display."""
        return {-1: "lower is better", 1: "higher is better"}.get(self.better, "")

    def format(self, value: float) -> str:
        """Format a value."""
        return "–" if math.isnan(value) else self.formatter(value)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _tokens(value: float) -> str:
    return _count(value) if value < 1e6 else format_compact(value)


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _share(value: float) -> str:
    return format_percent(value, 1)


RATIOS = (
    Metric(
        "Tokens per word",
        "Tokens per word on average (fertility): fewer are better.\n"
        "Words are separated by spaces, so this means little for languages without them.",
        _ratio,
        -1,
        lambda figures: figures.tokens_per_word,
    ),
    Metric(
        "Characters per token",
        "Characters per token on average: more are better",
        _ratio,
        1,
        lambda figures: figures.characters_per_token,
    ),
    Metric(
        "Bytes per token",
        "UTF-8 bytes per token on average: more are better",
        _ratio,
        1,
        lambda figures: figures.bytes_per_token,
    ),
    Metric(
        "Whole words",
        "The share of words that are a single token, ignoring the punctuation around them",
        _share,
        1,
        lambda figures: figures.whole_share,
    ),
    Metric(
        "Unknown tokens",
        "The share of unknown tokens: this text is lost",
        _share,
        -1,
        lambda figures: figures.unknown_share,
    ),
)
"""Metrics that are comparable across texts of different sizes."""

TABLE = (
    Metric(
        "Tokens",
        "Number of tokens in the text: what the model reads",
        _tokens,
        -1,
        lambda figures: float(figures.n_tokens),
    ),
    *RATIOS,
    Metric(
        "Embedding parameters",
        "Cost of the vocabulary for the design: d_model numbers for each token, twice if the head is not tied",
        format_compact,
        -1,
        of_design=lambda cost: float(cost.vocabulary_parameters),
    ),
    Metric(
        "Share of model",
        "The vocabulary’s share of all parameters of the design",
        _share,
        0,
        of_design=lambda cost: cost.share,
    ),
    Metric(
        "Characters in context",
        "How many characters fit into the design’s context, at this rate",
        _count,
        1,
        of_design=lambda cost: cost.context_characters,
    ),
    Metric(
        "Words in context",
        "How many words fit into the design’s context, at this rate",
        _count,
        1,
        of_design=lambda cost: cost.context_words,
    ),
)
"""The columns of the table."""


def best(metric: Metric, values: Sequence[float], lossless: Sequence[bool]) -> list[bool]:
    """Return which of the values are the best; none if all are equal, or neither direction is better.

    Unknown text costs few tokens, so tokenizers without unknown tokens (`lossless`) are preferred if there are any.
    """
    known = [not math.isnan(value) for value in values]
    if not metric.better or len({value for value, is_known in zip(values, known, strict=True) if is_known}) < 2:
        return [False] * len(values)
    if any(a and b for a, b in zip(known, lossless, strict=True)):
        known = [a and b for a, b in zip(known, lossless, strict=True)]
    top = max(metric.better * value for value, is_known in zip(values, known, strict=True) if is_known)
    return [is_known and metric.better * value == top for value, is_known in zip(values, known, strict=True)]
