"""What is said of a calibration: honest where nothing can be told, and where a temperature does not help."""

from __future__ import annotations

from dataclasses import replace

import pytest

from terrarium.app.glass.calibration.calibration_sentence import (
    describe_calibration,
    describe_data,
    format_error,
    format_interval,
    format_temperature,
)
from terrarium.models.metrics.calibration import AtTemperature, Calibration, Estimate, Reliability, ReliabilityBin


def curve(ece: Estimate, excess: Estimate, *bins: tuple[float, float, float, int]) -> Reliability:
    """A curve with bins of (confidence, accuracy, half-width of its interval, n)."""
    made = tuple(
        ReliabilityBin(
            low=c - 0.05, high=c + 0.05, n=n, confidence=c, accuracy=Estimate(value=a, interval=(a - half, a + half))
        )
        for c, a, half, n in bins
    )
    return Reliability(bins=made, ece=ece, adaptive_ece=ece, by_chance=0.004, excess=excess, histogram=(1.0,))


def found(before: Reliability, after: Reliability, temperature: Estimate, what: str = "token") -> Calibration:
    nll = Estimate(value=1.5)
    return Calibration(
        data="story.txt",
        what=what,
        n_fitted=900,
        n_fitted_texts=30,
        n_judged=1100,
        n_judged_texts=31,
        temperature=temperature,
        accuracy=Estimate(value=0.6),
        before=AtTemperature(temperature=1.0, nll=nll, best=before, top=before),
        after=AtTemperature(temperature=temperature.value, nll=nll, best=after, top=after),
        nll_change=Estimate(value=-0.01),
        seconds=3.0,
    )


FAIR = curve(
    Estimate(value=0.01, interval=(0.0, 0.02)), Estimate(value=0.001, interval=(-0.01, 0.01)), (0.71, 0.70, 0.03, 500)
)
SURE = curve(
    Estimate(value=0.05, interval=(0.03, 0.07)),
    Estimate(value=0.05, interval=(0.03, 0.07)),
    (0.3, 0.36, 0.02, 400),
    (0.7, 0.64, 0.02, 500),
    (0.95, 0.94, 0.02, 200),
)
HOT = Estimate(value=1.123, interval=(1.05, 1.2))


def test_a_sure_model_is_described_with_the_remedy() -> None:
    words = describe_calibration(found(SURE, FAIR, HOT))
    assert words == (
        "When this model says 70 %, it is right 64 % of the time: it is too sure. A temperature of 1.12 would "
        "mend that."
    )


@pytest.mark.parametrize(
    ("error", "words"), [(0.02, "a little too sure"), (0.05, "is too sure"), (0.2, "much too sure")]
)
def test_the_degree_follows_the_error(error: float, words: str) -> None:
    before = replace(SURE, ece=Estimate(value=error, interval=(error / 2, 2 * error)))
    assert words in describe_calibration(found(before, FAIR, HOT))


def test_a_cautious_model_and_one_that_is_off_in_one_place_only() -> None:
    cautious = replace(SURE, excess=Estimate(value=-0.02, interval=(-0.03, -0.01)))
    assert "says 30 %, it is right 36 % of the time: it is too cautious. " in describe_calibration(
        found(cautious, FAIR, HOT)
    )
    mixed = replace(SURE, excess=Estimate(value=0.0, interval=(-0.01, 0.01)))
    assert "it is too sure there. " in describe_calibration(found(mixed, FAIR, HOT))


def test_nothing_is_claimed_that_the_texts_do_not_show() -> None:
    one = Estimate(value=1.01, interval=(0.97, 1.04))
    words = describe_calibration(found(FAIR, FAIR, one))
    assert words == (
        "When this model says 71 %, it is right 67 to 73 % of the time: as far as 1,100 tokens can tell, it is as sure "
        "as it should be, and needs no temperature."
    )
    assert "A temperature of 1.12 would change little." in describe_calibration(found(FAIR, FAIR, HOT))
    tiny = replace(FAIR, ece=Estimate(value=0.012, interval=(0.004, 0.02)))
    assert "it is about as sure as it should be" in describe_calibration(found(tiny, FAIR, one))


def test_a_temperature_that_does_not_help_is_said_to() -> None:
    assert "No temperature mends that." in describe_calibration(
        found(SURE, SURE, Estimate(value=1.0, interval=(0.9, 1.1)))
    )
    half = replace(SURE, ece=Estimate(value=0.03, interval=(0.02, 0.04)))
    assert "a part of that: the error falls from 5.0 % to 3.0 %." in describe_calibration(found(SURE, half, HOT))
    assert "but does not mend that" in describe_calibration(found(SURE, SURE, HOT))


def test_numbers_are_formatted_with_their_intervals() -> None:
    assert describe_data(found(FAIR, FAIR, HOT, "label")).startswith("2,000 labels in 61 texts (story.txt).")
    assert "0.4 %" in describe_data(found(FAIR, FAIR, HOT))
    assert [format_temperature(t) for t in (0.25, 0.907, 4.0)] == ["¼ or less", "0.91", "4 or more"]
    assert format_error(Estimate(value=0.0123, interval=(0.0, 0.031))) == "1.2 % (0.0–3.1)"
    assert format_error(Estimate(value=0.0123)) == "1.2 %"
    assert format_interval(HOT, 2, percent=False) == "1.05 to 1.20"
    assert format_interval(Estimate(value=1.0)) == ""
