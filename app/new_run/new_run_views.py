"""The views of a new run: form, data preview and finders."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.layout.views import View, Views, side_page
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.data_page import RunDataPage
from terrarium.app.new_run.draft import RunDraft
from terrarium.app.new_run.trials.batch_finder_view import BatchFinderView
from terrarium.app.new_run.trials.finder_view import FinderView
from terrarium.app.new_run.trials.lr_finder_view import LrFinderView
from terrarium.app.session.session import Session


class NewRunViews(Views):
    """The form and the previews of a draft; in a narrow window also the review.

    Signals:
        settings_chosen(changes): the user applies a finder's result; settings of TrainConfig, as {name: value}.
    """

    settings_chosen = Signal(object)

    def __init__(self, draft: RunDraft, session: Session, theme: ThemeProvider) -> None:
        self._draft = draft
        views = {
            "choices": View(
                "Set up", "Choose the model, the data and the settings", lambda: draft.choices, "Pretraining"
            ),
            "data": View(
                "Data preview", "What the model will read and predict", lambda: RunDataPage(draft, theme), "Token"
            ),
            "lr": View("Learning rate", "Find a learning rate in a short trial", self._make_lr, "Learning rate"),
            "batch": View("Batch size", "Find a batch size in a short trial", self._make_batch, "Batch"),
            "review": View("Review", "What will run and what it costs; start it", side_page),
        }
        super().__init__("Steps of a new run", views)
        self.keep_simple(session.detail, ("choices", "review"))
        self._session, self._theme = session, theme

    def refresh(self) -> None:
        """Update the current view after the choices or a trial have changed."""
        if self.current:
            self._update(self.current)

    def offer_trials(self, *, is_offered: bool) -> None:
        """Enable the data preview and the finders, or disable them for an alignment run, which they do not support."""
        for name in ("data", "lr", "batch"):
            self.bar.setTabEnabled(self.names.index(name), is_offered)
        if not is_offered and self.current in ("data", "lr", "batch"):
            self.show_view("choices")

    def _update(self, name: str) -> None:
        page = self.pages.made.get(name)
        if isinstance(page, RunDataPage):
            page.refresh()
        elif isinstance(page, FinderView):
            page.show_state()

    def _make_lr(self) -> QWidget:
        view = LrFinderView(self._draft.trials, self._session.training, self._theme)
        return self._wired(view, "lr")

    def _make_batch(self) -> QWidget:
        view = BatchFinderView(self._draft.trials, self._session.training, self._theme)
        return self._wired(view, "batch")

    def _wired(self, view: FinderView, kind: str) -> QWidget:
        view.holds_for = self._draft.uses_same_model_and_data
        view.start_requested.connect(lambda: self._draft.try_out(kind))
        view.cancel_requested.connect(self._draft.trials.cancel)
        view.chosen.connect(self.settings_chosen)
        return view
