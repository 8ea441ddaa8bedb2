"""The status line's words."""

from __future__ import annotations

from app.session.status import duration, status_of
from app.session.training_state import TrainingState


def test_durations_in_words() -> None:
    assert [duration(seconds) for seconds in (0.4, 59.4, 61, 3661)] == ["0 s", "59 s", "1 min 1 s", "1 h 1 min"]


def test_a_status_says_what_holds_a_training_up() -> None:
    training = TrainingState(name="tiny", status="running", step=3, total_steps=9, seconds_left=5.0)
    assert status_of(training, "none", ready=True).seconds_left == 5.0
    waiting = status_of(training, "replying", ready=True)
    assert waiting.words == "tiny: waiting for chat"
    assert waiting.seconds_left is None
    assert status_of(None, "none", ready=False).words == "Loading torch…"
    assert status_of(None, "loading", ready=True).words == "Opening the model"
