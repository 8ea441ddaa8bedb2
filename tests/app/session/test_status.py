"""The status line's words."""

from __future__ import annotations

from terrarium.app.session.life import Life
from terrarium.app.session.status import describe_status
from terrarium.app.session.training_state import TrainingState


def test_the_status_says_what_blocks_a_training() -> None:
    training = TrainingState(name="tiny", life=Life(status="running"), step=3, total_steps=9, seconds_left=5.0)
    assert describe_status(training, "none", ready=True).seconds_left == 5.0
    waiting = describe_status(training, "replying", ready=True)
    assert waiting.words == "tiny: waiting for chat"
    assert waiting.seconds_left is None
    assert describe_status(None, "none", ready=False).words == "Loading torch…"
    assert describe_status(None, "loading", ready=True).words == "Opening the model"
