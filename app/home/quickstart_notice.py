"""The notice shown when a quick start ends while another page is in view."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from PySide6.QtCore import QObject, Slot

from terrarium.app.kit.layout.pages import Pages
from terrarium.app.session.routes import ShowQuickStart, ShowRun
from terrarium.app.session.session import Session
from terrarium.app.session.training_state import TrainingState


class Toasts(Protocol):
    """Shows a toast with a button."""

    def done(self, sentence: str, text: str, action: Callable[[], object]) -> None: ...


class QuickStartWindow(Protocol):
    """The interface of the window that the notice needs."""

    session: Session
    pages: Pages

    @property
    def toasts(self) -> Toasts: ...


class QuickStartNotice(QObject):
    """Announces the end of a quick start while another page is in view, and links to its result."""

    def __init__(self, window: QuickStartWindow) -> None:
        super().__init__(window.pages)
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
        """Show the result of the quick start, or its run if another training has started since."""
        now = self._training.state
        is_last = now is not None and now.run_id == run_id
        self._window.session.go(ShowQuickStart() if is_last else ShowRun(run_id))
