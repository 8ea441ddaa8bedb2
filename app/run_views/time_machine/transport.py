"""Playback controls of the time machine: back, play, forward, latest, loop and speed."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from terrarium.app.kit.basics import button, label, row, set_enabled
from terrarium.app.kit.inputs import choice, named
from terrarium.app.kit.theme import ThemeProvider

_SPEEDS = (0.5, 1.0, 2.0, 4.0)
_INTERVAL_MS = 600
"""Milliseconds per snapshot at speed 1."""


class Transport(QWidget):
    """The controls, and the current step as text.

    Signals:
        play_asked(): play or pause.
        step_asked(by): move by this many snapshots.
        end_asked(): go to the latest snapshot.
        speed_changed(): the user chose another speed.
    """

    play_asked = Signal()
    step_asked = Signal(int)
    end_asked = Signal()
    speed_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.back = _quiet(theme, "skip-back", "Previous sample (←)")
        self.play = _quiet(theme, "play-fill", "Play from here (space)")
        self.forward = _quiet(theme, "skip-forward", "Next sample (→)")
        self.loop = _quiet(theme, "repeat", "Loop")
        self.loop.setCheckable(True)
        self.speed = choice("Speed", "Playback speed", {speed: f"{speed:g}×" for speed in _SPEEDS})
        self.speed.setCurrentIndex(_SPEEDS.index(1.0))
        self.where = label("", "subheading")
        self.loss = label("", "muted")
        self.latest = button("Latest", theme, self.end_asked.emit, role="quiet")
        self.latest.setToolTip("Go to the newest sample (End). There, the view follows the training.")
        self.setLayout(
            row(self.back, self.play, self.forward, self.latest, self.loop, self.speed, self.where, self.loss)
        )
        self.back.clicked.connect(lambda: self.step_asked.emit(-1))
        self.forward.clicked.connect(lambda: self.step_asked.emit(1))
        self.play.clicked.connect(self.play_asked)
        self.speed.currentIndexChanged.connect(self.speed_changed)

    @property
    def interval_ms(self) -> int:
        """Milliseconds per snapshot while playing."""
        return round(_INTERVAL_MS / _SPEEDS[self.speed.currentIndex()])

    def show_playing(self, playing: bool) -> None:
        """Show whether the snapshots are playing."""
        words = "Pause (space)" if playing else "Play from here (space)"
        self._theme.set_icon(self.play, "pause-fill" if playing else "play-fill")
        named(self.play, words, words)

    def show_position(self, index: int, n: int, where: str, loss: str) -> None:
        """Show texts for the current position, and enable the buttons for snapshot `index` of `n`."""
        self.where.setText(where)
        self.loss.setText(loss)
        set_enabled(self.back, "" if index > 0 else "This is the first step that was recorded.")
        for later in (self.forward, self.latest):
            set_enabled(later, "" if index < n - 1 else "This is the last step that was recorded.")
        set_enabled(self.play, "" if n > 1 else "A single step was recorded: there is nothing to play.")


def _quiet(theme: ThemeProvider, icon: str, tip: str) -> QPushButton:
    made = button("", theme, icon=icon, role="quiet", tip=tip)
    made.setMaximumWidth(40)
    return made
