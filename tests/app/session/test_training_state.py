"""Every move that a training can make, from every state that it can come to."""

from __future__ import annotations

import dataclasses
from typing import get_args

from terrarium.app.session.training_state import Move, TrainingState
from terrarium.models.events import Blocked, Event, Finished, Phase, RunStarted, TrainMetrics

STARTED = RunStarted(run_id="a", name="a", step=0, total_steps=9, device="CPU", precision="float32", threads=1)
TRAINED = TrainMetrics(
    step=1, total_steps=9, tokens=1, elapsed_s=1.0, loss=1.0, lr=0.1, grad_norm=1.0, tokens_per_s=1.0, seconds_left=None
)
EVENTS: tuple[Event, ...] = (
    Phase(name="Reading the text"),
    STARTED,
    TRAINED,
    Blocked(reason="The disk is full."),
    Finished(run_id="a", status="finished", step=9),
)
MOVES: tuple[Move, ...] = get_args(Move)
WORK = ("preparing", "running", "evaluating")


def all_moves() -> list[tuple[TrainingState, str | Event, TrainingState]]:
    """Each state that can be reached, each move and event there, and the state after it."""
    found: list[tuple[TrainingState, str | Event, TrainingState]] = []
    known: set[TrainingState] = set()
    left = [TrainingState(name="a")]
    while left:
        state = left.pop()
        if state in known:
            continue
        known.add(state)
        moves: list[tuple[str | Event, TrainingState]] = [(event, state.after(event)) for event in EVENTS]
        moves += [(move, state.moved(move)) for move in MOVES]
        for move, after in moves:
            after = dataclasses.replace(after, phases=())  # they only grow longer
            found.append((state, move, after))
            left.append(after)
    return found


def test_whatever_happens_the_users_word_is_kept() -> None:
    moves = all_moves()
    assert len({state for state, _, _ in moves}) > 50
    for before, move, after in moves:
        case = (before, move, after)
        if before.wants_pause and not after.wants_pause:
            assert move == "resume", case
        if before.ends or after.ends:
            assert after.ends, case
            assert after.status in ("stopping", "blocked", "finished"), case
        elif after.wants_pause and before.status not in WORK and move != "released":  # that is for one step
            assert after.status in ("pausing", "paused", "blocked", "finished"), case
        if isinstance(move, Blocked):
            assert (after.status, after.problem) == ("blocked", move.reason), case
        elif isinstance(move, Event) or after.status != "blocked":
            assert not after.problem, case
        if after.status == "paused":
            assert after.wants_pause, case


def test_what_is_over_stays_so() -> None:
    over = TrainingState(name="a", status="stopped", over=True)
    assert all(over.moved(move) is over for move in MOVES)
