"""The training tab: the runs at the left; at the right one of them, or the form for a new one."""

from __future__ import annotations

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QInputDialog, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.session import Session
from app.system import reveal
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import EmptyState, button, frame, label, row
from app.widgets.new_run import NewRun
from app.widgets.run_list import RunList
from app.widgets.run_view import RunView


class TrainingTab(QWidget):
    """Runs, one run, and what a new one is made from."""

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        self.runs = RunList(session, theme)
        self.new_run = NewRun(session, theme)
        self.run_view = RunView(session, theme)
        self._new_button = button("New run", theme, self.show_new_run, icon="plus", tip="Make a new run")
        self._pages = QStackedWidget()
        self._pages.addWidget(self.new_run)
        self._pages.addWidget(self.run_view)
        self._no_runs = EmptyState("No runs yet", "Choose what to train at the right, and press Start training.")
        self._list_pages = QStackedWidget()
        self._list_pages.addWidget(self._no_runs)
        self._list_pages.addWidget(self.runs)
        splitter = QSplitter(Qt.Orientation.Horizontal)
        splitter.setChildrenCollapsible(False)
        splitter.addWidget(self._left())
        splitter.addWidget(self._pages)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes([256, 1000])
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, 2 * SPACE, 2 * SPACE, 2 * SPACE)
        layout.addWidget(splitter)
        self.runs.run_chosen.connect(self._on_run_chosen)
        self.runs.clicked.connect(lambda index: self._on_run_chosen(self.runs.current_id))
        self.runs.rename_asked.connect(self.rename)
        self.runs.delete_asked.connect(session.delete_run)
        self.runs.resume_asked.connect(session.resume_run)
        self.runs.reveal_asked.connect(self._on_reveal)
        self.runs.chat_asked.connect(self._on_chat)
        self.run_view.chat_asked.connect(self._on_chat)
        session.training_changed.connect(self._on_training)
        session.runs_changed.connect(self._show_list)
        self._followed = ""
        self._show_list()

    def _left(self) -> QWidget:
        panel = frame("card", margin=SPACE)
        panel.setMinimumWidth(200)
        lines = panel.layout()
        assert isinstance(lines, QVBoxLayout)
        title = label("Runs", "subheading")
        title.setContentsMargins(SPACE, 0, 0, 0)
        lines.addLayout(row(title, None, self._new_button))
        lines.addWidget(self._list_pages, 1)
        return panel

    def show_new_run(self) -> None:
        """Show the form for a new run."""
        self.runs.choose("")
        self._pages.setCurrentWidget(self.new_run)

    def show_run(self, run_id: str) -> None:
        """Show a run of the list."""
        if not self.runs.choose(run_id):
            self.runs.reload()
            self.runs.choose(run_id)

    def rename(self, run_id: str) -> None:
        """Ask for a run's new name."""
        old = self._session.find_run(run_id).name
        name, agreed = QInputDialog.getText(self, "Rename run", "Name", text=old)
        if agreed and name.strip() != old:
            self._session.rename_run(run_id, name)

    @Slot(str)
    def _on_run_chosen(self, run_id: str) -> None:
        if not run_id:
            self._pages.setCurrentWidget(self.new_run)
            return
        if self.run_view.run_id != run_id:
            self.run_view.show_run(run_id)
        self._pages.setCurrentWidget(self.run_view)

    @Slot()
    def _on_training(self) -> None:
        """Show a training when it begins, and choose its run in the list as soon as it has one."""
        state = self._session.training
        if state is None or not self._session.training_active:
            self._followed = ""
            return
        if self._followed == "" and not state.run_id:
            self._followed = "…"
            self.run_view.show_run("")
            self._pages.setCurrentWidget(self.run_view)
        elif state.run_id and self._followed != state.run_id:
            self._followed = state.run_id
            self._show_list()
            self.run_view.show_run(state.run_id)
            self.show_run(state.run_id)

    @Slot()
    def _show_list(self) -> None:
        self.runs.reload()
        self._list_pages.setCurrentWidget(self.runs if self.runs.runs.runs else self._no_runs)
        if self.runs.current_id == "" and self._pages.currentWidget() is self.run_view and not self.run_view.live:
            self._pages.setCurrentWidget(self.new_run)

    @Slot(str)
    def _on_reveal(self, run_id: str) -> None:
        folder = self._session.find_run(run_id).folder
        if not reveal(folder):
            self._session.notice.emit(f"No file manager could be opened. The run is in {folder}.")

    @Slot(str)
    def _on_chat(self, which: str) -> None:
        if self._session.open_chat_model(which):
            self._session.tab_requested.emit("chat")
