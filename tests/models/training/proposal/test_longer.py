"""A run that is trained longer: its schedule, its intervals, its name, and why one cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from terrarium.models.library.run_record import RunInfo
from terrarium.models.settings.run_spec import TrainConfig
from terrarium.models.training.proposal.longer import longer, longer_name, measured_seconds, rate_rises, why_not_longer
from terrarium.models.training.schedule import lr_factor

DECAYED = TrainConfig(steps=1000, warmup_steps=20, schedule="wsd")


@pytest.mark.parametrize("schedule", ["linear", "cosine", "wsd"])
def test_a_rate_that_had_decayed_rises_again_and_decays_at_the_new_end(schedule: str) -> None:
    train = dataclasses.replace(DECAYED, schedule=schedule)
    more = longer(train, 1000, 2000)
    assert lr_factor(999, train) == pytest.approx(0.0)
    assert lr_factor(1000, more) > 0.4
    assert lr_factor(1999, more) == pytest.approx(0.0)
    assert rate_rises(train, 1000, 2000)


def test_a_rate_that_has_not_fallen_goes_on() -> None:
    assert lr_factor(300, longer(DECAYED, 300, 2000)) == lr_factor(299, DECAYED) == 1.0
    assert not rate_rises(DECAYED, 300, 2000)
    constant = dataclasses.replace(DECAYED, schedule="constant")
    assert longer(constant, 1000, 2000) == dataclasses.replace(constant, steps=2000)


def test_it_has_no_patience() -> None:
    patient = dataclasses.replace(DECAYED, patience=3)
    assert longer(patient, 1000, 2000).patience == longer(patient, 500, 1000).patience == 0


def test_intervals_follow() -> None:
    short = TrainConfig(steps=22, eval_interval=250, sample_interval=250, checkpoint_interval=200)
    assert longer(short, 22, 220).eval_interval == 20


def test_names_do_not_pile_up() -> None:
    assert longer_name("Tiny World", 3000) == "Tiny World, 3,000 steps"
    assert longer_name("Tiny World, 3,000 steps", 30_000) == "Tiny World, 30,000 steps"


def test_what_cannot_go_on_says_why(tmp_path: Path) -> None:
    info = RunInfo(
        id="a", name="A", folder=tmp_path, status="imported", created="", step=0, total_steps=0, elapsed_s=None
    )
    assert "Fine-tune it" in why_not_longer(info)
    assert "still training" in why_not_longer(dataclasses.replace(info, status="running", step=50, total_steps=100))
    assert measured_seconds(info, 100) is None
    trained = dataclasses.replace(info, status="finished", step=50, total_steps=50, elapsed_s=10.0)
    assert "no checkpoint" in why_not_longer(trained)
    assert measured_seconds(trained, 100) == 20.0
    (tmp_path / "checkpoints" / "step-00000050").mkdir(parents=True)
    assert why_not_longer(trained) == ""
