"""The state of the current training: its life, and what its events have said. A pure function of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from terrarium.app.session.life import BLOCKED, FAILED, Life, after
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


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """The state of the current run; `after` applies an event of its job, `moved` an event of anybody else.

    life: its status, and what the user wants. problem: why it is blocked, or has failed.
    elapsed_s: seconds of training without pauses; None before the first step of this launch.
    files: the text files of a quick start; () for Tiny World.
    compared: how well gzip, n-gram tables and finally the model predict the user's text.
    texts, words: excerpts of the data, and words as they are merged into tokens, which a quick start shows while it
    prepares.
    recipe: the name of the current recipe or demonstration (models.recipes), "" if none; it may train several runs.
    """

    name: str
    life: Life = field(default_factory=Life)
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
    def status(self) -> str:
        """Where the training is in its life: one of the statuses of `Life`."""
        return self.life.status

    @property
    def is_over(self) -> bool:
        """Whether the job has ended."""
        return self.life.is_over

    @property
    def wants_stop(self) -> bool:
        """Whether the user has stopped it or freed the device, for good."""
        return self.life.wants_stop

    @property
    def wants_pause(self) -> bool:
        """Whether the user wants it to pause."""
        return self.life.wants_pause

    @property
    def outcome(self) -> str:
        """How the last training ended; "" before that and while the next run of a recipe trains."""
        return self.life.outcome

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

    def moved(self, event: str, **changes: Any) -> TrainingState:
        """Return the state after an event of session.life, and with other `changes`; the same if nothing changes."""
        life = after(self.life, event)
        if life is self.life and not changes:
            return self
        problem = self.problem if life.status in (BLOCKED, FAILED) else ""
        return dataclasses.replace(self, life=life, **{"problem": problem, **changes})

    def after(self, event: Event) -> TrainingState:
        """Return the state after an event of the run's job."""
        state, change = self.moved(life_event(event)), dataclasses.replace
        match event:
            case Phase():
                phases = state.phases if event.name == state.phase else (*state.phases, event.name)
                return change(state, phase=event.name, phases=phases, done=0, total=0, seconds_left=None)
            case Progress():
                return change(state, done=event.done, total=event.total, seconds_left=event.seconds_left)
            case RunStarted():
                return change(
                    state,
                    run_id=event.run_id,
                    name=event.name,
                    step=event.step,
                    total_steps=event.total_steps,
                    device=event.device,
                    precision=event.precision,
                    saved_step=state.saved_step if state.run_id in ("", event.run_id) else None,
                )
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
                return change(state, problem=event.reason)
            case Evaluated():
                return change(state, evaluated=event)
            case TextCompared():
                return change(state, compared=event)
            case Finished():
                return change(state, step=event.step, seconds_left=None)
        return state


def life_event(event: Event) -> str:
    """Return the event of session.life that an event of the run's job is."""
    match event:
        case RunStarted():
            return "started"
        case Phase():
            return "phase"
        case Blocked():
            return "blocked"
        case Finished():
            return "saved" if event.status == "paused" else event.status
    return "progress"
