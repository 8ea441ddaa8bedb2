"""Restores the last session and offers to resume an interrupted run, after the window's first paint."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Protocol

from PySide6.QtCore import QObject, QTimer, Slot

from terrarium.app.home.home import Home
from terrarium.app.session.routes import DoToRun
from terrarium.app.shell.closing import take_saved_run
from terrarium.app.shell.screens import Screens, load_pages
from terrarium.app.shell.top_bar import HOME, TABS
from terrarium.app.worker.background import LatestTask

if TYPE_CHECKING:
    from terrarium.app.shell.guide.desk import GuideDesk
    from terrarium.app.shell.toasts import Toasts


class LaunchedWindow(Screens, Protocol):
    """The interface of the window that its launch uses."""

    toasts: Toasts
    guide: GuideDesk

    @property
    def home(self) -> Home: ...


class Relaunch(QObject):
    """Restores the state in which the window was last closed."""

    def __init__(self, window: LaunchedWindow) -> None:
        super().__init__(window.pages)
        self._window, self._session = window, window.session
        self._preparing = LatestTask(self)
        self._preparing.done.connect(self._on_prepared)
        self._preparing.failed.connect(self._session.notices.fail)
        self._session.training.began.connect(self._on_training_began)
        self._offer = ""
        self.reopens_chat = False
        """Whether the chat tab, once created, shows the conversation that was open last."""

    def prepare(self) -> None:
        """Restore the last session: import the pages between user events, then read the runs on another thread."""
        self.reopen_chat()
        self._load(load_pages())

    def _load(self, portions: Iterator[None]) -> None:
        for _ in portions:  # import one portion per turn of the event loop
            QTimer.singleShot(0, self, partial(self._load, portions))
            return

        def read() -> None:
            self._session.runs.index.refresh(gives_way=True)
            self._window.guide.read()

        self._preparing.ask(read)

    @Slot()
    def _on_prepared(self) -> None:
        window = self._window
        if window.pages.current == HOME:  # else the user has already left Home
            self.show_last_tab()
        window.home.refresh()
        self.offer_interrupted()
        window.guide.add_to(window.home)
        window.pages.make_all()

    def reopen_chat(self) -> None:
        """Open the model and the conversation that were open when the window was last closed, in the background."""
        self.reopens_chat = True
        self._session.chat.open_last()

    def show_last_tab(self) -> None:
        """Show the tab that was current when the window was last closed, if the library has runs."""
        tab = self._session.remembered.get("tab", "")
        if tab in {name for name, *_ in TABS} and self._session.runs.list():
            self._window.show_tab(tab)

    def offer_interrupted(self) -> None:
        """Offer to resume the run that was interrupted last or, if none was, the one saved when the window closed.

        If the training tab is in view, it shows the run.
        """
        session = self._session
        if session.remembered.problem:
            session.notices.say(session.remembered.problem)
        interrupted = session.runs.check()
        closed = take_saved_run(session)
        saved = [run for run in session.runs.list() if run.id == closed and run.status == "paused"]
        toasts = self._window.toasts
        offers = [(run, "was interrupted", toasts.offer) for run in interrupted[:1]]
        # A saved run is announced by `done`, which disappears after a while, unlike `offer`.
        for run, what, show in offers or [(run, "was saved", toasts.done) for run in saved]:
            sentence = f"“{run.name}” {what} at step {run.step:,} of {run.total_steps:,}."
            self._offer = f"{sentence} You can resume it from its last checkpoint."
            show(self._offer, "Resume", partial(self.resume, run.id))
            if self._window.pages.current == "training":
                self._window.training.show_run(run.id)

    @Slot()
    def _on_training_began(self) -> None:
        self._window.toasts.withdraw(self._offer)  # already resumed, or impossible during another run

    def resume(self, run_id: str) -> None:
        """Resume a run and show the training tab."""
        self._session.go(DoToRun(run_id, "resume"))
