"""The bar at the bottom: device, memory, current work with its progress, and the time left."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Slot
from PySide6.QtWidgets import QComboBox, QFrame, QWidget

from terrarium.app.kit.announcer import Announcer
from terrarium.app.kit.basics import label, plain_tip, row
from terrarium.app.kit.inputs import named, progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE
from terrarium.app.session.device import memory_bytes
from terrarium.app.session.session import Session
from terrarium.app.shell.preferences import PreferenceBox, Preferences
from terrarium.app.worker.background import LatestTask
from terrarium.models.computer_load import ComputerLoad, describe_load
from terrarium.models.number_words import format_count, format_done, format_duration, format_size

_MEASURED_EVERY_MS = 2000
_MEMORY_TIP = "Main memory used by Terrarium"
_ENDED = {"finished": "is finished", "stopped": "was stopped", "paused": "is paused"}
"""How a training has ended, unless it failed, in words."""


class StatusBar(QFrame):
    """Shows `session.status.line`, and lets the user choose the device."""

    def __init__(self, session: Session, preferences: Preferences, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "status-bar")
        self._session = session
        self._devices = PreferenceBox(preferences.device)
        self._devices.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._devices.setMinimumContentsLength(8)
        self._devices.view().setMinimumWidth(220)
        self._device = label("", "caption")
        self._memory = label("", "caption")
        self._text = named(ElidedLabel(), "Current work")
        self._progress = progress_bar("Progress")
        self._progress.setFixedWidth(180)
        self._numbers = label("", "mono-small")
        state, work = (self._devices, self._device, SPACE, self._memory), (self._text, self._progress, self._numbers)
        margin = (2 * SPACE, SPACE // 2, 2 * SPACE, SPACE // 2)
        self.setLayout(row(*state, 2 * SPACE, *work, grows=self._text, margin=margin))
        self._load = ComputerLoad()
        self._others: float | None = None
        self._measuring = LatestTask(self)
        self._measuring.done.connect(self.show_load)
        timer = QTimer(self)
        timer.timeout.connect(self._show_memory)
        timer.timeout.connect(self._measure_load)
        timer.start(_MEASURED_EVERY_MS)
        self._announcer = Announcer(self)
        self._was_training = session.training.active
        session.training.changed.connect(self._on_training)
        session.status.changed.connect(self._show_status)
        session.device.changed.connect(self._show_device)
        self._show_status()
        self._show_device()
        self._show_memory()

    @Slot(object)
    def show_load(self, share: float | None) -> None:
        """Show the share of the computer that other programs use, if it slows the current work; None = unknown."""
        # Averaged with the previous value, to ignore one busy second of another program.
        self._others = share if share is None or self._others is None else (share + self._others) / 2
        self._show_status()

    @Slot()
    def _show_status(self) -> None:
        status = self._session.status.line
        slowed_by = describe_load(self._others) if status.is_computing else ""
        self._text.setText(" · ".join(filter(None, (status.words, slowed_by))))
        self._progress.setVisible(status.total > 0)
        if status.total > 0:
            # Counters can exceed the range of a progress bar: show thousandths.
            show_progress(self._progress, status.done, status.total)
        left = f"{format_duration(status.seconds_left)} left" if status.seconds_left is not None else ""
        share = f"{format_done(status.done / status.total):>5}" if status.total else ""
        self._numbers.setText("  ".join(filter(None, (share, left))))

    @Slot()
    def _on_training(self) -> None:
        """Tell a screen reader when a training has ended; a failure is told by its message."""
        training = self._session.training
        was_training, self._was_training = self._was_training, training.active
        if was_training and not training.active and training.state is not None and training.state.status in _ENDED:
            self._announcer.say(f"The training of “{training.state.name}” {_ENDED[training.state.status]}.")

    @Slot()
    def _show_device(self) -> None:
        self._device.setText(self._session.device.label)

    @Slot()
    def _show_memory(self) -> None:
        session = self._session
        uses = [f"{use.user}: {use.name}, {format_size(use.n_bytes)}" for use in session.models.uses]
        if session.training.active and session.training.state is not None:
            uses.append(f"Training: {session.training.state.name}")
        models = f" · {format_count(len(uses), 'model')}" if uses else ""
        self._memory.setText(f"{format_size(memory_bytes())}{models}")
        self._memory.setToolTip(plain_tip("\n".join((_MEMORY_TIP, *(["Models in memory:"] if uses else []), *uses))))

    @Slot()
    def _measure_load(self) -> None:
        if not self._measuring.busy:
            self._measuring.ask(self._load.measure)
