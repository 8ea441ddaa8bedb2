"""The training tab: the list of runs on the left; on the right a run, a comparison, the new-run form or recipes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QApplication, QWidget

from terrarium.app.kit.basics import column, frame, group, splitter, stacked
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.new_run.align_picker import AlignPicker
from terrarium.app.new_run.choices import RunChoices
from terrarium.app.new_run.new_run_page import NewRun
from terrarium.app.new_run.start_picker import StartPicker
from terrarium.app.recipes.recipes_page import RecipesPage
from terrarium.app.run.run_view import RunView
from terrarium.app.runs.overlay.overlay_view import CompareRuns
from terrarium.app.runs.queue_panel import QueuePanel
from terrarium.app.runs.runs_panel import RunsPanel
from terrarium.app.session.chat_model import LIVE
from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step
from terrarium.models.runs.run_queue import QueuedRun
from terrarium.models.settings.model_config import ModelConfig

_BETWEEN_MS = 10
"""Milliseconds between building two parts of the form, so that the event loop can handle pending events."""


class TrainingTab(QWidget):
    """The list of runs and the queue, and pages for a run, a comparison of runs, a new run, and recipes."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.panel = RunsPanel(session, theme)
        self.runs = self.panel.list
        self.setFocusProxy(self.runs)
        self.queue = QueuePanel(session, theme)
        self.run_view = RunView(session, theme)
        self.comparison = CompareRuns(session, theme)
        self._nothing = QWidget()
        self.pages = stacked(self._nothing, self.run_view, self.comparison)
        self._queue_card = frame("card", self.queue, margin=SPACE)
        left = group(self.panel, self._queue_card, grows=self.panel)
        self.setLayout(column(splitter(left, self.pages, sizes=[256, 1000], grows=1), margin=2 * SPACE))
        self._followed, self._follows, self._was_active = "", False, False
        self._leaving = ""  # the run in view until the next queued run has an id
        self._pickers: tuple[StartPicker, AlignPicker] | None = None
        self._choices: RunChoices | None = None
        self._new_run: NewRun | None = None
        self._recipes: RecipesPage | None = None
        self._connect()

    def _connect(self) -> None:
        session = self._session
        self.panel.run_chosen.connect(self._on_run_chosen)
        self.panel.runs_selected.connect(self._on_runs_selected)
        self.queue.removed.connect(self._on_removed)
        session.training.changed.connect(self._on_training)
        session.queue.changed.connect(self._show_queue)
        self._show_queue()

    def show_new_run(self) -> None:
        """Show the form for a new run: the current draft, or a new draft if the current one was started."""
        self.new_run.begin_if_over()
        self._show_form()

    def _show_form(self) -> None:
        self.runs.choose("")
        self.pages.setCurrentWidget(self.new_run)

    @property
    def new_run(self) -> NewRun:
        """The form for a new run, built lazily."""
        while self._new_run is None or self.pages.indexOf(self._new_run) < 0 or not self.is_complete:
            self._make_more()
        return self._new_run

    @property
    def is_complete(self) -> bool:
        """Whether a page is shown, instead of the empty placeholder."""
        return self.pages.currentWidget() is not self._nothing

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        QTimer.singleShot(_BETWEEN_MS, self, self._on_shown)

    @Slot()
    def _on_shown(self) -> None:
        """Build the form over several event-loop iterations, so that the window stays responsive."""
        if not self.is_complete:
            self._make_more()
            QTimer.singleShot(_BETWEEN_MS, self, self._on_shown)

    def _make_more(self) -> None:
        """Build the next part of the new-run form (at most 50 ms per call); the last call shows the form."""
        if self._pickers is None:
            self._pickers = StartPicker(self._session, self._theme), AlignPicker(self._session, self._theme)
        elif self._choices is None:
            self._choices = RunChoices(self._session, self._theme, self._pickers)
        elif self._new_run is None:
            self._new_run = NewRun(self._session, self._theme, self._choices)
        elif self.pages.indexOf(self._new_run) < 0:
            self.pages.addWidget(self._new_run)
        else:
            self.pages.setCurrentWidget(self._new_run)

    @property
    def recipes(self) -> RecipesPage:
        """The recipes page, built lazily."""
        if self._recipes is None:
            self._recipes = RecipesPage(self._session, self._theme)
            self.pages.addWidget(self._recipes)
        return self._recipes

    @property
    def shows_recipes(self) -> bool:
        """Whether the recipes are shown."""
        return self.pages.currentWidget() is self._recipes

    def show_recipes(self, name: str = "") -> None:
        """Show the recipes page, and the recipe called `name` if it exists."""
        self.runs.choose("")
        self.pages.setCurrentWidget(self.recipes)
        if self.recipes.has_recipe(name):
            self.recipes.show_recipe(name)

    def show_run(self, run_id: str) -> None:
        """Select a run in the list, which shows it."""
        if not self.runs.choose(run_id):
            self.runs.reload()

    def show_sweep(self, tag: str) -> None:
        """Show the comparison of the runs with a tag, which new ones join, and list only them."""
        self.runs.choose("")
        self.panel.search.setText(f"tag:{tag}")
        self.comparison.show_tag(tag)
        self.pages.setCurrentWidget(self.comparison)

    def show_template(self, run_id: str, design: ModelConfig | None = None) -> None:
        """Show the new-run form with the settings of an existing run, with `design` in place of its model if given."""
        self.new_run.show_template(run_id, design)
        self.show_new_run()

    @Slot(str)
    def _on_run_chosen(self, run_id: str) -> None:
        if not run_id:
            if not self.shows_recipes and not (self.pages.currentWidget() is self.run_view and self.run_view.live):
                was_within = _has_focus_within(self.run_view)
                self.pages.setCurrentWidget(self.new_run)
                if was_within:
                    self.runs.setFocus()
            return
        if self.run_view.run_id != run_id:
            self.run_view.show_run(run_id)
        self.pages.setCurrentWidget(self.run_view)

    @Slot(object)
    def _on_runs_selected(self, run_ids: tuple[str, ...]) -> None:
        self.comparison.show_runs(run_ids)
        self.pages.setCurrentWidget(self.comparison)

    @Slot()
    def _on_training(self) -> None:
        """Show a run when its training starts, and select it in the list once it has an id.

        A run that the queue started automatically is shown only if the previous run is in view, and only once it has
        an id, because preparing it may fail. A recipe's run is not shown while the recipes page is in view, nor a run
        while a comparison is in view which new runs join.
        """
        state, active = self._session.training.state, self._session.training.active
        began, ended = active and not self._was_active, self._was_active and not active
        self._was_active = active
        if state is None:
            return
        if began:
            self._follows = not self._session.queue.started_automatically or self._is_showing(self._followed)
            self._follows = self._follows and not (state.recipe and self.shows_recipes)
            self._follows = self._follows and not self._is_following_comparison
            self._leaving = self._followed if self._follows and self._session.queue.started_automatically else ""
            self._followed = ""
            if self._follows and not state.run_id and not self._leaving:
                self.run_view.show_run("")
                self.pages.setCurrentWidget(self.run_view)
                self.runs.choose("")  # the run is not in the list yet
        elif ended and self._is_showing(""):
            self._show_form()  # it ended before it had a run to show; a message says why
        if active and state.run_id and state.run_id != self._followed:
            self._followed = state.run_id
            if self._follows and (began or any(map(self._is_showing, ("", state.run_id, self._leaving)))):
                self.show_run(state.run_id)

    @property
    def run_in_view(self) -> str:
        """The id of the run in view, or "" if another page is shown."""
        return self.run_view.run_id if self.pages.currentWidget() is self.run_view else ""

    @property
    def compared_tag(self) -> str:
        """The tag of the runs whose comparison is in view, or "" if another page or a comparison of chosen runs is."""
        return self.comparison.tag if self.pages.currentWidget() is self.comparison else ""

    @property
    def _is_following_comparison(self) -> bool:
        return self.pages.currentWidget() is self.comparison and self.comparison.is_following

    def _is_showing(self, run_id: str) -> bool:
        return self.pages.currentWidget() is self.run_view and self.run_view.run_id == run_id

    @Slot()
    def _show_queue(self) -> None:
        waits = bool(self._session.queue.waiting)
        was_within = not waits and _has_focus_within(self._queue_card)
        self._queue_card.setVisible(waits)
        if was_within:
            self.runs.setFocus()  # the last item of the queue was removed

    @Slot(object, int)
    def _on_removed(self, item: QueuedRun, index: int) -> None:
        words = f"“{item.name}” removed from the queue"
        queue, undo = self._session.queue, self._session.undo

        def undo_it() -> bool:
            self._session.notices.undone.emit(words)
            return queue.put_back(item, index)

        step = Step(
            f"removal of “{item.name}” from the queue",
            undo_it,
            lambda: queue.remove(item.id) is not None,
            is_stale=lambda: any(waiting.id == item.id for waiting in queue.waiting),
        )
        undo.add("training", step)
        self._session.notices.deleted.emit(words, lambda: undo.take_back("training", step))

    def do(self, run_id: str, name: str) -> None:
        """Perform an action of app.runs.run_actions on a run; run_id "" is the current training before it has a run."""
        if name == "chat":
            self._session.use_model(LIVE if self._session.training.trains(run_id) else run_id)
        elif name == "resume":
            self._session.training.resume_run(run_id)
        elif name == "queue":
            self._session.queue.add_run(run_id)
        elif name == "template":
            self.show_template(run_id)
        elif name == "tune":
            self.show_new_run()
            self.new_run.show_tuning(run_id)
        elif not self.panel.do(run_id, name):
            if run_id:
                self.show_run(run_id)
            if self.run_view.run_id == run_id:  # unless the run is gone
                self.run_view.do(name)

    def fork(self, run_id: str, step: int | None, changes: Mapping[str, Any] | None) -> None:
        """Show a run, and ask how to fork it at a step (see `RunView.ask_for_fork`)."""
        self.show_run(run_id)
        if self.run_view.run_id == run_id:  # unless the run is gone
            self.run_view.ask_for_fork(step, changes)


def _has_focus_within(widget: QWidget) -> bool:
    focused = QApplication.focusWidget()
    return focused is not None and widget.isAncestorOf(focused)
