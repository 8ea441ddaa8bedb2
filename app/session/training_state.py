"""The state of the current training run, a pure function of its events."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal

from terrarium.models.events import (
    Blocked,
    Evaluated,
    Event,
    Finished,
    Phase,
    Progress,
    RunStarted,
    Saved,
    ShownText,
    TextCompared,
    TextsShown,
    TrainMetrics,
    WordMerges,
    WordsMerged,
)

Move = Literal["pause", "resume", "stop", "held", "released"]
"""A transition not caused by an event of the run: a user's command (pause, resume, stop), or the worker has paused
("held") or resumed ("released") its job between two events."""


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """The state of the current run; `after` applies an event of the run, `moved` any other transition.

    status: preparing, running, pausing, paused, stopping, blocked (see `problem`), evaluating; and once `over`:
    finished, stopped, paused (saved, the device is free), failed (see `problem`).
    wants_pause: whether the user has requested a pause; only the user revokes it. ends: whether the user has stopped
    the run or freed the device: nothing is started after it.
    outcome: the run's own status when training ended; a quick start still evaluates after that.
    elapsed_s: seconds of training without pauses; None before the first step of this launch.
    files: the text files of a quick start; () for Tiny World.
    compared: how well gzip, n-gram tables and finally the model predict the user's text.
    texts, words: excerpts of the data, and words as they are merged into tokens, which a quick start shows while it
    prepares.
    recipe: the name of the current recipe or demonstration (models.recipes), "" if none; it may train several runs.
    """

    name: str
    status: str = "preparing"
    over: bool = False
    wants_pause: bool = False
    ends: bool = False
    outcome: str = ""
    quickstart: bool = False
    files: tuple[str, ...] = ()
    recipe: str = ""
    run_id: str = ""
    phase: str = ""
    phases: tuple[str, ...] = ()
    done: int = 0
    total: int = 0
    step: int = 0
    total_steps: int = 0
    elapsed_s: float | None = None
    seconds_left: float | None = None
    device: str = ""
    precision: str = ""
    saved_step: int | None = None
    problem: str = ""
    evaluated: Evaluated | None = None
    compared: TextCompared | None = None
    texts: tuple[ShownText, ...] = ()
    words: tuple[WordMerges, ...] = ()

    @property
    def work(self) -> str:
        """The current phase, regardless of pauses and blocks: preparing, running or evaluating."""
        return "evaluating" if self.outcome else "running" if self.total_steps else "preparing"

    @property
    def active_status(self) -> str:
        """The status while it is neither paused nor blocked."""
        return "stopping" if self.ends else "pausing" if self.wants_pause else self.work

    @property
    def share(self) -> float:
        """The completed share of the planned steps; 0 before the plan is known."""
        return min(self.step / self.total_steps, 1.0) if self.total_steps else 0.0

    @property
    def has_result(self) -> bool:
        """Whether this is a finished quick start: evaluated, or compared with tables of the user's text."""
        return self.quickstart and (self.evaluated is not None or self.is_compared)

    @property
    def is_compared(self) -> bool:
        """Whether the model itself was compared on the user's text."""
        return self.compared is not None and self.compared.model is not None

    def moved(self, move: Move) -> TrainingState:
        """Return the state after a transition; the same object if nothing changes."""
        change = dataclasses.replace
        if self.over:
            return self
        match move, self.status:
            case "stop", _:
                return change(self, ends=True, status="stopping", problem="")
            case "pause", status if not self.ends:
                return change(self, wants_pause=True, status=status if status in ("paused", "blocked") else "pausing")
            case "resume", status if self.wants_pause and not self.ends:
                return change(self, wants_pause=False, status="blocked" if status == "blocked" else self.work)
            case "held", status if self.active_status == "pausing" and status != "blocked":
                return change(self, status="paused")
            case "released", "paused":  # for one step
                return change(self, status=self.work)
        return self

    def after(self, event: Event) -> TrainingState:
        """Return the state after `event`."""
        change = dataclasses.replace
        state = self
        if state.status == "blocked" and not isinstance(event, Blocked):
            state = change(state, status=state.active_status, problem="")
        match event:
            case Phase():
                phases = state.phases if event.name == state.phase else (*state.phases, event.name)
                status = state.active_status if state.outcome else state.status
                return change(state, phase=event.name, phases=phases, done=0, total=0, seconds_left=None, status=status)
            case Progress():
                return change(state, done=event.done, total=event.total, seconds_left=event.seconds_left)
            case RunStarted():
                started = change(
                    state,
                    outcome="",
                    run_id=event.run_id,
                    name=event.name,
                    step=event.step,
                    total_steps=event.total_steps,
                    device=event.device,
                    precision=event.precision,
                    saved_step=state.saved_step if state.run_id in ("", event.run_id) else None,
                )
                return started if state.status == "paused" else change(started, status=started.active_status)
            case TrainMetrics():
                return change(
                    state,
                    step=event.step,
                    total_steps=event.total_steps,
                    elapsed_s=event.elapsed_s,
                    seconds_left=event.seconds_left,
                )
            case TextsShown():
                return change(state, texts=event.texts)
            case WordsMerged():
                return change(state, words=event.words)
            case Saved():
                return change(state, saved_step=event.step)
            case Blocked():
                return change(state, status="blocked", problem=event.reason)
            case Evaluated():
                return change(state, evaluated=event)
            case TextCompared():
                return change(state, compared=event)
            case Finished():
                return change(state, outcome=event.status, status=event.status, step=event.step, seconds_left=None)
        return state
