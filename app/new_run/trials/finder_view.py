"""The base class of finder views: an introduction, buttons to start and stop the trial, a chart and the result."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QStackedLayout, QVBoxLayout, QWidget

from terrarium.app.kit.basics import EmptyState, button, frame, label, row, set_enabled, show_only
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.new_run.trials.trials import Trials, TrialState
from terrarium.app.session.training import Training
from terrarium.models.settings.run_spec import RunSpec


class FinderView(QWidget):
    """A card with the chart and result of one kind of trial; before the first trial it explains what it does.

    Args:
        kind: the kind of trial, a key of app.new_run.trials.trials.TITLES.
        title: the heading. about: how the trial works, in a sentence or two.
        start: the text of the start button.

    Signals:
        start_requested(): start the trial. cancel_requested(): stop it.
        chosen(changes): the user applies the result; settings of TrainConfig, as {name: value}.
    """

    start_requested = Signal()
    cancel_requested = Signal()
    chosen = Signal(object)

    def __init__(
        self, trials: Trials, training: Training, theme: ThemeProvider, kind: str, *, title: str, about: str, start: str
    ) -> None:
        super().__init__()
        self._trials, self._training, self._theme = trials, training, theme
        self._kind, self._about = kind, about
        self.holds_for: Callable[[RunSpec], bool] = lambda spec: True
        """Returns whether the result for a spec still applies to the current choices."""
        self.start = button(start, theme, self.start_requested.emit, icon="play-fill", role="primary", tip=about)
        self.again = button(
            "Try again", theme, self.start_requested.emit, icon="arrow-clockwise", tip="Run the trial again"
        )
        self.stop = button(
            "Stop", theme, self.cancel_requested.emit, icon="stop-fill", tip="Stop after the current step"
        )
        self.use = button("", theme, self._on_use, icon="check", role="primary")
        self.progress = progress_bar("Progress of the trial")
        self.phase = ElidedLabel()
        self.phase.setProperty("role", "muted")
        self.sentence = label("", wrap=True)
        self._hint = EmptyState(title, about, self.start)
        self.charts = QVBoxLayout()
        foot = row(self.sentence, self.use, spacing=2 * SPACE, grows=self.sentence)
        card = frame(
            "card",
            row(label(title, "subheading"), None, self.again, self.stop),
            label(about, "caption", wrap=True),
            self.charts,
            foot,
            row(self.progress, self.phase, spacing=2 * SPACE),
            margin=SPACE + SPACE // 2,
            grows=self.charts,
        )
        empty = frame("card", self._hint)
        self._switch = QStackedLayout(self)
        self._switch.addWidget(empty)
        self._switch.addWidget(card)

    def show_state(self) -> None:
        """Show the current state; called on changes while this view is visible."""
        state = self._trials.state
        mine = state.kind == self._kind
        running = state.running and mine
        begun = running or self._has_points(state) or (mine and bool(state.problem))
        self._switch.setCurrentIndex(int(begun))
        for widget, tip in ((self.start, self._about), (self.again, "Run the trial again")):
            set_enabled(widget, self._training.why_not_start, tip)
        show_only({self.again: not running, self.stop: running, self.progress: running, self.phase: running})
        if running:
            show_progress(self.progress, state.done, state.total)
            self.phase.setText(state.phase)
        self._draw(state)
        words = self._result_text(state)
        if mine and state.problem and not running:
            words = state.problem
        elif running:
            words = ""
        elif not words and self._has_points(state):
            words = "The trial was stopped early: no result."
        tried = self._spec_tried(state)
        if words and not running and tried is not None and not self.holds_for(tried):
            words = f"For another model or other data than chosen now. {words}"
        self.sentence.setText(words)
        self._show_use(state, running=running)

    def _spec_tried(self, state: TrialState) -> RunSpec | None:
        """Return the spec of the last trial of this kind, or None."""
        raise NotImplementedError

    def _has_points(self, state: TrialState) -> bool:
        raise NotImplementedError

    def _draw(self, state: TrialState) -> None:
        raise NotImplementedError

    def _result_text(self, state: TrialState) -> str:
        """Describe the result in sentences; '' if there is none."""
        raise NotImplementedError

    def _show_use(self, state: TrialState, *, running: bool) -> None:
        """Update the button that applies the result."""
        raise NotImplementedError

    def _on_use(self) -> None:
        raise NotImplementedError
