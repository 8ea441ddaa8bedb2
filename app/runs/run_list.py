"""The list of runs, to show one, compare several, and run actions from a context menu."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QItemSelection, QItemSelectionModel, QPoint, Qt, QTimer, Signal, Slot
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QListView, QMenu, QWidget

from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.runs.run_actions import RunMenu
from terrarium.app.runs.run_delegate import RunDelegate
from terrarium.app.runs.run_model import RunModel
from terrarium.app.session.routes import DoToRun
from terrarium.app.session.session import Session
from terrarium.models.number_words import format_count


class RunList(QListView):
    """The runs of the library. A click chooses one; Ctrl or Shift selects several to compare.

    Signals:
        run_chosen(run_id): another run was chosen; '' if none is chosen.
        runs_selected(run_ids): several runs were chosen; a tuple of ids.
        delete_requested(run_ids): the user wants to delete these runs; a tuple of ids.
    """

    run_chosen = Signal(str)
    runs_selected = Signal(object)
    delete_requested = Signal(object)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "plain")
        self.setAccessibleName("Runs")
        self.setMouseTracking(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setLayoutMode(QListView.LayoutMode.Batched)  # a thousand rows, each measured in Python, take 0.3 s
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self._session, self._theme = session, theme
        self._chosen: tuple[str, ...] = ()
        self._wanted, self._is_changing, self._live_run, self._first_row = "", False, "", -1
        self.runs = RunModel(session, self)
        self.setModel(self.runs)
        self.setItemDelegate(RunDelegate(theme, self.runs, self))
        self.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.customContextMenuRequested.connect(self._show_menu)
        self.selectionModel().selectionChanged.connect(self._on_selection)
        self.runs.about_to_change.connect(self._on_about_to_change)
        self.runs.changed.connect(self._on_changed)
        self._repaint = QTimer(self, singleShot=True, interval=500)
        self._repaint.timeout.connect(self.viewport().update)
        session.runs.changed.connect(self.reload)
        session.training.changed.connect(self._on_training)
        theme.theme_changed.connect(self._on_theme)
        self.reload()

    # -- Choice ----------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> tuple[str, ...]:
        """The ids of the chosen runs, including those that the search hides."""
        return self._chosen

    @property
    def current_id(self) -> str:
        """The id of the chosen run; '' if none or several are chosen."""
        return self._chosen[0] if len(self._chosen) == 1 else ""

    @Slot()
    def reload(self) -> None:
        """Read the library again, keeping the choice."""
        self.runs.reload()

    def choose(self, run_id: str) -> bool:
        """Choose one run ('' for none); return whether it is in the library.

        A run that has not been read yet is chosen when it appears.
        """
        there = any(run.id == run_id for run in self.runs.all_runs)
        self._wanted = "" if there else run_id
        self._set_chosen((run_id,) if there else ())
        self._select_chosen()
        row = self.runs.row_of(run_id)
        if row >= 0:
            self.scrollTo(self.runs.index(row))
        return there

    def _set_chosen(self, ids: tuple[str, ...]) -> None:
        if ids == self._chosen:
            return
        self._chosen = ids
        if len(ids) > 1:
            self.runs_selected.emit(ids)
        else:
            self.run_chosen.emit(ids[0] if ids else "")

    def _select_chosen(self) -> None:
        """Sync the selection with the chosen runs."""
        rows = [row for row, run in enumerate(self.runs.runs) if run.id in self._chosen]
        selection = QItemSelection()
        for row in rows:
            selection.select(self.runs.index(row), self.runs.index(row))
        was, self._is_changing = self._is_changing, True
        model = self.selectionModel()
        if rows and model.currentIndex().row() not in rows:
            model.setCurrentIndex(self.runs.index(rows[0]), QItemSelectionModel.SelectionFlag.NoUpdate)
        model.select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self._is_changing = was

    @Slot()
    def _on_selection(self) -> None:
        if not self._is_changing:
            rows = sorted(index.row() for index in self.selectionModel().selectedRows())
            self._wanted = ""
            self._set_chosen(tuple(self.runs.runs[row].id for row in rows))

    @Slot()
    def _on_about_to_change(self) -> None:
        self._is_changing = True
        self._first_row = min((row for row, run in enumerate(self.runs.runs) if run.id in self._chosen), default=-1)

    @Slot()
    def _on_changed(self) -> None:
        """Keep the choice, even of runs hidden by the search; if all chosen runs are gone, choose the next one."""
        there = {run.id for run in self.runs.all_runs}
        self._is_changing = False
        if self._wanted in there:
            self.choose(self._wanted)
            return
        left = tuple(run_id for run_id in self._chosen if run_id in there)
        if self._chosen and not left and self._first_row >= 0 and self.runs.runs:
            left = (self.runs.runs[min(self._first_row, len(self.runs.runs) - 1)].id,)
        self._set_chosen(left)
        self._select_chosen()

    # -- Actions ---------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if self._chosen and event.key() == Qt.Key.Key_Delete:
            self.delete_requested.emit(self._chosen)
        elif self.current_id and event.key() == Qt.Key.Key_F2:
            self._session.go(DoToRun(self.current_id, "rename"))
        else:
            super().keyPressEvent(event)

    def make_menu(self, run_id: str) -> QMenu:
        """Return the context menu of a run, or of all chosen runs if the run is one of several."""
        if run_id in self._chosen and len(self._chosen) > 1:
            return self._make_menu_of_several(self._chosen)
        menu = RunMenu(self._session, self._theme, self, run_id)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.fill()
        return menu

    def _make_menu_of_several(self, run_ids: tuple[str, ...]) -> QMenu:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        n = format_count(len(run_ids), "run")
        compare = menu.addAction(self._theme.icon("chart-line"), f"Compare {n}")
        compare.triggered.connect(lambda checked=False: self._compare(run_ids))
        menu.addSeparator()
        delete = menu.addAction(self._theme.icon("trash"), f"Delete {n}")
        delete.triggered.connect(lambda checked=False: self.delete_requested.emit(run_ids))
        return menu

    def _compare(self, run_ids: Sequence[str]) -> None:
        self.runs_selected.emit(tuple(run_ids))

    @Slot(QPoint)
    def _show_menu(self, point: QPoint) -> None:
        index = self.indexAt(point)
        if index.isValid():
            self.make_menu(self.runs.runs[index.row()].id).popup(self.viewport().mapToGlobal(point))

    @Slot()
    def _on_training(self) -> None:
        state = self._session.training.state
        if state is not None and state.run_id and state.run_id != self._live_run:
            self._live_run = state.run_id
            self.reload()
        if not self._repaint.isActive():
            self._repaint.start()

    @Slot()
    def _on_theme(self) -> None:
        self.scheduleDelayedItemsLayout()
        self.viewport().update()
