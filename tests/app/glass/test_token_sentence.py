"""One sentence about one token: how sure the model was, and how the token came about."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from terrarium.app.glass.token_sentence import describe_token
from terrarium.app.glass.xray import Xray, x_ray
from terrarium.models.settings.sampling_config import SamplingConfig

NAMES = ("·sad", "·happy", "·tired", "·").__getitem__


def xray(shares: Sequence[float], chosen: int, draw: float | None, temperature: float = 1.0) -> Xray:
    logits = np.log(np.asarray(shares, np.float32))
    return x_ray(logits, SamplingConfig(temperature=temperature), (), 0, chosen, draw)


def said(shares: Sequence[float], chosen: int, draw: float | None, how: str = "drawn", temperature: float = 1.0) -> str:
    return describe_token(xray(shares, chosen, draw, temperature), NAMES, how).replace("\N{NO-BREAK SPACE}", " ")


def test_it_wavered() -> None:
    assert said((0.52, 0.40, 0.06, 0.02), 1, 0.6) == (
        "It wavered between “sad” (52 %) and “happy” (40 %); the draw 0.60 fell on “happy”."
    )


def test_it_wavered_among_many() -> None:
    assert describe_token(
        x_ray(np.zeros(10, np.float32), SamplingConfig(temperature=1.0), (), 0, 2, 0.25),
        lambda i: f"·w{i}",
        "drawn",
    ).replace("\N{NO-BREAK SPACE}", " ") == (
        "It wavered among many tokens, with “w0” (10 %) and “w1” (10 %) in front; the draw 0.25 fell on “w2” (10 %)."
    )


def test_a_model_that_has_learned_since_would_choose_another() -> None:
    assert said((0.52, 0.40, 0.06, 0.02), 0, 0.6) == (
        "It would waver between “sad” (52 %) and “happy” (40 %); "
        "the draw 0.60 chose “sad” when it wrote this, and would fall on “happy” now."
    )
    assert said((0.4, 0.5, 0.05, 0.05), 0, None, temperature=0.0) == (
        "Now it would take the likeliest, “happy” (50 %); “sad” (40 %) comes next. When it wrote this, it took “sad”."
    )


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ((0.995, 0.003, 0.001, 0.001), "now it finds it likeliest (over 99 %)."),
        ((0.078, 0.9, 0.011, 0.011), "now it finds “happy” (90 %) likeliest, and gives yours 8 %."),
    ],
)
def test_a_choice_of_ones_own_is_not_judged_by_what_was_learned_since(shares: Sequence[float], expected: str) -> None:
    words = describe_token(xray(shares, 0, None), NAMES, "hand", learned=True).replace("\N{NO-BREAK SPACE}", " ")
    assert words == f"You chose “sad” here. The model has learned since: {expected}"


def test_an_outsider_is_named_with_its_share() -> None:
    found = said((0.52, 0.40, 0.06, 0.02), 2, 0.95)
    assert found.endswith("and “happy” (40 %); the draw 0.95 fell on “tired” (6 %).")


def test_it_leaned_and_it_was_sure() -> None:
    assert said((0.8, 0.1, 0.06, 0.04), 0, 0.5).startswith("It leaned to “sad” (80 %), far ahead of “happy” (10 %);")
    assert said((0.95, 0.03, 0.01, 0.01), 0, 0.5) == "It was almost sure of “sad” (95 %); the draw 0.50 fell on it."
    assert said((1.0, 1e-9, 1e-9, 1e-9), 0, 0.5) == "It was certain of “sad”; the draw 0.50 fell on it."


def test_the_shares_are_those_that_were_drawn_from() -> None:
    cold = said((0.5, 0.4, 0.05, 0.05), 0, 0.5, temperature=0.5)
    final = xray((0.5, 0.4, 0.05, 0.05), 0, 0.5, 0.5).row_of(0).final
    assert cold.startswith(f"After temperature 0.5 it wavered between “sad” ({100 * final:.0f} %)")


def test_greedy() -> None:
    assert said((0.5, 0.4, 0.05, 0.05), 0, None, temperature=0.0) == (
        "It took the likeliest, “sad” (50 %); “happy” (40 %) came next."
    )


@pytest.mark.parametrize(
    ("how", "chosen", "expected"),
    [
        ("read", 1, "It read “happy” here: it would have expected “sad” (50 %), and gave “happy” 40 %."),
        ("read", 0, "It read “sad” here, and would have expected just that (50 %)."),
        ("hand", 2, "You chose “tired” here (5 %); the likeliest was “sad” (50 %)."),
        ("masked", 3, "Behind the mask it expects “sad” (50 %) most, then “happy” (40 %)."),
        ("seen", 3, "It sees a space in this place, and gives it 5 %."),
    ],
)
def test_tokens_that_were_not_drawn(how: str, chosen: int, expected: str) -> None:
    assert said((0.5, 0.4, 0.05, 0.05), chosen, None, how) == expected


def test_settings_that_are_tried() -> None:
    shown = xray((0.5, 0.4, 0.05, 0.05), 1, 0.6)
    assert describe_token(shown, NAMES, "drawn", tried=True).replace("\N{NO-BREAK SPACE}", " ") == (
        "With these settings it would waver between “sad” (50 %) and “happy” (40 %); "
        "the same draw 0.60 would fall on “happy”."
    )
    undrawn = dataclasses.replace(shown, draw=None, lands=None)
    assert describe_token(undrawn, NAMES, "drawn", tried=True).endswith("(40\N{NO-BREAK SPACE}%).")
    assert describe_token(undrawn, NAMES, "unknown").endswith("; the draw that chose “happy” is not known.")


def test_what_a_draft_model_did_is_told() -> None:
    found = describe_token(xray((0.5, 0.4, 0.05, 0.05), 1, None), NAMES, "drawn", told="The draft was accepted.")
    assert found.endswith("%). The draft was accepted.")


def test_draws_at_the_ends_keep_their_digits() -> None:
    assert "the draw 0.9992 fell" in said((0.5, 0.4, 0.05, 0.05), 3, 0.9992)
