"""The status line's words."""

from __future__ import annotations

from app.session.status import status_of
from app.session.training_state import TrainingState


def test_a_status_says_what_holds_a_training_up() -> None:
    training = TrainingState(name="tiny", status="running", step=3, total_steps=9, seconds_left=5.0)
    assert status_of(training, "none", ready=True).seconds_left == 5.0
    waiting = status_of(training, "replying", ready=True)
    assert waiting.words == "tiny: waiting for chat"
    assert waiting.seconds_left is None
    assert status_of(None, "none", ready=False).words == "Loading torch…"
    assert status_of(None, "loading", ready=True).words == "Opening the model"
