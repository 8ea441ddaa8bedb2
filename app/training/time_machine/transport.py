"""The buttons that move through a run: back, play, forward, how fast, again from the start, and to the newest."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QPushButton, QWidget

from app.kit.basics import button, label, row
from app.kit.theme import ThemeProvider

_SPEEDS = (0.5, 1.0, 2.0, 4.0)
_INTERVAL_MS = 600
"""For how long a snapshot is seen at the usual speed."""


class Transport(QWidget):
    """Says where one is, and asks to be elsewhere.

    Signals:
        play_asked(): play, or pause where it plays.
        step_asked(by): so many snapshots on (or back).
        end_asked(): to the newest.
        speed_changed(): the speed is another.
    """

    play_asked = Signal()
    step_asked = Signal(int)
    end_asked = Signal()
    speed_changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.back = _quiet(theme, "skip-back", "Back to the sample before (←)")
        self.play = _quiet(theme, "play-fill", "Play from here (space)")
        self.forward = _quiet(theme, "skip-forward", "On to the next sample (→)")
        self.loop = _quiet(theme, "repeat", "Play again from the start, over and over")
        self.loop.setCheckable(True)
        self.speed = QComboBox()
        self.speed.setAccessibleName("Speed")
        self.speed.setToolTip("How fast it plays")
        for speed in _SPEEDS:
            self.speed.addItem(f"{speed:g}×")
        self.speed.setCurrentIndex(_SPEEDS.index(1.0))
        self.where = label("", "subheading")
        self.loss = label("", "muted")
        self.latest = button("Latest", theme, self.end_asked.emit, role="quiet")
        self.latest.setToolTip("Go to the newest sample (End). From there, the view follows the training.")
        self.setLayout(
            row(self.back, self.play, self.forward, self.latest, self.loop, self.speed, self.where, self.loss)
        )
        self.back.clicked.connect(lambda: self.step_asked.emit(-1))
        self.forward.clicked.connect(lambda: self.step_asked.emit(1))
        self.play.clicked.connect(self.play_asked)
        self.speed.currentIndexChanged.connect(self.speed_changed)

    @property
    def interval_ms(self) -> int:
        """For how long each snapshot is seen while it plays."""
        return round(_INTERVAL_MS / _SPEEDS[self.speed.currentIndex()])

    def show_playing(self, playing: bool) -> None:
        """Whether it plays."""
        words = "Pause (space)" if playing else "Play from here (space)"
        self._theme.set_icon(self.play, "pause-fill" if playing else "play-fill")
        self.play.setToolTip(words)
        self.play.setAccessibleName(words)

    def show_position(self, index: int, n: int, where: str, loss: str) -> None:
        """Snapshot number `index` of `n` is shown, in words."""
        self.where.setText(where)
        self.loss.setText(loss)
        self.back.setEnabled(index > 0)
        self.forward.setEnabled(index < n - 1)
        self.latest.setEnabled(index < n - 1)
        self.play.setEnabled(n > 1)


def _quiet(theme: ThemeProvider, icon: str, tip: str) -> QPushButton:
    made = button("", theme, icon=icon, role="quiet", tip=tip)
    made.setMaximumWidth(40)
    return made
