"""Every event, from every life that a training can come to."""

from __future__ import annotations

import pytest

from terrarium.app.session.life import (
    BLOCKED,
    ENDS,
    EVENTS,
    JOB,
    PAUSED,
    PAUSING,
    STOPPING,
    USER,
    WORK,
    all_moves,
)
from terrarium.app.session.training_state import TrainingState, life_event
from terrarium.models.events import Blocked, Event, Finished, Phase, Progress, RunStarted

STATUSES = {*WORK, PAUSING, PAUSED, BLOCKED, STOPPING, *ENDS}


def test_whatever_happens_the_users_word_is_kept() -> None:
    moves = list(all_moves())
    assert len({life for life, _, _ in moves}) > 60
    assert {life.status for life, _, _ in moves} == STATUSES
    for before, event, new in moves:
        case = (before, event, new)
        if before.wants_pause and not new.wants_pause:
            assert event == "resume", case
        if new.wants_pause and not before.wants_pause:
            assert event == "pause", case
        if before.wants_stop != new.wants_stop:
            assert event == "stop", case
        if before.wants_stop or new.wants_stop:
            assert new.wants_stop, case
            assert new.status in (STOPPING, BLOCKED, *ENDS), case
        elif new.wants_pause and before.status not in WORK and event != "released":  # that is for one step
            assert new.status in (PAUSING, PAUSED, BLOCKED, *ENDS), case
        if new.status == BLOCKED:
            assert event == "blocked" or before.status == BLOCKED, case
            assert event == "blocked" or EVENTS[event][0] != JOB, "what the job does shows that there is room"
        if new.status == PAUSED and not new.is_over and new.outcome != PAUSED:
            assert new.wants_pause, case


def test_only_the_end_of_the_job_ends_a_life() -> None:
    for before, event, new in all_moves():
        if before.is_over:
            assert new is before
        elif new.is_over:
            assert event in ("ended", "failed")
            assert new.status in ENDS


def test_who_sends_an_event_moves_what_is_its_own() -> None:
    """The user sets what is wanted; the job what it does; the worker neither."""
    for before, event, new in all_moves():
        sender = EVENTS[event][0]
        if sender != USER:
            assert (before.wants_pause, before.wants_stop) == (new.wants_pause, new.wants_stop), (before, event)
        if sender != JOB:
            assert (before.work, before.outcome) == (new.work, new.outcome), (before, event)


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (RunStarted(run_id="a", name="a", step=0, total_steps=9, device="", precision="", threads=1), "started"),
        (Phase(name="Reading the text"), "phase"),
        (Progress(done=1, total=2), "progress"),
        (Blocked(reason="The disk is full."), "blocked"),
        (Finished(run_id="a", status="finished", step=9), "finished"),
        (Finished(run_id="a", status="stopped", step=9), "stopped"),
        (Finished(run_id="a", status="paused", step=9), "saved"),
    ],
)
def test_an_event_of_the_job_is_an_event_of_the_life(event: Event, name: str) -> None:
    assert life_event(event) == name
    assert EVENTS[name][0] == JOB


def test_why_it_waits_is_told_as_long_as_it_waits() -> None:
    state = TrainingState(name="a").after(Blocked(reason="The disk is full."))
    assert (state.status, state.problem) == (BLOCKED, "The disk is full.")
    paused = state.moved("pause")
    assert (paused.status, paused.problem) == (BLOCKED, "The disk is full.")
    assert state.after(Progress(done=1, total=2)).problem == ""
    assert paused.moved("stop").problem == ""
    assert paused.moved("failed", problem="The file is gone.").problem == "The file is gone."
