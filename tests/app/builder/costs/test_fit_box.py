"""What a measurement says beyond its numbers."""

from __future__ import annotations

import pytest

from terrarium.app.builder.costs.dry_run import DryRunMeasured
from terrarium.app.builder.costs.fit_box import note_of
from terrarium.models.number_words import format_percent
from terrarium.models.settings.model_config import ModelConfig
from terrarium.models.training.estimates.dry_run import DryRun


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        (1000, "The estimate is exact."),
        (1200, f"The estimate is {format_percent(0.2)} too high."),
        (900, f"The estimate is {format_percent(0.1)} too low."),
    ],
)
def test_the_estimate_is_compared_with_what_was_measured(needed: int, words: str) -> None:
    run = DryRun(
        device="cpu",
        precision="float32",
        batch_size=1,
        length=8,
        step_ms=(2.0, 1.0),
        ms_per_step=1.0,
        tokens_per_s=8000.0,
        peak_bytes=1000,
        estimate={"weights": needed},
    )
    assert note_of(DryRunMeasured(config=ModelConfig(), run=run), "", needed, "fits").endswith(f" {words}")
