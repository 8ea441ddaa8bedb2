"""What the status bar says, as a pure function of what is going on."""

from __future__ import annotations

from dataclasses import dataclass

from app.session.training_state import TrainingState


@dataclass(frozen=True, kw_only=True)
class Status:
    """A line for the status bar. done of total is 0 of 0 where there is nothing to count."""

    words: str
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


def status_of(training: TrainingState | None, chat: str, *, ready: bool, trying: Status | None = None) -> Status:
    """The status of a training, a chat's state (see ChatControl), whether torch is loaded, and of a dry run."""
    if training is None or training.over:
        if not ready:
            return Status(words="Loading torch…")
        if trying is not None and chat not in ("loading", "replying"):
            return trying
        return Status(words={"loading": "Opening the model", "replying": "Writing a reply"}.get(chat, "Ready"))
    count = {"done": training.step, "total": training.total_steps}
    name = training.name
    if training.status in ("preparing", "evaluating"):
        words = training.phase or "Preparing"
        return Status(
            words=f"{name}: {words}", done=training.done, total=training.total, seconds_left=training.seconds_left
        )
    if training.status == "running" and chat == "replying":
        return Status(words=f"{name}: waiting for chat", **count)
    words = {
        "running": f"Training {name}",
        "pausing": f"Pausing {name}",
        "paused": f"{name} is paused",
        "stopping": f"Stopping {name}",
        "blocked": f"{name} is waiting: {training.problem}",
    }.get(training.status, name)
    left = training.seconds_left if training.status == "running" else None
    return Status(words=words, seconds_left=left, **count)
