"""Heads built to show a pattern get exactly its score; and a model trained to copy has induction heads."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from terrarium.models.inspect.head_patterns import (
    EXPLAINED,
    PATTERNS,
    leading_pattern,
    mean_scores,
    order_by,
    prefix_matching,
    row_entropy,
    score_rows,
)

T = 12
CAUSAL = np.tri(T, dtype=bool)


def score_patterns(weights: np.ndarray, seen: np.ndarray, *, is_self: bool, is_causal: bool) -> dict[str, np.ndarray]:
    """Scores of a text read in three chunks."""
    ends = [0, 1, 1 + len(seen) // 2, len(seen)]
    pieces = [slice(a, b) for a, b in itertools.pairwise(ends) if a < b]
    return mean_scores(
        [
            score_rows(weights[:, piece], seen[piece], piece.start, is_self=is_self, is_causal=is_causal)
            for piece in pieces
        ]
    )


def one_hot(columns: list[int]) -> np.ndarray:
    """(1, T, T): each row attends to one token."""
    return np.eye(T, dtype=np.float32)[columns][None]


HEADS = np.concatenate(
    [
        one_hot([max(i - 1, 0) for i in range(T)]),
        one_hot([0] * T),
        one_hot(list(range(T))),
        CAUSAL[None] / CAUSAL.sum(axis=1, dtype=np.float32)[None, :, None],
        one_hot([max(i - 3, 0) for i in range(T)]),
    ]
)
PREVIOUS, FIRST, SELF, UNIFORM, THIRD = range(5)


def test_heads_with_one_pattern_score_exactly() -> None:
    scores = score_patterns(HEADS, CAUSAL, is_self=True, is_causal=True)
    assert set(scores) == set(PATTERNS) == set(EXPLAINED)
    assert scores["previous"][PREVIOUS] == 1
    assert scores["first"][FIRST] == 1
    assert scores["self"][SELF] == 1
    assert scores["previous"][FIRST] == pytest.approx(1 / (T - 1)), (
        "for the second token, the first is the previous one"
    )
    assert scores["first"][PREVIOUS] == pytest.approx(1 / (T - 1))
    assert scores["self"][PREVIOUS] == scores["self"][FIRST] == scores["previous"][SELF] == 0
    uniform = np.mean([1 / (i + 1) for i in range(1, T)])
    for pattern in ("previous", "first", "self"):
        assert scores[pattern][UNIFORM] == pytest.approx(uniform)
    assert np.isnan(scores["next"]).all(), "a causal head cannot"
    assert np.isnan(scores["induction"]).all(), "measured separately"
    assert scores["diffuse"][UNIFORM] == pytest.approx(1, abs=1e-6)
    assert scores["diffuse"][:UNIFORM].max() == 0
    assert scores["local"][[PREVIOUS, SELF, THIRD]].tolist() == [1, 1, 1]
    assert scores["local"][FIRST] == 0, "told by rows that see more than what is near"
    assert scores["local"][UNIFORM] == pytest.approx(np.mean([4 / (i + 1) for i in range(7, T)]))


def test_bidirectional_and_cross_attention() -> None:
    seen = np.ones((T, T), dtype=bool)
    following = one_hot([min(i + 1, T - 1) for i in range(T)])
    scores = score_patterns(following, seen, is_self=True, is_causal=False)
    assert scores["next"][0] == 1
    assert scores["local"][0] == 1
    across = np.full((2, 4, 5), 0.2, np.float32)
    scores = score_patterns(across, np.ones((4, 5), dtype=bool), is_self=False, is_causal=False)
    assert scores["first"] == pytest.approx([0.2, 0.2])
    assert scores["diffuse"] == pytest.approx([1, 1], abs=1e-6)
    assert all(np.isnan(scores[name]).all() for name in PATTERNS if name not in ("first", "diffuse"))


def test_scores_of_a_single_token_are_undefined() -> None:
    scores = score_patterns(np.ones((3, 1, 1), np.float32), np.ones((1, 1), dtype=bool), is_self=True, is_causal=True)
    assert all(np.isnan(of).all() for of in scores.values())
    assert leading_pattern(dict.fromkeys(PATTERNS, math.nan)) == ""


def test_entropy_by_hand() -> None:
    row = np.array([[[0.5, 0.25, 0.25, 0.0]]], np.float32)
    expected = (0.5 * math.log(2) + 0.5 * math.log(4)) / math.log(3)
    seen = np.array([[True, True, True, False]])
    assert row_entropy(row, seen)[0, 0] == pytest.approx(expected)


def test_prefix_matching_counts_what_came_after_the_same_token() -> None:
    length = 5
    n = 1 + 2 * length
    perfect = np.zeros((2, n, n), np.float32)
    for i in range(length):
        perfect[0, 1 + length + i, 2 + i] = 1  # what came after it
        perfect[1, 1 + length + i, 1 + i] = 1  # the same token: no induction
    assert prefix_matching(perfect, length).tolist() == [1, 0]
    with pytest.raises(AssertionError):
        prefix_matching(perfect, length + 1)


def test_heads_are_sorted_and_named() -> None:
    scores = score_patterns(HEADS, CAUSAL, is_self=True, is_causal=True)
    other = {name: np.array([math.nan, 0.5], np.float32) for name in PATTERNS}
    assert order_by("self", [scores, other])[:2] == [(0, SELF), (1, 1)]
    assert order_by("self", [scores, other])[-1] == (1, 0), "undefined scores come last"
    named = [leading_pattern({name: float(of[head]) for name, of in scores.items()}) for head in range(len(HEADS))]
    assert named == ["previous", "first", "self", "diffuse", "local"]
    assert leading_pattern({**dict.fromkeys(PATTERNS, 0.6), "induction": 0.5}) == "induction"
    assert leading_pattern(dict.fromkeys(PATTERNS, 0.4)) == ""
