"""Which stage of a quick start is shown."""

from __future__ import annotations

import pytest

from terrarium.app.home.quickstart_view import STAGES, stage_of
from terrarium.app.session.training_state import TrainingState


@pytest.mark.parametrize(
    ("phases", "stage"),
    [
        (("Preparing the text",), "Data"),
        (("Preparing the text", "Training the tokenizer"), "Tokenizer"),
        (("Preparing the text", "Training the tokenizer", "Measuring this device"), "Training"),
    ],
)
def test_the_stage_is_that_of_what_is_done_now(phases: tuple[str, ...], stage: str) -> None:
    assert STAGES[stage_of(TrainingState(name="grown", phases=phases, phase=phases[-1]))] == stage


def test_one_that_is_resumed_has_its_data_and_tokenizer() -> None:
    resumed = TrainingState(name="grown", run_id="grown", phases=("Reading the text",), phase="Reading the text")
    assert STAGES[stage_of(resumed)] == "Training"
