"""The base rate of a wish: measured on held-out prompts, and what it says of the run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from terrarium.models.events import result_of
from terrarium.models.library.library import Library
from terrarium.models.runs.run_folder import RunFolder
from terrarium.models.settings.align_spec import AlignSpec, usual_align
from terrarium.models.settings.run_spec import DataSpec
from terrarium.models.tiny_world import wishes
from terrarium.models.training.estimates import base_rate
from terrarium.models.training.estimates.base_rate import measure_base_rate
from terrarium.models.training.estimates.findings import BaseRate
from tests.models.training.stages.support import CONFIG, spec_of

FOUND = BaseRate(
    wish="happy",
    n_prompts=64,
    n_replies=8,
    reward=0.07,
    right=0.07,
    found=0.44,
    signal=0.44,
    gold=0.05,
    ended=1.0,
    mean_length=45.0,
    max_tokens=80,
    seconds_per_reply=0.005,
)


def test_a_base_rate_is_measured_and_always_the_same(
    library: Library, trained_at_once: Callable[..., RunFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wishes, "SIZES", {"train": 8, "val": 4, "test": 4})
    monkeypatch.setattr(base_rate, "_ROWS", 24)
    spec = spec_of(library, trained_at_once(CONFIG, steps=6))
    first, second = (result_of(measure_base_rate(library, spec, "cpu")) for _ in range(2))
    assert (first.wish, first.n_prompts, first.n_replies) == ("mentions", 4, 8)
    assert (first.right, first.gold, first.max_tokens) == (None, 0.0, 12)
    assert 0 < first.mean_length <= 12
    assert dataclasses.replace(first, seconds_per_reply=0) == dataclasses.replace(second, seconds_per_reply=0)
    with pytest.raises(ValueError, match="Only runs that learn from rewards have a base rate"):
        result_of(measure_base_rate(library, dataclasses.replace(spec, align=None, data=DataSpec()), "cpu"))


@pytest.mark.parametrize(
    ("changed", "words", "is_learnable"),
    [
        ({}, "7.0 % of the replies are right, and 44 % of the prompts have a right one among 8", True),
        ({"right": 0.0, "found": 0.0, "signal": 0.0}, "None of 512 replies is right", False),
        ({"right": 0.004}, "Only 0.4 % of the replies are right", False),
        ({"right": 0.99}, "99 % of the replies are right already: choose a harder wish", False),
        ({"right": None, "reward": 3.2}, "Its replies earn 3.20 on average", True),
        ({"ended": 0.5}, "50 % of the replies are cut at 80 tokens: allow more.", True),
    ],
)
def test_what_it_says_of_the_run(changed: dict[str, object], words: str, is_learnable: bool) -> None:
    found = dataclasses.replace(FOUND, **changed)  # type: ignore[arg-type]
    assert words in found.sentence.replace("\N{NO-BREAK SPACE}", " ")
    assert found.is_learnable == is_learnable


def test_the_time_that_a_run_takes_counts_what_is_read_and_learned() -> None:
    """As measured: 2 times as long as drawing with GRPO, 4 to 6 times with PPO and a reward model."""
    drawing = 0.005 * 50 * 64
    grpo, ppo = AlignSpec(), AlignSpec(**usual_align("ppo") | {"reward_model": "rm"})
    assert FOUND.seconds(50, grpo) / drawing == pytest.approx(2.1, abs=0.2)
    assert FOUND.seconds(50, ppo) / drawing == pytest.approx(5.0, abs=1.0)
    assert FOUND.seconds(50, dataclasses.replace(ppo, n_epochs=4)) > 1.5 * FOUND.seconds(50, ppo)
