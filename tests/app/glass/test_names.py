"""How parts, tokens and numbers are written, and the viewport of the embedding map."""

from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer

from terrarium.app.glass.embeddings.scatter import PointView
from terrarium.app.glass.names import (
    digits_for,
    format_least,
    format_rare,
    format_rough,
    spoken,
    text_of,
    token_names,
)
from terrarium.app.kit.setting_names.value_words import format_site
from terrarium.models.number_words import format_signed


@pytest.mark.parametrize(
    ("site", "head", "words"),
    [
        ("embedding", None, "Embedding"),
        ("encoder.embedding", None, "Encoder embedding"),
        ("blocks.2", None, "Layer 3"),
        ("blocks.2.attention", None, "Layer 3, attention"),
        ("blocks.2.attention", 0, "Layer 3, head 1"),
        ("decoder.blocks.0.cross_attention", 3, "Decoder layer 1, cross-attention, head 4"),
        ("encoder.blocks.9.feed_forward", None, "Encoder layer 10, feed-forward"),
    ],
)
def test_parts_have_names(site: str, head: int | None, words: str) -> None:
    assert format_site(site, head) == words


def test_rare_probabilities_differ_however_small_they_are() -> None:
    values = (0.0, 3.24e-14, 3.2e-9, 8.9e-6, 0.0000104, 0.00042, 0.412)
    words = ("0 %", "3.2e-12 %", "3.2e-7 %", "8.9e-4 %", "0.0010 %", "0.042 %", "41.2 %")
    assert [format_rare(p).replace("\N{NO-BREAK SPACE}", " ") for p in values] == list(words)


def test_unknown_tokens_are_shown_by_id(byte_tokenizer: Tokenizer) -> None:
    assert text_of(byte_tokenizer, [5 + ord("a"), 9999, 5 + ord("b"), 1]) == "a#9999b<|end|>"
    assert token_names(byte_tokenizer, [5 + ord("a"), 1, 9999]) == {5 + ord("a"): "a", 1: "⟨end⟩", 9999: "#9999"}


def test_zooming_keeps_the_point_under_the_pointer() -> None:
    view = PointView(np.array([[0, 0], [10, 0], [10, 5], [3, 4]], np.float32))
    view.resize(400, 300)
    assert len(view.seen()) == 4
    x, y = view.pixels()[3].tolist()
    assert view.nearest(x + 3, y, within=10) == 3
    assert view.nearest(x + 20, y, within=10) == -1
    view.zoom(0.5, x, y)
    np.testing.assert_allclose(view.pixels()[3], (x, y), atol=1e-3)
    assert view.seen().tolist() != [0, 1, 2, 3]
    view.move(30, -20)
    np.testing.assert_allclose(view.pixels()[3], (x + 30, y - 20), atol=1e-3)
    assert view.density(view.seen()).shape == (300, 400)
    assert view.density(view.seen()).sum() == 4 * len(view.seen())
    view.show_all()
    assert len(view.seen()) == 4
    assert PointView(np.zeros((0, 2), np.float32)).nearest(1, 1, 10) == -1


def test_tokens_and_shares_in_sentences() -> None:
    assert [spoken(word) for word in ("·sad", "sad", "·", "⏎", "⏎⏎", "", ",")] == [
        "“sad”", "“sad”", "a space", "a line break", "a line break", "“”", "“,”",
    ]  # fmt: skip
    rough = [format_rough(p).replace("\N{NO-BREAK SPACE}", " ") for p in (1.0, 0.997, 0.344, 0.012, 0.0031, 0.0)]
    assert rough == ["100 %", "over 99 %", "34 %", "1 %", "0.31 %", "0 %"]
    assert [format_least(p).replace("\N{NO-BREAK SPACE}", " ") for p in (0.344, 0.9997)] == [
        "at 34.4 % or more",
        "over 99.9 %",
    ]


def test_tiny_amounts_get_more_decimals() -> None:
    assert [digits_for(reach) for reach in (20.0, 0.1, 0.04, 0.0042, 0.0)] == [3, 3, 4, 5, 3]
    assert format_signed(0.0042, digits_for(0.0042)) == "+0.00420"
