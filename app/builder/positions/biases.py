"""Positions as what is added to attention's scores by distance: ALiBi's penalties, T5's buckets and learned biases."""

from __future__ import annotations

import math

import numpy as np

from app.builder.positions.scene import (
    MOST_DISTANCES,
    MOST_TOKENS,
    Ints,
    Scene,
    ahead_words,
    along,
    apart_words,
    down_tokens,
    weight_words,
)
from app.kit.figures.pictures import Axis, Floats, HeatPicture, Line, LinePicture, number, picks
from models.architecture import position_tables as tables
from models.architecture.rope import alibi_slopes
from models.settings.model_config import ModelConfig

FAINTEST = -8.0
"""e to this is 0.0003: a score that is so much lower counts for nothing."""


def penalties(config: ModelConfig, length: int, head: int) -> Scene:
    """ALiBi's penalty of each head by distance, and of one head as a matrix."""
    slopes = alibi_slopes(config.n_head)
    at = picks(length, MOST_DISTANCES)
    scores = tables.alibi_scores(config.n_head, at)
    tokens = picks(length, MOST_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    added = -np.float32(slopes[head]) * np.abs(distance).astype(np.float32)
    kept = np.exp(added)
    if config.is_causal:
        kept[distance > 0] = np.nan

    def describe(i: int) -> str:
        score = float(scores[head, i])
        words = f"{apart_words(int(at[i]))}: {number(score)} in head {head + 1}"
        return f"{words}\nits weight × {weight_words(math.exp(score))}"

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(kept[row, column]):
            return f"{pair}: hidden, it comes later"
        return f"{pair}: {number(float(added[row, column]))}\nits weight × {weight_words(float(kept[row, column]))}"

    lowest = max(-max(slopes) * max(length - 1, 1), FAINTEST)
    return Scene(
        words="Nothing is added to the tokens: each head's scores sink with the distance, each at its own slope, so "
        f"some heads look near and others far. Head {head + 1} loses {number(slopes[head], 4)} per token.",
        first=LinePicture(
            title=f"Penalty, head {head + 1} bold",
            at=at,
            lines=(
                *(Line(values=scores[i], tone="background") for i in range(config.n_head) if i != head),
                Line(values=scores[head]),
            ),
            x=along("Distance, tokens", length),
            y=Axis(title="Added to the score", low=lowest, high=0.0, whole=False),
            describe=describe,
        ),
        second=HeatPicture(
            title=f"Head {head + 1}: what is left",
            values=kept,
            x=along("Key (looked at)", length),
            y=down_tokens("Query", length),
            colours="sequential",
            low=0.0,
            high=1.0,
            bar=((1.0, "all"), (0.5, "½"), (0.0, "none")),
            describe=describe_cell,
            square=True,
        ),
        beside=True,
    )


def buckets(config: ModelConfig, length: int) -> Scene:
    """T5's classes of distance: a stair, and as a matrix."""
    at = _bucket_distances(config, length)
    classes = tables.t5_buckets(config, -at if config.is_causal else at)
    tokens = picks(length, MOST_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    matrix = tables.t5_buckets(config, distance).astype(np.float32)
    if config.is_causal:
        matrix[distance > 0] = np.nan
    top = config.n_bucket - 1

    def describe(i: int) -> str:
        return _bucket_words(config, int(at[i]), at, classes, int(classes[i]))

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(matrix[row, column]):
            return f"{pair}: hidden, it comes later"
        return f"{pair}: bucket {matrix[row, column]:.0f}"

    return Scene(
        words=f"Each distance belongs to one of {config.n_bucket} buckets, and each head learns one number per bucket, "
        "which is added to the score. Near distances have buckets of their own, far ones share; from "
        f"{config.max_distance:,} on all share the last. The numbers come from training: a new model has only noise.",
        first=LinePicture(
            title="Bucket by distance",
            at=at,
            lines=(Line(values=classes.astype(np.float32)),),
            x=_bucket_axis(config, at),
            y=Axis(title="Bucket", low=0, high=max(top, 1)),
            describe=describe,
            steps=True,
        ),
        second=HeatPicture(
            title="Bucket of each pair",
            values=matrix,
            x=along("Key (looked at)", length),
            y=down_tokens("Query", length),
            colours="quantity",
            low=0.0,
            high=float(top),
            bar=((0.0, "0"), (float(top), str(top))),
            describe=describe_cell,
            square=True,
        ),
        beside=True,
    )


def bucket_biases(config: ModelConfig, length: int, weights: Floats, head: int, source: str) -> Scene:
    """What a trained run has learned: weights (n_bucket, n_head), each head's bias by distance, one as a matrix."""
    at = _bucket_distances(config, length)
    classes = tables.t5_buckets(config, -at if config.is_causal else at)
    by_head = weights[classes].T
    tokens = picks(length, MOST_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    matrix = weights[tables.t5_buckets(config, distance), head].astype(np.float32)
    if config.is_causal:
        matrix[distance > 0] = np.nan
    limit = max(float(np.abs(weights).max()), 1e-6)

    def describe(i: int) -> str:
        bias = float(by_head[head, i])
        words = _bucket_words(config, int(at[i]), at, classes, int(classes[i]))
        return f"{words}\nhead {head + 1}: {number(bias, 3)}, its weight × {weight_words(math.exp(bias))}"

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(matrix[row, column]):
            return f"{pair}: hidden, it comes later"
        return f"{pair}: {number(float(matrix[row, column]), 3)}"

    return Scene(
        words=f"{source}: what each head adds to the score of a key at a distance. Up means it is looked at more.",
        first=LinePicture(
            title=f"Learned bias, head {head + 1} bold",
            at=at,
            lines=(
                *(Line(values=by_head[i], tone="background") for i in range(config.n_head) if i != head),
                Line(values=by_head[head]),
            ),
            x=_bucket_axis(config, at),
            y=Axis(title="Added to the score", low=-limit, high=limit, whole=False),
            describe=describe,
            steps=True,
        ),
        second=HeatPicture(
            title=f"Head {head + 1} as a matrix",
            values=matrix,
            x=along("Key (looked at)", length),
            y=down_tokens("Query", length),
            colours="diverging",
            low=-limit,
            high=limit,
            bar=((limit, number(limit)), (0.0, "0"), (-limit, number(-limit))),
            describe=describe_cell,
            square=True,
        ),
        beside=True,
    )


def _bucket_distances(config: ModelConfig, length: int) -> Ints:
    """What is worth showing: up to a quarter beyond the farthest distance that is told apart; back = positive."""
    far = min(length - 1, config.max_distance * 5 // 4) if length > 1 else 1
    if config.is_causal:
        return np.arange(far + 1)
    return np.arange(-far, far + 1)


def _bucket_axis(config: ModelConfig, at: Ints) -> Axis:
    title = "Tokens back" if config.is_causal else "Distance, key − query"
    return Axis(title=title, low=int(at[0]), high=max(int(at[-1]), int(at[0]) + 1))


def _bucket_words(config: ModelConfig, distance: int, at: Ints, classes: Ints, bucket: int) -> str:
    with_it = at[classes == bucket]
    where = ahead_words(-distance if config.is_causal else distance)
    if len(with_it) == 1:
        return f"{where}: bucket {bucket}, its own"
    first, last = sorted((abs(int(with_it[0])), abs(int(with_it[-1]))))
    share = f"{first:,} and farther" if last == max(abs(at[0]), abs(at[-1])) else f"{first:,} to {last:,}"
    return f"{where}: bucket {bucket}, for {share}"
