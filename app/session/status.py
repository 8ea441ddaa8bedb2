"""The text of the status bar."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from PySide6.QtCore import QObject, Signal, SignalInstance

from terrarium.app.session.chat import ChatSession
from terrarium.app.session.device import Device
from terrarium.app.session.training import Training
from terrarium.app.session.training_state import TrainingState


@dataclass(frozen=True, kw_only=True)
class StatusLine:
    """A line of the status bar. done, total: the progress; 0 if there is nothing to count.

    is_computing: whether a computation is running, which other programs can slow down.
    """

    words: str
    is_computing: bool = True
    done: int = 0
    total: int = 0
    seconds_left: float | None = None


class StatusSource(Protocol):
    """Other work with a status line, which is None while it is idle."""

    @property
    def changed(self) -> SignalInstance: ...

    @property
    def status(self) -> StatusLine | None: ...


class Status(QObject):
    """Combines the status of the training, the chat, and added sources.

    Signals:
        changed(): `line` has changed.
    """

    changed = Signal()

    def __init__(self, training: Training, chat: ChatSession, device: Device, parent: QObject) -> None:
        super().__init__(parent)
        self._training, self._chat, self._device = training, chat, device
        self._sources: list[StatusSource] = []
        for signal in (training.changed, chat.changed, device.changed):
            signal.connect(self.changed)

    def add(self, source: StatusSource) -> None:
        """Also show the status of `source` while no run is training."""
        self._sources.append(source)
        source.changed.connect(self.changed)

    @property
    def line(self) -> StatusLine:
        """The current status line."""
        others = (source.status for source in self._sources)
        trying = next((status for status in others if status is not None), None)
        return describe_status(self._training.state, self._chat.state, ready=self._device.ready, trying=trying)


def describe_status(
    training: TrainingState | None, chat: str, *, ready: bool, trying: StatusLine | None = None
) -> StatusLine:
    """Compose the status line.

    chat: the state of the ChatSession. ready: whether torch is loaded. trying: the line of other work, as a trial.
    """
    if training is None or training.is_over:
        if not ready:
            return StatusLine(words="Loading torch…")
        if trying is not None and chat not in ("loading", "replying"):
            return trying
        return StatusLine(
            words={"loading": "Opening the model", "replying": "Writing a reply"}.get(chat, "Ready"),
            is_computing=chat in ("loading", "replying"),
        )
    name = training.name
    if training.status in ("preparing", "evaluating"):
        words = training.phase or "Preparing"
        return StatusLine(
            words=f"{name}: {words}", done=training.done, total=training.total, seconds_left=training.seconds_left
        )
    if training.status == "running" and chat == "replying":
        return StatusLine(words=f"{name}: waiting for chat", done=training.step, total=training.total_steps)
    words = {
        "running": f"Training {name}",
        "pausing": f"Pausing {name}",
        "paused": f"{name} is paused",
        "stopping": f"Stopping {name}",
        "blocked": f"{name} is waiting: {training.problem}",
    }.get(training.status, name)
    left = training.seconds_left if training.status == "running" else None
    return StatusLine(
        words=words,
        is_computing=training.status not in ("paused", "blocked"),
        done=training.step,
        total=training.total_steps,
        seconds_left=left,
    )
