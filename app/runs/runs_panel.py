"""The column of runs: search, sort order, the list, and its empty states."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from PySide6.QtCore import QModelIndex, Qt, Signal, Slot
from PySide6.QtWidgets import QDialogButtonBox, QFrame, QInputDialog, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import Content, EmptyState, button, column, group, label, row, set_enabled, stacked
from terrarium.app.kit.dialog import Dialog
from terrarium.app.kit.file_dialogs import reveal
from terrarium.app.kit.inputs import choice, line_edit, named
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.runs.run_list import RunList
from terrarium.app.runs.run_query import SORTS
from terrarium.app.session.routes import ShowPlace
from terrarium.app.session.session import Session
from terrarium.models.library.library import RunInfo
from terrarium.models.library.run_notes import clean_tags, read_notes
from terrarium.models.number_words import format_count

_SORT_SETTING = "sort runs"


class RunsPanel(QFrame):
    """The runs of the library. Renames, deletes and reveals runs, and edits their notes.

    Signals:
        run_chosen(run_id): show this run; '' for no run. Emitted again when the chosen run is clicked.
        runs_selected(run_ids): compare these runs; a tuple of ids.
    """

    run_chosen = Signal(str)
    runs_selected = Signal(object)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "card")
        self.setMinimumWidth(216)
        self.list = RunList(session, theme)
        self.search = line_edit(
            "Search runs",
            "Runs with all these words in their name, notes, tags or status.\n"
            "tag:sweep  with this tag\nstatus:failed  with this status\n-word  without this word",
            "Search, tag:…, status:…",
            clears=True,
        )
        self.order = choice("Sort order", "Sort order of the list", SORTS)
        self.new = button(
            "New run", theme, partial(session.go, ShowPlace("training/new")), icon="plus", tip="Set up a new run"
        )
        self.learn = button(
            "Learn a task",
            theme,
            partial(session.go, ShowPlace("training/recipes")),
            icon="graduation-cap",
            tip="Recipes: moods, names, questions, translation, summaries, code, mails …, each with its score",
        )
        self._tools = group(self.search, self.order, spacing=SPACE // 2)
        self._count = ElidedLabel()
        self._count.setProperty("role", "caption")
        self.compare_button = button("Compare", theme, self._on_compare, icon="chart-line", tip="Overlay their curves")
        self._none = EmptyState("No runs yet", "Set up a new run and press Start training, or learn a task.")
        clear = button("Show all runs", theme, self.search.clear, role="link")
        self.no_match = EmptyState("Nothing found", "No run matches all these words.", clear)
        self._reading = EmptyState("", "Reading the runs…")
        self.pages = stacked(self._reading, self._none, self.no_match, self.list)
        self._build()
        self._connect()
        self.order.setCurrentIndex(max(self.order.findData(session.remembered.get(_SORT_SETTING, "newest")), 0))
        self._show_state()

    def _build(self) -> None:
        title = label("Runs", "subheading")
        title.setContentsMargins(SPACE, 0, 0, 0)
        head = row(title, None, self.new)
        foot = row(self._count, self.compare_button, margin=(SPACE, 0, 0, 0))
        self.setLayout(column(head, self.learn, self._tools, self.pages, foot, margin=SPACE, grows=self.pages))

    def _connect(self) -> None:
        runs = self.list
        runs.run_chosen.connect(self.run_chosen)
        runs.runs_selected.connect(self.runs_selected)
        runs.run_chosen.connect(self._show_state)
        runs.runs_selected.connect(self._show_state)
        runs.clicked.connect(self._on_clicked)
        runs.delete_requested.connect(self._session.runs.delete)
        runs.runs.changed.connect(self._show_state)
        self.search.textChanged.connect(runs.runs.set_query)
        self.order.currentIndexChanged.connect(self._on_order)

    # -- Content ---------------------------------------------------------------------------------------------

    @Slot()
    def _show_state(self) -> None:
        model = self.list.runs
        shown, total, chosen = len(model.runs), len(model.all_runs), len(self.list.chosen)
        page: QWidget = self.list if shown else self.no_match if total else self._none
        had_focus = self.list.hasFocus()
        self.pages.setCurrentWidget(page if model.is_read else self._reading)
        if had_focus and not total and model.is_read:
            self.new.setFocus()  # its last run was deleted
        self._tools.setVisible(total > 1 or bool(model.query))
        several = chosen > 1
        found = f"{shown:,} of {format_count(total, 'run')}" if shown < total else format_count(total, "run")
        self._count.setText(f"{chosen} selected" if several else found)
        self._count.setVisible(several or total > 1)
        self.compare_button.setVisible(several)

    @Slot(int)
    def _on_order(self, row: int) -> None:
        order = self.order.itemData(row)
        self.list.runs.set_order(order)
        self._session.remembered.set(_SORT_SETTING, order)

    @Slot(QModelIndex)
    def _on_clicked(self, index: QModelIndex) -> None:
        if self.list.current_id:
            self.run_chosen.emit(self.list.current_id)

    @Slot()
    def _on_compare(self) -> None:
        self.runs_selected.emit(self.list.chosen)

    # -- Actions ---------------------------------------------------------------------------------------------

    def do(self, run_id: str, name: str) -> bool:
        """Do the RunAction `name` if it is to rename, edit notes, reveal or delete; return whether it was."""
        match name:
            case "rename":
                self.rename(run_id)
            case "notes":
                self.edit_notes(run_id)
            case "reveal":
                self.reveal(run_id)
            case "delete":
                self._session.runs.delete((run_id,))
            case _:
                return False
        return True

    def rename(self, run_id: str) -> None:
        """Ask for a new name of a run, and rename it."""
        run = self._session.runs.look_up(run_id)
        if run is None:
            return
        name, agreed = QInputDialog.getText(self, "Rename run", "Name", text=run.name)
        if agreed and name.strip() != run.name:
            self._session.runs.rename(run_id, name)

    def edit_notes(self, run_id: str) -> None:
        """Open the dialog of a run's notes and tags."""
        run = self._session.runs.look_up(run_id)
        if run is None:
            return
        tags = {tag for other in self.list.runs.all_runs for tag in other.tags}
        dialog = NotesDialog(self._session, run, sorted(tags), self.window())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.open()

    def reveal(self, run_id: str) -> None:
        """Show a run's folder in the file manager."""
        run = self._session.runs.look_up(run_id)
        if run is not None and not reveal(run.folder):
            self._session.notices.say(f"No file manager could be opened. The run is in {run.folder}.")


