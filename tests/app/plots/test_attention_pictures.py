"""Attention as plain pictures: scales, names and blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from terrarium.app.plots.attention_pictures import (
    SCALES,
    format_share,
    head_picture,
    scale_ticks,
    scaled,
    short_names,
    side_of,
    strongest,
)

S = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize("scale", SCALES)
def test_scales_go_from_nothing_to_all(scale: str) -> None:
    weights = np.array([0.0, 1e-5, 1e-4, 0.01, 0.25, 1.0, math.nan], np.float32)
    shown = scaled(weights, scale)
    assert (shown[0], shown[5]) == (pytest.approx(0), pytest.approx(1))
    assert (np.diff(shown[:6]) >= 0).all()
    assert math.isnan(shown[6]), "what is masked is not zero"
    marks = scale_ticks(scale)
    assert (marks[0][0], marks[-1]) == (pytest.approx(0), (pytest.approx(1), f"100{S}%"))
    assert marks[0][1] == (f"≤ 0.01{S}%" if scale == "log" else f"0{S}%")
    assert scaled(weights, "root")[4] == 0.5
    assert scaled(weights, "log")[3] == pytest.approx(0.5)


def test_weights_in_words() -> None:
    assert [format_share(w) for w in (0, 0.00004, 0.0004, 0.001, 0.0123, 0.07, 0.1, 0.9993, 1)] == [
        f"{words}{S}%" for words in ("0", "<0.01", "0.04", "0.10", "1.2", "7.0", "10", ">99", "100")
    ]


def test_tokens_that_occur_twice_are_told_apart() -> None:
    words = ["the", "cat", "the", "unbelievably", "unbelievably"]
    assert short_names(words) == ["the₁", "cat", "the₃", "unbelie…₄", "unbelie…₅"]


def test_a_map_is_read_by_its_cells() -> None:
    side = side_of(["a", "b"])
    weights = np.array([[1, math.nan], [0.25, 0.75]], np.float32)
    picture = head_picture(weights, "Head", side, side, "root")
    assert picture.values[1, 0] == 0.5
    assert picture.describe(1, 0) == f"b (2) attends to\na (1): 25.0{S}%"
    assert "cannot see" in picture.describe(0, 1)
    assert (picture.low, picture.high, picture.square) == (0, 1, True)
    blocks = side_of(["a", "b", "c"], [0, 2, 3])
    picture = head_picture(weights, "Head", blocks, side_of(["x", "y"]), "linear")
    assert picture.describe(1, 1) == f"c (3) attends to\ny (2): at most 75.0{S}%"
    assert picture.describe(0, 0).startswith("tokens 1 to 2 attends to")
    part = side_of(["a", "b", "c"], [1, 2, 3])
    assert (part.descriptions, part.has_blocks) == (["b (2)", "c (3)"], False)


def test_arcs_go_to_what_gets_most() -> None:
    row = np.array([0.5, 0.3, 0.15, 0.03, 0.02, math.nan], np.float32)
    assert strongest(row) == [0, 1, 2]
    assert strongest(np.array([0.01] * 50 + [0.5], np.float32)) == [50], "none that has under 2 %"
    assert strongest(np.full(3, math.nan, np.float32)) == []
