"""Charts of a vocabulary (lengths, frequency by rank, coverage), and a summary of its use in a corpus."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from terrarium.app.plots.pictures import Axis, round_ticks
from terrarium.app.plots.plot_spec import Goal, PlotSpec, Series, main_curve, other_curve
from terrarium.models.number_words import format_count, format_percent, format_size, format_times
from terrarium.models.tokenizers.vocabulary.token_counts import Usage
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary

LONGEST = 20
"""The length in bytes from which tokens share the last bar."""

_MAX_POINTS = 200


def lengths_picture(vocabulary: Vocabulary) -> PlotSpec:
    """Plot the number of tokens of each length in bytes."""
    longest = int(vocabulary.n_bytes.max(initial=1))
    shown = min(longest, LONGEST)
    values = np.bincount(np.clip(vocabulary.n_bytes, 1, shown), minlength=shown + 1)[1:]
    marks = [length for length in (1, 5, 10, 15, 20) if length <= shown]
    ticks = tuple((float(n), f"{n}+" if n == shown < longest else f"{n}") for n in marks)
    height = Axis(title="Tokens", low=0.0, high=float(values.max(initial=1)) * 1.05)
    heights = tuple((tick, short(tick)) for tick in round_ticks(height, 4))

    def describe(i: int) -> str:
        length = f"{i + 1} or more bytes" if i + 1 == shown < longest else format_count(i + 1, "byte")
        return f"{length}: {format_count(int(values[i]), 'token')}, {format_percent(values[i] / len(vocabulary), 1)}"

    x = np.arange(1.0, shown + 1)
    return PlotSpec(
        series=(Series(x=x, y=values.astype(np.float64), kind="bars", name="Tokens", in_legend=False),),
        title="Length",
        x_title="Bytes in a token",
        y_title="Tokens",
        x_range=(0.4, shown + 0.6),
        y_range=(0.0, height.high),
        x_names=ticks,
        y_names=heights,
        words=describe,
    )


def zipf_picture(vocabulary: Vocabulary, usage: Usage) -> PlotSpec:
    """Plot frequency by rank on logarithmic axes, with Zipf's law (∝ 1 / rank) for comparison."""
    ranks = _spread(len(usage.frequencies))
    values = usage.frequencies[ranks - 1]

    def describe(i: int) -> str:
        row = int(usage.order[ranks[i] - 1])
        return f"rank {ranks[i]:,}: {vocabulary.shown[row]}\noccurs {format_times(int(values[i]))}"

    x = ranks.astype(np.float64)
    return PlotSpec(
        series=(
            main_curve(x, values.astype(np.float64), "Occurrences"),
            other_curve(x, usage.frequencies[0] / x, "1 / rank"),
        ),
        title="Frequency",
        x_title="Rank",
        y_title="Occurrences",
        x_range=(1.0, max(x[-1], 2.0)),
        y_range=(1.0, max(float(values[0]), 2.0)),
        is_log_x=True,
        words=describe,
    )


def coverage_picture(usage: Usage) -> PlotSpec:
    """Plot the share of the corpus that the n most frequent tokens cover, by n."""
    ranks = _spread(len(usage.frequencies))
    values = 100 * usage.coverage[ranks - 1]

    def describe(i: int) -> str:
        tokens = "The most frequent token" if ranks[i] == 1 else f"The {ranks[i]:,} most frequent"
        return f"{tokens}:\n{values[i]:.1f} % of the corpus"

    x = ranks.astype(np.float64)
    return PlotSpec(
        series=(main_curve(x, values),),
        goals=(Goal(value=90.0, name="90 %", at_left=True),),
        title="Coverage",
        x_title="Most frequent tokens",
        y_title="% of the corpus",
        x_range=(1.0, max(x[-1], 2.0)),
        y_range=(0.0, 100.0),
        is_log_x=True,
        words=describe,
    )


def describe_usage(vocabulary: Vocabulary, usage: Usage, corpus: str) -> str:
    """Summarize the counts in a few sentences."""
    n_produced, n_once = len(usage.frequencies), usage.n("once")
    n_step, n_never, n_cannot = usage.n("step"), usage.n("never", "unreachable"), usage.n("unreachable")
    n_90 = usage.n_for(0.9)
    sentences = [
        f"{format_size(usage.corpus.n_bytes)} of {corpus} are {format_count(usage.n_tokens, 'token')}, "
        f"{usage.corpus.n_bytes / usage.n_tokens:.2f} bytes each on average.",
        f"{n_produced:,} of the {len(vocabulary):,} tokens occur; "
        + (f"the {n_90:,} most frequent are 90 % of the corpus," if n_90 > 1 else "a single one is 90 % of the corpus,")
        + (
            f" and {n_once:,} ({format_percent(n_once / n_produced, 1)}) {'occurs' if n_once == 1 else 'occur'} once."
            if n_once
            else " and no token occurs only once."
        ),
    ]
    never = f"{n_never:,} {'is' if n_never == 1 else 'are'} never produced"
    if n_cannot:
        never += f" ({n_cannot:,} of them cannot be, whatever the text)"
    if vocabulary.model == "BPE":
        never += f", and {n_step:,} {'is' if n_step == 1 else 'are'} only a step towards longer tokens"
    sentences.append(f"{never}.")
    return " ".join(sentences)


def short(n: float) -> str:
    """Format a round number for an axis: 500, 2 k, 1.5 M."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if n >= factor:
            return f"{n / factor:g} {letter}"
    return f"{n:g}"


def _spread(n: int) -> NDArray[np.int64]:
    """Return ranks from 1 to n, evenly spaced on a logarithmic axis."""
    return np.unique(np.round(np.logspace(0, math.log10(max(n, 1)), _MAX_POINTS)).astype(np.int64))
