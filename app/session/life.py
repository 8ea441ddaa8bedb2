"""The life of a training, from the start to its end, as a pure function: which event leads to which status.

Each event has one sender: the user (a button or a command), the run's job, or the worker thread. Nothing else changes
the status: views read it, and Training sends the events. docs/develop/life.md shows the machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

PREPARING, RUNNING, EVALUATING = "preparing", "running", "evaluating"
PAUSING, PAUSED, BLOCKED, STOPPING = "pausing", "paused", "blocked", "stopping"
FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"
WORK = (PREPARING, RUNNING, EVALUATING)
"""The statuses in which the job computes and nothing holds it."""
ENDS = (FINISHED, STOPPED, PAUSED, FAILED)
"""The statuses of a training that is over. PAUSED: saved, and the device is free."""

USER, JOB, WORKER = "user", "job", "worker"
EVENTS: Mapping[str, tuple[str, str]] = {
    "pause": (USER, "Pause after the current step."),
    "resume": (USER, "Continue, or do not pause after all."),
    "stop": (USER, "Stop after the current step, or save and free the device: the queue starts nothing more."),
    "started": (JOB, "A run begins to train. A recipe may train several."),
    "phase": (JOB, "Another phase begins, before or after a training: reading, measuring, evaluating."),
    "progress": (JOB, "Any other event: a step, a checkpoint, a measurement."),
    "blocked": (JOB, "It cannot go on, because the disk is full: the worker holds it until the next attempt."),
    "finished": (JOB, "The training of a run has come to its last step."),
    "stopped": (JOB, "The training of a run was stopped, by the user or by early stopping."),
    "saved": (JOB, "The training of a run was saved, to be resumed later."),
    "held": (WORKER, "The worker has come to the end of a step, and asks the job for nothing more."),
    "released": (WORKER, "The worker goes on: for a single step, or after a pause."),
    "ended": (WORKER, "The job is over."),
    "failed": (WORKER, "The job has raised an error."),
}
"""Each event: who sends it, and what it says."""
_OUTCOMES = {"finished": FINISHED, "stopped": STOPPED, "saved": PAUSED}


@dataclass(frozen=True, kw_only=True)
class Life:
    """Where a training is in its life.

    status: one of WORK, PAUSING, PAUSED, BLOCKED, STOPPING; of ENDS once it is over.
    work: what it does, or would do if nothing held it: one of WORK.
    wants_pause: whether the user wants it to pause; only the user takes that back.
    wants_stop: whether the user has stopped it or freed the device, for good: the queue starts nothing after it.
    outcome: how the last training ended (of ENDS), "" before that and while the next run of a recipe trains.
    is_over: whether the job has ended.
    """

    status: str = PREPARING
    work: str = PREPARING
    wants_pause: bool = False
    wants_stop: bool = False
    outcome: str = ""
    is_over: bool = False

    @property
    def unblocked(self) -> str:
        """The status while nothing holds the job."""
        return STOPPING if self.wants_stop else PAUSING if self.wants_pause else self.work


def after(life: Life, event: str) -> Life:
    """Return the life after one of EVENTS; the same object if the event changes nothing there."""
    assert event in EVENTS, event
    if life.is_over:
        return life
    changed = _after(life, event)
    return life if changed == life else changed


def all_moves() -> Iterator[tuple[Life, str, Life]]:
    """Yield each life that can be reached, with each event and the life after it."""
    known: set[Life] = set()
    left = [Life()]
    while left:
        life = left.pop()
        if life not in known:
            known.add(life)
            for event in EVENTS:
                new = after(life, event)
                left.append(new)
                yield life, event, new


def _after(life: Life, event: str) -> Life:
    if life.status == BLOCKED and EVENTS[event][0] == JOB and event != "blocked":  # there is room again
        life = replace(life, status=life.unblocked)
    match event, life.status:
        case "failed", _:
            return replace(life, status=FAILED, is_over=True)
        case "ended", _:
            return replace(life, status=life.outcome or STOPPED, is_over=True)
        case "stop", _:
            return replace(life, status=STOPPING, wants_stop=True)
        case "pause", status if not life.wants_stop:
            return replace(life, wants_pause=True, status=status if status in (PAUSED, BLOCKED) else PAUSING)
        case "resume", status if life.wants_pause and not life.wants_stop:
            return replace(life, wants_pause=False, status=status if status == BLOCKED else life.work)
        case "held", _ if life.unblocked == PAUSING and life.status != BLOCKED:
            return replace(life, status=PAUSED)
        case "released", "paused" if life.wants_pause and not life.wants_stop:  # for a step
            return replace(life, status=life.work)
        case "blocked", _:
            return replace(life, status=BLOCKED)
        case (("finished" | "stopped" | "saved"), _):
            outcome = _OUTCOMES[event]
            return replace(life, outcome=outcome, work=EVALUATING, status=outcome)
        case "started", _:
            started = replace(life, outcome="", work=RUNNING)
            return replace(started, status=started.unblocked)
        case "phase", _ if life.outcome:
            return replace(life, status=life.unblocked)
    return life
