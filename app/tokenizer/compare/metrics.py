"""What tokenizers are compared by: each figure with its words, how it is written, and which way is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.number_words import percent, short_count
from models.tokenizers.text.compare import ModelCost
from models.tokenizers.text.text_measures import Figures


@dataclass(frozen=True)
class Metric:
    """A figure of a tokenizer. `better`: -1 where less is better, 1 where more is, 0 where neither.

    Either `of_texts` or `of_design` tells it; NaN where there is nothing to tell.
    """

    title: str
    tip: str
    form: Callable[[float], str]
    better: int
    of_texts: Callable[[Figures], float] | None = None
    of_design: Callable[[ModelCost], float] | None = None

    def value(self, figures: Figures | None, cost: ModelCost | None) -> float:
        """The figure, NaN where it is not known."""
        if self.of_texts is not None:
            return math.nan if figures is None else self.of_texts(figures)
        assert self.of_design is not None
        return math.nan if cost is None else self.of_design(cost)

    @property
    def direction(self) -> str:
        """Which way is better, in words."""
        return {-1: "less is better", 1: "more is better"}.get(self.better, "")

    def words(self, value: float) -> str:
        """The value as it is written."""
        return "–" if math.isnan(value) else self.form(value)


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _tokens(value: float) -> str:
    return _count(value) if value < 1e6 else short_count(value)


def _ratio(value: float) -> str:
    return f"{value:.2f}"


def _share(value: float) -> str:
    return percent(value, 1)


RATIOS = (
    Metric(
        "Tokens per word",
        "How many tokens a word costs on average, also called fertility: fewer are better.\n"
        "Words are what stands between spaces, so this says little of languages without them.",
        _ratio,
        -1,
        lambda figures: figures.tokens_per_word,
    ),
    Metric(
        "Characters per token",
        "How many characters one token stands for on average: more are better",
        _ratio,
        1,
        lambda figures: figures.characters_per_token,
    ),
    Metric(
        "Bytes per token",
        "How many bytes of UTF-8 one token stands for on average: more are better",
        _ratio,
        1,
        lambda figures: figures.bytes_per_token,
    ),
    Metric(
        "Whole words",
        "The share of words that one token holds; the punctuation around a word does not count",
        _share,
        1,
        lambda figures: figures.whole_share,
    ),
    Metric(
        "Unknown tokens",
        "The share of tokens that stand for what the tokenizer does not know: that much is lost",
        _share,
        -1,
        lambda figures: figures.unknown_share,
    ),
)
"""What can be compared across texts of different sizes."""

TABLE = (
    Metric(
        "Tokens",
        "How many tokens the text is: what the model reads, one after the other",
        _tokens,
        -1,
        lambda figures: float(figures.n_tokens),
    ),
    *RATIOS,
    Metric(
        "Embedding parameters",
        "What the vocabulary costs the design: a row of d_model numbers for each token, two where the head is not tied",
        short_count,
        -1,
        of_design=lambda cost: float(cost.vocabulary_parameters),
    ),
    Metric(
        "Of model",
        "The vocabulary’s share of all parameters of the design with that vocabulary",
        _share,
        0,
        of_design=lambda cost: cost.share,
    ),
    Metric(
        "Characters in context",
        "How many characters fit into the design’s context, at the rate of these texts",
        _count,
        1,
        of_design=lambda cost: cost.context_characters,
    ),
    Metric(
        "Words in context",
        "How many words fit into the design’s context, at the rate of these texts",
        _count,
        1,
        of_design=lambda cost: cost.context_words,
    ),
)
"""The columns of the table."""


def best(metric: Metric, values: Sequence[float], lossless: Sequence[bool]) -> list[bool]:
    """Which of the values is the best of its column. None is where all are alike, or neither way is better.

    What is not known costs few tokens, so tokenizers that know all (`lossless`) are preferred where there are any.
    """
    known = [not math.isnan(value) for value in values]
    if not metric.better or len({value for value, is_known in zip(values, known, strict=True) if is_known}) < 2:
        return [False] * len(values)
    if any(a and b for a, b in zip(known, lossless, strict=True)):
        known = [a and b for a, b in zip(known, lossless, strict=True)]
    top = max(metric.better * value for value, is_known in zip(values, known, strict=True) if is_known)
    return [is_known and metric.better * value == top for value, is_known in zip(values, known, strict=True)]
