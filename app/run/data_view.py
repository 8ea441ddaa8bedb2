"""The data view of an existing run."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import EmptyState, column
from terrarium.app.kit.layout.pages import Pages
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.new_run.trials.data_preview import DataPreviewPanel
from terrarium.app.new_run.trials.trials import TrialRunner
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.session import Session
from terrarium.app.worker.job import INTERACTIVE


class RunDataView(QWidget):
    """A preview of the data of an existing run."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._run: ShownRun | None = None
        self.panel = DataPreviewPanel(theme)
        self._note = EmptyState("", "")
        self._pages = Pages({"note": lambda: self._note, "panel": lambda: self.panel})
        self.setLayout(column(self._pages))
        self._preview = TrialRunner(session.worker, session.library, self, INTERACTIVE)
        self._preview.changed.connect(self._show)
        self._preview.failed.connect(session.notices.fail)
        self._say("Previewing the data", "The text is being encoded.")

    @property
    def busy(self) -> bool:
        """Whether the preview is being computed."""
        return self._preview.state.running

    def show_run(self, run: ShownRun) -> None:
        """Show the data of a run."""
        self._run = run
        if run.folder is None or run.spec is None:
            self._say("No data yet", "The text is being prepared: the preview appears when the run has started.")
            return
        self._say("Previewing the data", "The text is being encoded.")
        self._preview.start_run(run.folder, run.spec)

    def refresh(self) -> None:
        """Do nothing, since the data of a run does not change."""

    def _show(self) -> None:
        state = self._preview.state
        if self._run is None or state.spec is not self._run.spec:
            return
        if state.preview is not None and state.preview_of is self._run.spec:
            self.panel.show_preview(state.preview)
            self._pages.show_page("panel")
        elif state.problem:
            self._say("The data cannot be shown", state.problem)
        elif state.running:
            self._say("Previewing the data", state.phase)

    def _say(self, heading: str, sentence: str) -> None:
        self._note.set_words(heading, sentence)
        self._pages.show_page("note")
