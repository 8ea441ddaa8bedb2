"""What changed between two samples, said in one sentence and derived from them."""

from __future__ import annotations

import dataclasses

import pytest

from terrarium.app.home.answer_feed import what_changed
from terrarium.models.events import AccuracyMeasured
from tests.app.measured import measured


def with_kind(sample: AccuracyMeasured, kind: str, accuracy: float) -> AccuracyMeasured:
    kinds = [dataclasses.replace(each, accuracy=accuracy) if each.kind == kind else each for each in sample.kinds]
    return dataclasses.replace(sample, kinds=tuple(kinds))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (None, measured(0, 0.0), "This is where it starts."),
        (None, measured(10, 0.0), "This is its first sample."),
        (measured(0, 0.0), with_kind(measured(10, 0.0), "state", 0.04), "First right answers: “What changed?”."),
        (measured(0, 0.0), measured(10, 0.2), "First right answers: Facts, Stories, Reading, “What changed?”."),
        (
            measured(0, 0.0, "<|user|> of of"),
            measured(10, 0.0, "of of"),
            "It no longer writes the marks of a conversation as text.",
        ),
        (measured(0, 0.0, "The door is"), measured(10, 0.0, "The door is now."), "It now ends its sentences."),
        (
            measured(0, 0.0, "The door."),
            measured(10, 0.0, "The door of Mia and Ben."),
            "Names appear in its answers: Ben, Mia.",
        ),
        (measured(0, 0.0, "Mia."), measured(10, 0.0, "Mia Ben."), "No change beyond chance."),
        (
            measured(0, 0.0, "Xu vor."),
            measured(10, 0.0, "A question of state."),
            "Most of its words are now words of its world.",
        ),
        (
            measured(0, 0.0, "Xu xu the the the the."),
            measured(10, 0.0, "Xu xu the."),
            "It no longer says the same word again and again.",
        ),
        (
            with_kind(measured(10, 0.5), "reading", 0.2),
            with_kind(measured(25, 0.5), "reading", 0.6),
            "Reading rose from 20\N{NO-BREAK SPACE}% to 60\N{NO-BREAK SPACE}% right.",
        ),
        (
            with_kind(measured(10, 0.5), "state", 0.6),
            with_kind(measured(25, 0.5), "state", 0.2),
            "“What changed?” fell from 60\N{NO-BREAK SPACE}% to 20\N{NO-BREAK SPACE}% right.",
        ),
        (measured(10, 0.5), measured(25, 0.54), "No change beyond chance."),
    ],
)
def test_the_most_telling_change_is_said(before: AccuracyMeasured | None, after: AccuracyMeasured, words: str) -> None:
    earlier = [] if before is None else [before]
    assert what_changed([*earlier, after]) == words


def test_a_first_time_is_said_once_only() -> None:
    assert what_changed([]) == ""
    samples = [with_kind(measured(step, 0.0), "sums", share) for step, share in ((0, 0.0), (10, 0.04), (25, 0.0))]
    assert what_changed(samples[:2]) == "First right answers: Sums."
    assert "First" not in what_changed([*samples, with_kind(measured(50, 0.0), "sums", 0.04)])
