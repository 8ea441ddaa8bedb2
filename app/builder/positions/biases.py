"""Pictures of attention score biases by distance: ALiBi's penalties, T5's buckets, FIRE's distances, learned biases."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping

import numpy as np

from terrarium.app.builder.positions.scheme_pictures import (
    MAX_DISTANCES,
    MAX_TOKENS,
    Ints,
    SchemePictures,
    curve_plot,
    format_distance,
    format_signed_distance,
    format_weight,
    token_axis,
    token_axis_down,
)
from terrarium.app.plots.pictures import Axis, Floats, HeatPicture, evenly_spaced, format_number
from terrarium.app.plots.plot_spec import Numbers, Series, as_steps, background_curve, main_curve
from terrarium.models.architecture import position_tables as tables
from terrarium.models.architecture.rope import FIRE_C, alibi_slopes, fire_threshold
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.settings.positions import FIRE_WIDTH

FAINTEST = -8.0
"""The lowest penalty on the axis; beyond it, the remaining weight is negligible: exp(−8) = 0.0003."""


def penalties(config: ModelConfig, length: int, head: int) -> SchemePictures:
    """Return pictures of ALiBi: each head's penalty by distance, and the remaining weight of `head` as a matrix."""
    slopes = alibi_slopes(config.n_head)
    at = evenly_spaced(length, MAX_DISTANCES)
    scores = tables.alibi_scores(config.n_head, at)
    tokens = evenly_spaced(length, MAX_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    added = -np.float32(slopes[head]) * np.abs(distance).astype(np.float32)
    kept = np.exp(added)
    if config.is_causal:
        kept[distance > 0] = np.nan

    def describe(i: int) -> str:
        score = float(scores[head, i])
        words = f"{format_distance(int(at[i]))}: {format_number(score)} in head {head + 1}"
        return f"{words}\nits weight × {format_weight(math.exp(score))}"

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(kept[row, column]):
            return f"{pair}: masked (later token)"
        penalty, weight = float(added[row, column]), float(kept[row, column])
        return f"{pair}: {format_number(penalty)}\nits weight × {format_weight(weight)}"

    lowest = max(-max(slopes) * max(length - 1, 1), FAINTEST)
    return SchemePictures(
        words="Nothing is added to the embeddings: scores fall with the distance, with a different slope per head, so "
        f"some heads attend near and others far. Head {head + 1} loses {format_number(slopes[head], 4)} per token.",
        first=curve_plot(
            f"Penalty, head {head + 1} bold",
            _curves_of_heads(at, scores, head),
            token_axis("Distance, tokens", length),
            Axis(title="Added to the score", low=lowest, high=0.0),
            describe,
        ),
        second=_pair_matrix(
            f"Head {head + 1}: remaining weight", kept, length, ((1.0, "all"), (0.5, "½"), (0.0, "none")), describe_cell
        ),
        beside=True,
    )


def _curves_of_heads(at: Ints, values: Floats, head: int, *, steps: bool = False) -> list[Series]:
    """Return the curves of all heads, (H, len(at)), with that of `head` in front of the others."""

    def points(i: int) -> tuple[Numbers, Numbers]:
        return as_steps(at, values[i]) if steps else (at, values[i])

    others = [background_curve(*points(i), name=f"head {i + 1}") for i in range(len(values)) if i != head]
    return [*others, dataclasses.replace(main_curve(*points(head)), name=f"head {head + 1}", in_legend=False)]


def buckets(config: ModelConfig, length: int) -> SchemePictures:
    """Return pictures of T5's distance buckets: as a step function and as a matrix."""
    at = _bucket_distances(config, length)
    classes = tables.t5_buckets(config, -at if config.is_causal else at)
    tokens = evenly_spaced(length, MAX_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    matrix = tables.t5_buckets(config, distance).astype(np.float32)
    if config.is_causal:
        matrix[distance > 0] = np.nan
    top = config.n_bucket - 1

    def describe(i: int) -> str:
        return _describe_bucket(config, int(at[i]), at, classes, int(classes[i]))

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(matrix[row, column]):
            return f"{pair}: masked (later token)"
        return f"{pair}: bucket {matrix[row, column]:.0f}"

    return SchemePictures(
        words=f"Each distance belongs to one of {config.n_bucket} buckets, and each head learns one number per bucket, "
        "which is added to the score. Small distances have their own buckets, large ones share; from "
        f"{config.max_distance:,} on, all share the last. The biases are learned: a new model has only noise.",
        first=curve_plot(
            "Bucket by distance",
            [main_curve(*as_steps(at, classes))],
            _distance_axis(config, at),
            Axis(title="Bucket", low=0, high=max(top, 1)),
            describe,
        ),
        second=_pair_matrix(
            "Bucket of each pair",
            matrix,
            length,
            ((0.0, "0"), (float(top), str(top))),
            describe_cell,
            colours="quantity",
            high=float(top),
        ),
        beside=True,
    )


def bucket_biases(
    config: ModelConfig, length: int, learned: Mapping[str, Floats], head: int, source: str
) -> SchemePictures:
    """Return pictures of a run's learned biases, (n_bucket, n_head): each head by distance, `head` as a matrix."""
    weights = learned["score_bias.weight"]
    at = _bucket_distances(config, length)
    classes = tables.t5_buckets(config, -at if config.is_causal else at)

    def describe(i: int) -> str:
        return _describe_bucket(config, int(at[i]), at, classes, int(classes[i]))

    def biases(query: Ints, distance: Ints) -> Floats:
        return np.moveaxis(weights[tables.t5_buckets(config, distance)], -1, 0)

    return _learned_biases(config, length, at, biases, head, source, describe, steps=True)


def relative_distances(config: ModelConfig, length: int) -> SchemePictures:
    """Return pictures of the distances that FIRE's network reads in a new model: for one token, and as a matrix."""
    at, query = _network_distances(config, length)
    threshold = fire_threshold(config)
    values = tables.fire_distances(np.array(query), -at if config.is_causal else at, FIRE_C, threshold)
    tokens = evenly_spaced(length, MAX_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    matrix = tables.fire_distances(tokens[:, None], distance, FIRE_C, threshold)
    if config.is_causal:
        matrix[distance > 0] = np.nan

    def describe(i: int) -> str:
        return f"{_describe_distance(config, int(at[i]))}: {format_number(float(values[i]), 3)}"

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(matrix[row, column]):
            return f"{pair}: masked (later token)"
        return f"{pair}: {format_number(float(matrix[row, column]), 3)}"

    return SchemePictures(
        words=f"A small network ({FIRE_WIDTH} hidden numbers) turns the relative distance of two tokens into what each "
        "head adds to their score. It is relative to the later token's position, or to a threshold if that is larger "
        f"(in a new model a quarter of the context, {format_number(threshold)}), so it lies between 0 and 1 in texts "
        "of any length. The network is learned: a new model has only noise.",
        first=curve_plot(
            f"Seen from token {query:,}",
            [main_curve(at, values)],
            _distance_axis(config, at),
            Axis(title="Read by the network", low=0.0, high=1.0),
            describe,
        ),
        second=_pair_matrix("Relative distance of each pair", matrix, length, ((1.0, "1"), (0.0, "0")), describe_cell),
        beside=True,
    )


def network_biases(
    config: ModelConfig, length: int, learned: Mapping[str, Floats], head: int, source: str
) -> SchemePictures:
    """Return pictures of the biases that a run's FIRE network gives: each head by distance, `head` as a matrix."""
    at, _ = _network_distances(config, length)

    def describe(i: int) -> str:
        return _describe_distance(config, int(at[i]))

    def biases(query: Ints, distance: Ints) -> Floats:
        return tables.fire_biases(learned, query, distance)

    return _learned_biases(config, length, at, biases, head, source, describe)


def _learned_biases(
    config: ModelConfig,
    length: int,
    at: Ints,
    biases: Callable[[Ints, Ints], Floats],
    head: int,
    source: str,
    describe_distance: Callable[[int], str],
    *,
    steps: bool = False,
) -> SchemePictures:
    """Return pictures of learned biases, of each head at the distances `at`, and of `head` as a matrix.

    biases(positions of queries, distances) returns those of all heads, (H, …). describe_distance(i): describes at[i].
    """
    _, query = _network_distances(config, length)
    by_head = biases(np.array(query), -at if config.is_causal else at)
    tokens = evenly_spaced(length, MAX_TOKENS)
    distance = tokens[None, :] - tokens[:, None]
    matrix = biases(tokens[:, None], distance)[head].astype(np.float32)
    if config.is_causal:
        matrix[distance > 0] = np.nan
    limit = max(float(np.abs(by_head).max()), 1e-6)

    def describe(i: int) -> str:
        bias = float(by_head[head, i])
        words = describe_distance(i)
        return f"{words}\nhead {head + 1}: {format_number(bias, 3)}, its weight × {format_weight(math.exp(bias))}"

    def describe_cell(row: int, column: int) -> str:
        pair = f"token {tokens[row]:,} → token {tokens[column]:,}"
        if np.isnan(matrix[row, column]):
            return f"{pair}: masked (later token)"
        return f"{pair}: {format_number(float(matrix[row, column]), 3)}"

    return SchemePictures(
        words=f"{source}: what each head adds to the score of a key, by distance. Higher means more attention.",
        first=curve_plot(
            f"Learned bias, head {head + 1} bold",
            _curves_of_heads(at, by_head, head, steps=steps),
            _distance_axis(config, at),
            Axis(title="Added to the score", low=-limit, high=limit),
            describe,
        ),
        second=_pair_matrix(
            f"Head {head + 1} as a matrix",
            matrix,
            length,
            ((limit, format_number(limit)), (0.0, "0"), (-limit, format_number(-limit))),
            describe_cell,
            colours="diverging",
            low=-limit,
            high=limit,
        ),
        beside=True,
    )


def _pair_matrix(
    title: str,
    values: Floats,
    length: int,
    bar: tuple[tuple[float, str], ...],
    describe: Callable[[int, int], str],
    *,
    colours: str = "sequential",
    low: float = 0.0,
    high: float = 1.0,
) -> HeatPicture:
    """Return the picture of a value for each pair of a query (down) and a key (across); arguments as HeatPicture."""
    return HeatPicture(
        title=title,
        values=values,
        x=token_axis("Key", length),
        y=token_axis_down("Query", length),
        colours=colours,
        low=low,
        high=high,
        bar=bar,
        describe=describe,
        square=True,
    )


def _network_distances(config: ModelConfig, length: int) -> tuple[Ints, int]:
    """Return the distances to show, backwards positive in a causal model, and the token that they are counted from: the
    last one, or in an encoder the middle one."""
    if config.is_causal:
        return evenly_spaced(max(length, 2), MAX_DISTANCES), max(length, 2) - 1
    far = max(length // 2, 1)
    return evenly_spaced(2 * far + 1, MAX_DISTANCES) - far, far


def _describe_distance(config: ModelConfig, distance: int) -> str:
    return format_signed_distance(-distance if config.is_causal else distance)


def _bucket_distances(config: ModelConfig, length: int) -> Ints:
    """Return the distances to show, up to 1.25 × max_distance. In a causal model, backwards is positive."""
    far = min(length - 1, config.max_distance * 5 // 4) if length > 1 else 1
    if config.is_causal:
        return np.arange(far + 1)
    return np.arange(-far, far + 1)


def _distance_axis(config: ModelConfig, at: Ints) -> Axis:
    title = "Tokens back" if config.is_causal else "Distance, key − query"
    return Axis(title=title, low=int(at[0]), high=max(int(at[-1]), int(at[0]) + 1))


def _describe_bucket(config: ModelConfig, distance: int, at: Ints, classes: Ints, bucket: int) -> str:
    with_it = at[classes == bucket]
    where = _describe_distance(config, distance)
    if len(with_it) == 1:
        return f"{where}: bucket {bucket}, its own"
    first, last = sorted((abs(int(with_it[0])), abs(int(with_it[-1]))))
    share = f"{first:,} and farther" if last == max(abs(at[0]), abs(at[-1])) else f"{first:,} to {last:,}"
    return f"{where}: bucket {bucket}, for {share}"