class NotesDialog(Dialog):
    """Edits a run's notes and tags; Save writes them to its folder.

    Args:
        known_tags: tags of other runs, listed as a hint.
    """

    def __init__(
        self, session: Session, run: RunInfo, known_tags: Sequence[str], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._session, self._run_id = session, run.id
        self.setWindowTitle(f"Notes and tags of {run.name}")
        self.resize(520, 380)
        written = read_notes(run.folder)
        self.tags = line_edit("Tags", placeholder="sweep, baseline")
        self.tags.setText(", ".join(written.tags))
        self.notes = named(QPlainTextEdit(written.notes), "Notes")
        self.notes.setPlaceholderText("What you tried, and the result")
        self.notes.setTabChangesFocus(True)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        used = f" Used so far: {', '.join(known_tags)}." if known_tags else ""
        lines: list[Content] = [
            label("Tags", "subheading"),
            self.tags,
            label(f"Separate with commas; search for tag:sweep to find them.{used}", "caption", wrap=True),
            SPACE,
            label("Notes", "subheading"),
            self.notes,
        ]
        if written.problem is not None:
            lines.append(label(written.problem, "error", wrap=True))
            for widget in (self.tags, self.notes, self.buttons.button(QDialogButtonBox.StandardButton.Save)):
                set_enabled(widget, written.problem)
        self.lay_out(*lines, self.buttons, grows=self.notes)

    def accept(self) -> None:
        """Save and close; stay open if saving fails."""
        tags = clean_tags(self.tags.text().split(","))
        if self._session.runs.set_notes(self._run_id, self.notes.toPlainText().strip(), tags):
            super().accept()
