"""The data preview of a run that is being set up: it follows the choices, and asks before it trains a tokenizer."""

from __future__ import annotations

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.kit.basics import EmptyState, button
from app.kit.layout.pages import Pages
from app.kit.theme import ThemeProvider
from app.training.new_run.draft import RunDraft
from app.training.trials.data_preview import DataPreviewPanel

_REST_MS = 700
"""How long the choices must rest before the data is looked at by itself."""


class RunDataPage(QWidget):
    """Shows the data of what is chosen in a draft."""

    def __init__(self, draft: RunDraft, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._draft = draft
        self.panel = DataPreviewPanel(theme)
        self.look = button("", theme, self._look, icon="eye", role="primary")
        self.note = EmptyState("", "", self.look)
        self._pages = Pages({"note": lambda: self.note, "panel": lambda: self.panel})
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._pages)
        self._rest = QTimer(self, singleShot=True, interval=_REST_MS)
        self._rest.timeout.connect(self._look_by_itself)

    def follow(self) -> None:
        """Show what there is of what is chosen now, and look at it where that needs nobody's leave."""
        draft, trial = self._draft, self._draft.trials.state
        if draft.choices.problem:
            self._say("Nothing to look at yet", draft.choices.problem, "")
            return
        if trial.preview is not None and trial.preview_of is not None and draft.is_like(trial.preview_of):
            self.panel.show_preview(trial.preview)
            self._pages.show_page("panel")
            return
        mine = trial.spec is not None and draft.is_like(trial.spec)
        if trial.running and mine and trial.kind in ("preview", "forecast"):
            self._say("Looking at the data", trial.phase, "")
        elif trial.problem and mine and trial.kind in ("preview", "forecast"):
            self._say("The data cannot be shown", trial.problem, "Try again")
        elif draft.session.training.active:
            self._say("A training is going on", "The data can be looked at when it is over.", "")
        elif draft.choices.tokenizer.exists or self._was_trained():
            self._say("Looking at the data", "It begins when the choices rest for a moment.", "")
            self._rest.start()
        else:
            self._say(
                "The tokenizer is not trained yet",
                "What the model reads are tokens, and this run would train its tokenizer first. That can be done now: "
                "the run will find it.",
                "Train the tokenizer and look",
            )

    def _was_trained(self) -> bool:
        """Whether a look at the same text with the same tokenizer has been had: then the library has it."""
        seen, draft = self._draft.trials.state.preview_of, self._draft
        return seen is not None and (seen.data, seen.tokenizer) == (
            draft.choices.data.spec,
            draft.choices.tokenizer.spec,
        )

    def _look(self) -> None:
        self._draft.try_out("preview")

    def _look_by_itself(self) -> None:
        draft = self._draft
        trial = draft.trials.state
        if self.isVisible() and not draft.choices.problem and not trial.running and not draft.session.training.active:
            self._look()

    def _say(self, heading: str, sentence: str, action: str) -> None:
        self.note.set_words(heading, sentence)
        self.look.setText(action)
        self.look.setVisible(bool(action))
        self._pages.show_page("note")
