"""The data preview of a new run: follows the choices, and asks before training a tokenizer."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QVBoxLayout, QWidget

from terrarium.app.kit.basics import EmptyState, button
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.draft import RunDraft
from terrarium.app.new_run.trials.data_preview import DataPreviewPanel

_REST_MS = 700
"""Milliseconds without a change after which the preview starts automatically."""


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
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
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
        self.run_preview.setText(action)
        self.run_preview.setVisible(bool(action))
        self._pages.show_page("note")
