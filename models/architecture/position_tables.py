"""Values of the position schemes, for drawing. No torch import.

The arithmetic is that of models.architecture.positions, also in float32, for any positions.

Letters in shape comments: P positions or distances, C dimensions, H n_head, D head_dim.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from terrarium.models.architecture.rope import alibi_slopes, attention_factor, rope_base, scale_frequencies
from terrarium.models.settings.model_config import ModelConfig

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def sinusoidal_table(positions: Ints, dimensions: Ints, width: int) -> Floats:
    """Compute sinusoidal encodings: positions (P), dimensions (C) below `width` -> (P, C); even ones are sines."""
    exponents = (dimensions // 2 * 2).astype(np.float32) / np.float32(width)
    angles = positions[:, None].astype(np.float32) * _powers(10_000.0, exponents)
    waves: Floats = np.where(dimensions % 2 == 0, np.sin(angles), np.cos(angles))
    return waves


def sinusoidal_similarity(width: int, distances: Ints, window: int = 1) -> Floats:
    """Compute the dot product of two rows at each distance, relative to that of a row with itself: (P) -> (P).

    With a `window`, each value is the mean over that many distances from the given one on.

    The product depends on the distance alone: sin a sin b + cos a cos b = cos(a − b), summed over the waves. (If the
    width is odd, the last sine, which has no cosine, is left out.)
    """
    exponents = np.arange(0, max(width - width % 2, 1), 2, dtype=np.float32) / np.float32(width)
    return _mean_cosine(_powers(10_000.0, exponents), distances, window)


def rope_frequencies(config: ModelConfig, length: int = 0, *, scaled: bool = True) -> Floats:
    """Compute the radians per token of each pair, (D/2), with the design's RoPE scaling, or without if not `scaled`.

    Args:
        length: the length of the text in tokens; only dynamic scaling depends on it.
    """
    config = config if scaled else dataclasses.replace(config, rope_scaling="none")
    pairs = np.arange(config.head_dim // 2, dtype=np.float32)
    plain = _powers(rope_base(config, length), 2 * pairs / np.float32(config.head_dim))
    frequencies: Floats = scale_frequencies(plain, pairs, config)
    return frequencies


def rope_angles(positions: Ints, frequencies: Floats) -> Floats:
    """Compute the rotation of each pair in radians: positions (P), frequencies (D/2) -> (P, D/2)."""
    return positions[:, None].astype(np.float32) * frequencies


def rope_similarity(
    config: ModelConfig, distances: Ints, length: int = 0, window: int = 1, *, scaled: bool = True
) -> Floats:
    """Compute the score of a query and an equal key at each distance, relative to that at distance 0: (P) -> (P).

    This is the mean over pairs of cos(angle · distance), for vectors whose pairs have equal norms; with YaRN, times the
    square of its attention factor. With a `window`, each value is the mean over that many distances from its own on.
    """
    similarity = _mean_cosine(rope_frequencies(config, length, scaled=scaled), distances, window)
    return similarity * np.float32(attention_factor(config) ** 2) if scaled else similarity


def alibi_scores(n_head: int, distances: Ints) -> Floats:
    """Compute the bias added to each head's scores: distances of any shape -> (H, …)."""
    slopes = np.array(alibi_slopes(n_head), np.float32)
    scores: Floats = np.multiply.outer(-slopes, np.abs(distances).astype(np.float32))
    return scores


def t5_buckets(config: ModelConfig, distances: Ints) -> Ints:
    """Compute T5's bucket of each distance (key − query, any shape)."""
    n_bucket, offset = config.n_bucket, np.zeros_like(distances)
    if config.is_causal:
        distances = np.maximum(-distances, 0)
    else:
        n_bucket //= 2
        offset = (distances > 0) * n_bucket
        distances = np.abs(distances)
    exact = n_bucket // 2
    logs = np.log(np.maximum(distances, 1).astype(np.float32) / np.float32(exact))
    share = logs / np.float32(math.log(config.max_distance / exact))
    far = np.minimum(exact + (share * np.float32(n_bucket - exact)).astype(np.int64), n_bucket - 1)
    buckets: Ints = offset + np.where(distances < exact, distances, far)
    return buckets


def fire_distances(query: Ints, distance: Ints, c: float, threshold: float) -> Floats:
    """Compute FIRE's relative distances, 0 to 1: positions of queries, and distances (key − query), which broadcast."""
    farthest = np.maximum(np.maximum(query, query + distance), threshold).astype(np.float32)
    rate, apart = np.float32(c), np.abs(distance).astype(np.float32)
    relative: Floats = np.log1p(rate * apart) / np.log1p(rate * farthest)
    return relative


def fire_biases(learned: Mapping[str, Floats], query: Ints, distance: Ints) -> Floats:
    """Compute what FIRE adds to each head's scores, (H, …), from its learned tensors; for the rest see above."""
    log_c, log_threshold, scale, shift, weight = (
        learned[f"score_bias.{name}"] for name in ("log_c", "log_threshold", "scale", "shift", "weight")
    )
    relative = fire_distances(query, distance, math.exp(log_c[0]), math.exp(log_threshold[0]))
    hidden = np.maximum(relative[..., None] * scale + shift, 0)
    return np.moveaxis(hidden @ weight, -1, 0)


def table_similarity(table: Floats) -> Floats:
    """Compute the mean cosine similarity of rows that are 0, 1, 2 … P − 1 apart: (P, C) -> (P)."""
    length = len(table)
    rows = table.astype(np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-30)
    size = 2 * length  # zero padding, so that the correlation does not wrap around
    spectrum = np.fft.rfft(rows, size, axis=0)
    sums = np.fft.irfft((np.abs(spectrum) ** 2).sum(axis=1), size)[:length]
    return (sums / np.arange(length, 0, -1)).astype(np.float32)


def _powers(base: float, exponents: Floats) -> Floats:
    """Compute base^−exponents in float64, rounded once to float32."""
    powers: Floats = (base ** -exponents.astype(np.float64)).astype(np.float32)
    return powers


def _mean_cosine(frequencies: Floats, distances: Ints, window: int) -> Floats:
    """Compute the mean cosine over frequencies and `window` distances; over the distances, in closed form: equally
    spaced cosines sum to a scaled cosine at their middle."""
    if window == 1:
        exact: Floats = np.cos(rope_angles(distances, frequencies)).mean(axis=1, dtype=np.float32)
        return exact
    half = frequencies.astype(np.float64) / 2
    flat = np.abs(np.sin(half)) < 1e-12  # a pair that does not rotate within the window
    share = np.where(flat, 1.0, np.sin(window * half) / np.where(flat, 1.0, window * np.sin(half)))
    middle = distances[:, None] + (window - 1) / 2
    mean: Floats = (share * np.cos(middle * frequencies)).mean(axis=1).astype(np.float32)
    return mean
