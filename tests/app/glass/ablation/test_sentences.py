"""One sentence about which part, and which input token, an answer depends on."""

from __future__ import annotations

import math

import pytest

from terrarium.app.glass.ablation.sentences import (
    describe_change,
    describe_inputs,
    describe_move,
    describe_sum,
    describe_survey,
    format_effect,
)
from terrarium.app.glass.read_text import ReadText
from terrarium.models.inspect.ablation import ModelPart
from terrarium.models.inspect.leave_one_out import InputToken

ATTENTION, HEAD = ModelPart("blocks.1.attention"), ModelPart("blocks.1.attention", 2)
FORWARD, BLOCK = ModelPart("encoder.blocks.0.feed_forward"), ModelPart("blocks.1")
TEXT = ReadText(ids=(1, 2, 3), words=("·sad", "·Mia", "·is"), n_prompt=2, source_ids=(4,), source_words=("·triste",))


def plain(sentence: str) -> str:
    return sentence.replace("\N{NO-BREAK SPACE}", " ")


def survey(
    found: dict[ModelPart, float], *, is_complete: bool = True, busy: bool = False, patched: bool = False
) -> str:
    return plain(describe_survey("“happy”", 0.31, found, is_complete=is_complete, busy=busy, patched=patched))


def test_the_part_that_matters_most() -> None:
    fall = math.log(0.04 / 0.31)
    assert survey({ATTENTION: fall, FORWARD: -0.1, BLOCK: -9.0}) == (
        "Without layer 2's attention, “happy” would fall from 31 % to 4 %."
    )
    assert "Without head 3 of layer 2," in survey({HEAD: fall})
    assert "With encoder layer 1's feed-forward taken from the other text," in survey({FORWARD: fall}, patched=True)


def test_parts_that_hold_it_down_and_parts_without_effect() -> None:
    assert "would rise from 31 % to 62 %" in survey({ATTENTION: math.log(2), FORWARD: 0.0})
    assert survey({ATTENTION: -0.01}).startswith("No single part decides it: “happy” stays at 30.7 % or more without")


def test_a_small_move_is_not_from_a_number_to_itself() -> None:
    word = "“happy”"
    assert plain(describe_move(word, 0.0231, 0.0212, would=True)) == "“happy” would fall from 2.3 % to 2.1 %"
    assert plain(describe_move(word, 0.0713, 0.0713, would=False)) == "“happy” stays at 7.1 %"
    assert plain(describe_move(word, 4e-7, 2e-7, would=True)) == "“happy” would hardly change (<0.0001 %)"
    assert plain(describe_move(word, 0.07131, 0.07129, would=False)) == "“happy” hardly changes (7.1 %)"


def test_before_it_is_measured() -> None:
    assert survey({}, is_complete=False, busy=True).startswith("Measuring what each part")
    assert survey({}, is_complete=False).startswith("“Measure all parts” will tell")
    assert plain(describe_change("“happy”", 0.31, 0.04)) == "With these changes, “happy” falls from 31 % to 4 %."


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (-math.log(12), "12 times less likely"),
        (-math.log(2.4), "2.4 times less likely"),
        (math.log(3), "3 times more likely"),
        (math.log(0.8), "20 % less likely"),
        (math.log(1.2), "20 % more likely"),
        (-30.0, "over 1,000 times less likely"),
    ],
)
def test_effects_in_words(change: float, expected: str) -> None:
    assert plain(format_effect(change)) == expected


def inputs(changes: dict[InputToken, float], text: ReadText = TEXT, *, done: bool = True, busy: bool = False) -> str:
    return plain(describe_inputs("“happy”", 0.31, changes, text, is_complete=done, busy=busy))


def test_the_token_that_matters_most() -> None:
    fall = -math.log(12)
    assert inputs({InputToken(0): fall, InputToken(2): -1.0}) == (
        "Without “sad” in the prompt, “happy” would fall from 31 % to 3 %."
    )
    assert inputs({InputToken(2): fall}).startswith("Without “is” in the reply so far,")
    assert inputs({InputToken(0, in_source=True): fall}).startswith("Without “triste” in the source,")
    read = ReadText(ids=(1, 2), words=("·sad", "·Mia"), n_prompt=2)
    assert inputs({InputToken(0): fall}, read).startswith("Without “sad”, ")
    assert inputs({InputToken(0): math.log(2), InputToken(1): -0.01}).endswith("“happy” would rise from 31 % to 62 %.")
    assert inputs({InputToken(0): 0.01, InputToken(1): -0.04}).startswith(
        "No single token decides it: “happy” stays at 29.8 % or more without any one"
    )
    assert inputs({}).startswith("There is nothing to hide")
    assert inputs({}, done=False, busy=True).startswith("Measuring")


def test_the_token_that_moves_the_probability_most_is_named_though_it_speaks_against_it() -> None:
    changes = {InputToken(0): math.log(7 / 11), InputToken(1): math.log(10)}
    moved = plain(describe_inputs("“direct”", 1.1e-5, changes, TEXT, is_complete=True, busy=False))
    assert moved == "Without “Mia” in the prompt, “direct” would rise from 0.0011 % to 0.011 %."
    changes = {InputToken(0): math.log(0.1), InputToken(1): 3.0}  # which could add no more than what is left to 100 %
    assert "Without “sad”" in describe_inputs("“good”", 0.9, changes, TEXT, is_complete=True, busy=False)


def test_the_sum_stands_beside_the_total() -> None:
    found = describe_sum("“happy”", -1.17, {InputToken(0): -2.5, InputToken(1): 0.25})
    assert "sums to +2.25 nats" in found
    assert "the log-probability of “happy” is −1.17" in found
    assert "need not agree" in found
