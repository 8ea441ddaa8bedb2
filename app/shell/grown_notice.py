"""Says that a quick start has ended where another page than its own is in view, and leads to what came of it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Slot

from app.session.training_state import TrainingState

if TYPE_CHECKING:
    from app.shell.main_window import MainWindow


class GrownNotice(QObject):
    """Follows the training of a window, which may be a quick start that the queue has begun."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._training = window, window.session.training
        self._was_growing = False
        self._training.changed.connect(self._on_training)

    @Slot()
    def _on_training(self) -> None:
        state = self._training.state
        grows = self._training.active and state is not None and state.quickstart
        if self._was_growing and not grows and state is not None and state.has_result:
            self._say(state)
        self._was_growing = grows

    def _say(self, state: TrainingState) -> None:
        if self._window.pages.current != "quickstart":
            show = partial(self._show, state.run_id)
            self._window.toasts.done(f"“{state.name}” has been grown: see what it can do.", "Show it", show)

    def _show(self, run_id: str) -> None:
        """Show its result; where something else is being trained by now, its run."""
        now = self._training.state
        if now is not None and now.run_id == run_id:
            self._window.show_quickstart()
        else:
            self._window.show_run(run_id)
