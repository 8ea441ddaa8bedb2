"""The views of a new run: form, data preview and finders."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import EmptyState, button, column, show_words
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.layout.views import View, Views, side_page
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.draft import RunDraft
from terrarium.app.new_run.trials.batch_finder_view import BatchFinderView
from terrarium.app.new_run.trials.data_preview import DataPreviewPanel
from terrarium.app.new_run.trials.finder_view import FinderView
from terrarium.app.new_run.trials.lr_finder_view import LrFinderView
from terrarium.app.session.session import Session

_REST_MS = 700
"""Milliseconds without a change after which the preview starts automatically."""


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


class RunDataPage(QWidget):
    """Shows the data preview of a draft, or a note why there is none."""

    def __init__(self, draft: RunDraft, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = draft
        self.panel = DataPreviewPanel(theme)
        self.run_preview = button("", theme, self._start_preview, icon="eye", role="primary")
        self.note = EmptyState("", "", self.run_preview)
        self._pages = Pages({"note": lambda: self.note, "panel": lambda: self.panel})
        self._pages.page("note")  # now, for its place in the tab order
        self.setLayout(column(self._pages))
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._start_if_idle)

    def refresh(self) -> None:
        """Show the preview of the current choices; start it unless that would train a tokenizer."""
        draft, trial = self._draft, self._draft.trials.state
        if draft.choices.problem:
            self._say("Nothing to preview yet", draft.choices.problem, "")
            return
        if trial.preview is not None and trial.preview_of is not None and draft.matches(trial.preview_of):
            self.panel.show_preview(trial.preview)
            self._pages.show_page("panel")
            return
        mine = trial.spec is not None and draft.matches(trial.spec)
        if trial.running and mine and trial.kind in ("preview", "forecast"):
            self._say("Previewing the data", trial.phase, "")
        elif trial.problem and mine and trial.kind in ("preview", "forecast"):
            self._say("The data cannot be shown", trial.problem, "Try again")
        elif draft.session.training.active:
            self._say("A run is training", "The data can be previewed when it has ended.", "")
        elif draft.choices.tokenizer.exists or self._was_trained():
            self._say("Previewing the data", "It starts in a moment.", "")
            self._rest.start()
        else:
            self._say(
                "The tokenizer is not trained yet",
                "The model reads tokens, and this run would train its tokenizer first. You can do that now; the run "
                "will use it.",
                "Train the tokenizer and preview",
            )

    def _was_trained(self) -> bool:
        """Return whether the same data was previewed with this tokenizer, which the library then has."""
        seen, draft = self._draft.trials.state.preview_of, self._draft
        return seen is not None and (seen.data, seen.tokenizer) == (
            draft.choices.data.spec,
            draft.choices.tokenizer.spec,
        )

    def _start_preview(self) -> None:
        self._draft.try_out("preview")

    def _start_if_idle(self) -> None:
        draft = self._draft
        trial = draft.trials.state
        if self.isVisible() and not draft.choices.problem and not trial.running and not draft.session.training.active:
            self._start_preview()

    def _say(self, heading: str, sentence: str, action: str) -> None:
        self.note.set_words(heading, sentence)
        show_words(self.run_preview, action)
        self._pages.show_page("note")
