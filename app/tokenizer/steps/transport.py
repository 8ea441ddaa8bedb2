"""Transport controls for steps: buttons, a slider, and playback at a chosen speed."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QCheckBox, QSlider, QWidget

from terrarium.app.kit.basics import button, row
from terrarium.app.kit.forms.editors import keep_wheel_for_scrolling
from terrarium.app.kit.inputs import choice, fill_choice, named
from terrarium.app.kit.labels import NumberLabel
from terrarium.app.kit.theme import ThemeProvider

SPEEDS = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Steps per second."""


class Transport(QWidget):
    """The current step among `n_steps`; 0 is before the first.

    Signals:
        step_changed(int): the current step has changed.
        finished(): the last step was passed, so the next word follows. Playback continues unless `pause` is called.
        playing_changed(bool): playback has started or stopped.
    """

    step_changed = Signal(int)
    finished = Signal()
    playing_changed = Signal(bool)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._n_steps = self._step = 0
        self.timer = QTimer(self)
        self.timer.timeout.connect(self._on_tick)
        self.first_button = button("", theme, self.first, icon="skip-back", tip="To the start (Home)")
        self.back_button = button("", theme, self.back, icon="caret-left", tip="One step back (Left)")
        self.play_button = button("", theme, self.toggle, icon="play", role="primary", tip="Play (Space)")
        self.forward_button = button("", theme, self.forward, icon="caret-right", tip="One step forward (Right)")
        self.last_button = button("", theme, self.last, icon="skip-forward", tip="To the end (End)")
        self.slider = named(QSlider(Qt.Orientation.Horizontal), "Step", "Drag through the steps")
        keep_wheel_for_scrolling(self.slider)
        self.step_label = NumberLabel(16, "mono-small")
        self.speed = choice("Speed", "1× is one step per second")
        fill_choice(self.speed, {speed: f"{speed:g}×" for speed in SPEEDS}, 1.0)
        self.through_all_words = QCheckBox("All words")
        self.through_all_words.setToolTip("Continue with the next word after the last step")
        buttons = (self.first_button, self.back_button, self.play_button, self.forward_button, self.last_button)
        for widget in (*buttons, self.slider):
            # A click must not take keyboard focus from the drawing.
            widget.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        contents = *buttons, self.slider, self.step_label, self.speed, self.through_all_words
        self.setLayout(row(*contents, grows=self.slider))
        self.slider.sliderPressed.connect(self.pause)
        self.slider.valueChanged.connect(self.go)
        self.speed.currentIndexChanged.connect(self._set_interval)
        self.through_all_words.toggled.connect(self._show)
        self._set_interval()
        self._show()

    @property
    def step(self) -> int:
        """The current step."""
        return self._step

    @property
    def is_playing(self) -> bool:
        """Whether it is playing."""
        return self.timer.isActive()

    def set_steps(self, n_steps: int, step: int) -> None:
        """Set the number of steps and the current one, without emitting a signal."""
        self._n_steps, self._step = n_steps, step
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, n_steps)
            self.slider.setPageStep(max(n_steps // 10, 1))
            self.slider.setValue(step)
        self._show()

    @Slot(int)
    def go(self, step: int) -> None:
        """Go to `step`, clamped to the valid range."""
        step = min(max(step, 0), self._n_steps)
        if step != self._step:
            self._step = step
            with QSignalBlocker(self.slider):
                self.slider.setValue(step)
            self._show()
            self.step_changed.emit(step)

    def first(self) -> None:
        """Go to the start."""
        self.pause()
        self.go(0)

    def back(self) -> None:
        """Go one step back."""
        self.pause()
        self.go(self._step - 1)

    def forward(self) -> None:
        """Go one step forward; after the last one, to the next word if all words are played."""
        self.pause()
        self._advance()

    def last(self) -> None:
        """Go to the last step."""
        self.pause()
        self.go(self._n_steps)

    def toggle(self) -> None:
        """Play (from the start if at the end), or pause."""
        if self.is_playing:
            self.pause()
            return
        if self._step == self._n_steps and not self.through_all_words.isChecked():
            self.go(0)
        if self._n_steps or self.through_all_words.isChecked():
            self.timer.start()
            self._show_playing()

    def pause(self) -> None:
        """Pause the playback."""
        if self.is_playing:
            self.timer.stop()
            self._show_playing()

    def _advance(self) -> None:
        if self._step < self._n_steps:
            self.go(self._step + 1)
        elif self.through_all_words.isChecked():
            self.finished.emit()

    @Slot()
    def _on_tick(self) -> None:
        self._advance()
        if self._step == self._n_steps and not self.through_all_words.isChecked():
            self.pause()

    @Slot()
    def _set_interval(self) -> None:
        self.timer.setInterval(round(1000 / float(self.speed.currentData())))

    def _show_playing(self) -> None:
        playing = self.is_playing
        self._theme.set_icon(self.play_button, "pause" if playing else "play", "on_accent")
        words = "Pause (Space)" if playing else "Play (Space)"
        self.play_button.setToolTip(words)
        self.play_button.setAccessibleName(words)
        self.playing_changed.emit(playing)

    @Slot()
    def _show(self) -> None:
        n, step, through_all_words = self._n_steps, self._step, self.through_all_words.isChecked()
        self.step_label.setText(f"step {step:,} of {n:,}" if n else "no steps")
        for widget in (self.first_button, self.back_button):
            widget.setEnabled(step > 0)
        self.forward_button.setEnabled(step < n or through_all_words)
        self.last_button.setEnabled(step < n)
        self.play_button.setEnabled(n > 0 or through_all_words)
        self.slider.setEnabled(n > 0)
