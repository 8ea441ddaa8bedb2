"""The progress of a recipe: its phase, a bar, the time left, its stages, and buttons to stop or watch it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, group, label, row, set_enabled
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ShowRun
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState
from terrarium.models.number_words import capitalized, format_duration

_STATES = {
    "pausing": "Pausing…",
    "paused": "Paused. “Watch it learn” opens the run; resume it there.",
    "stopping": "Stopping…",
}


class RecipeProgress(QWidget):
    """Shows the state of the current training.

    Args:
        title: of the recipe. kept: what is retained when it is stopped, in a few words.
        stages: the name of the phase with which each stage begins, in order; () if it has no stages. The caller
            places their list, `steps`.
    """

    def __init__(
        self, title: str, session: Session, theme: ThemeProvider, *, kept: str, stages: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self._session, self._stages = session, tuple(stages)
        self.phase, self.left = ElidedLabel(), label("", "mono-small")
        self.progress = progress_bar(f"Progress of {title}")
        self.stages = [label(f"·  {stage}", "small") for stage in stages]
        self.steps = group(*self.stages, spacing=SPACE // 2)
        self.stop = button("Stop", theme, session.training.stop, icon="stop-fill", tip=f"Stop; {kept}")
        self.watch = button(
            "Watch it learn", theme, self._on_watch, icon="chart-line", tip="Its curves, in the list of runs"
        )
        self.setLayout(
            column(self.phase, self.progress, self.left, row(self.stop, self.watch, None), spacing=SPACE // 2)
        )

    def show_state(self, state: TrainingState) -> None:
        """Show the progress of the training."""
        is_training = state.status == "running"
        done, total = (state.step, state.total_steps) if is_training else (state.done, state.total)
        words = state.phase or "Preparing"
        if is_training:  # a recipe may train several runs
            words = f"Training “{state.name}”: step {state.step:,} of {state.total_steps:,}"
        if state.status == "blocked":
            words = state.problem
        self.phase.setText(_STATES.get(state.status, words))
        show_progress(self.progress, done, total)
        left = state.seconds_left
        of_part = " of this part" if self.stages else ""
        begun = [i for i, stage in enumerate(self._stages) if stage in state.phases]
        at = begun[-1] if begun else -1
        parts = [f"stage {at + 1} of {len(self._stages)}"] if begun else []
        parts += [] if left is None else [f"{format_duration(left)} left{of_part}"]
        self.left.setText(capitalized(", ".join(parts)))
        set_enabled(self.stop, "It stops after the current step." if state.status == "stopping" else "")
        set_enabled(self.watch, "" if state.run_id else "There is no run to watch yet: it is being prepared.")
        for i, (line, stage) in enumerate(zip(self.stages, self._stages, strict=True)):
            line.setText(f"{'✓' if i < at else '▸' if i == at else '·'}  {stage}")

    def _on_watch(self) -> None:
        state = self._session.training.state
        if state is not None and state.run_id:
            self._session.go(ShowRun(state.run_id))
