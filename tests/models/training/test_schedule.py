"""Intervals of validations, samples and checkpoints follow the length of a run."""

from __future__ import annotations

import pytest

from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.schedule import lengthened, proposed_intervals, round_number, times_due


@pytest.mark.parametrize("steps", [1, 7, 22, 30, 108, 150, 220, 999, 1000, 12_345, 1_000_000])
def test_a_run_is_validated_about_ten_times(steps: int) -> None:
    found = proposed_intervals(steps)
    assert len(set(found.values())) == 1, "a checkpoint has its validation and samples"
    assert min(steps, 8) <= times_due(steps, found["eval_interval"]) <= 14


def test_intervals_are_round() -> None:
    found = [round_number(n) for n in (0.2, 1.4, 7, 10.8, 19.8, 22, 138, 260, 999)]
    assert found == [1, 1, 6, 10, 20, 20, 150, 250, 1000]


def test_a_longer_run_gets_intervals_that_follow_its_length() -> None:
    short = TrainConfig(steps=22, eval_interval=250, sample_interval=250, checkpoint_interval=200)
    longer = lengthened(short, 220, since=22)
    assert (longer.steps, longer.eval_interval, longer.sample_interval, longer.checkpoint_interval) == (220, 20, 20, 20)
    assert lengthened(longer, 22_000, since=220).eval_interval == 2000, "not a thousand validations"


def test_what_suits_the_new_length_stays_and_what_is_never_done_too() -> None:
    train = TrainConfig(steps=1000, eval_interval=100, sample_interval=0, checkpoint_interval=200, patience=3)
    longer = lengthened(train, 2000, since=1000)
    assert longer == TrainConfig(steps=2000, eval_interval=100, sample_interval=0, checkpoint_interval=200, patience=3)
    odd = TrainConfig(steps=100, eval_interval=99)
    assert lengthened(odd, 100, since=50) is odd, "the same steps: a fork repeats its run exactly"
