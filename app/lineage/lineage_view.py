"""The lineage view of a run: its tree of stages, replies to one prompt, win rates and origin."""

from __future__ import annotations

from PySide6.QtCore import Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import column, label, row
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.lineage.ask_view import AskView
from terrarium.app.lineage.origin_view import OriginView
from terrarium.app.lineage.stage_choice import StageChoice
from terrarium.app.lineage.tree_view import StageTreeView, TreeLegend
from terrarium.app.lineage.win_view import WinRatesView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.alignment.stage_tree import StageTree, stage_tree

_PARTS = {"tree": "Stages", "ask": "One prompt", "rates": "Win rates", "origin": "Origin"}
_COMPARED = ("ask", "rates")


class LineageView(QWidget):
    """Shows a run among its ancestors and descendants.

    Signals:
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._run: ShownRun | None = None
        self._shown_id = ""
        self.tree: StageTree | None = None
        """The tree of stages; None until first read, while the run is being prepared, or if reading failed."""
        self.parts = Segments("Part of the lineage", _PARTS)
        self.stages = StageTreeView(session.go, theme)
        self.asked = AskView(session, theme)
        self.rates = WinRatesView(session, theme)
        self.origin = OriginView(session, theme)
        self.choice = StageChoice(theme)
        self._legend = TreeLegend(theme)
        self._pages = {"tree": self.stages, "ask": self.asked, "rates": self.rates, "origin": self.origin}
        self._note = label("", "muted", wrap=True)
        # Not stacked: a hidden page would claim its height. The last stretch fills the space if none is visible.
        whole = column(self._note, *self._pages.values(), None)
        whole.insertLayout(0, row(self.parts, None, self._legend, self.choice))
        for page in self._pages.values():
            whole.setStretchFactor(page, 1000)
        self.setLayout(whole)
        self._reading = LatestTask(self)
        self._reading.done.connect(self._on_read)
        self._reading.failed.connect(self._on_failed)
        self._is_stale = False
        self.parts.changed.connect(self._show_part)
        self.choice.changed.connect(self._show_chosen)
        session.runs.changed.connect(self._on_runs_changed)
        self._show_part()

    @property
    def busy(self) -> bool:
        """Whether the stages are being read."""
        return self._reading.busy

    def show_run(self, run: ShownRun) -> None:
        """Show another run, in its tree."""
        self._run = run
        self.origin.show_run(run)
        if run.folder is None:
            self.tree = None
            self._show_part()
            return
        self._read()

    def refresh(self) -> None:
        """Do nothing: a growing run keeps its lineage; the tree is read again when the list of runs changes."""

    def show_part(self, name: str) -> None:
        """Show a part by name."""
        self.parts.choose(name)
        self._show_part()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        if self._is_stale:
            self._read()

    @Slot()
    def _on_runs_changed(self) -> None:
        self._is_stale = True
        if self.isVisible():
            self._read()

    def _read(self) -> None:
        self._is_stale = False
        if self._run is None or self._run.folder is None:
            return
        run_id, index = self._run.id, self._session.runs.index
        self._reading.ask(lambda: stage_tree(index.refresh(), run_id))

    @Slot(object)
    def _on_read(self, tree: StageTree) -> None:
        run_id = self._run.id if self._run is not None else ""
        if tree.find(run_id) is None:
            return  # of a run that is no longer shown
        if (tree, run_id) != (self.tree, self._shown_id):
            self.stages.show_tree(tree, run_id)
        self.tree, self._shown_id = tree, run_id
        self.choice.offer(tree, run_id)
        self._say("")
        self._show_part()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.tree = None
        self._say(failure.sentence)
        self._show_part()

    @Slot()
    def _show_part(self) -> None:
        part = self.parts.value
        self._legend.setVisible(part == "tree" and self.tree is not None and len(self.tree.stages) > 1)
        self.choice.setVisible(part in _COMPARED and self.tree is not None)
        self._show_chosen()
        for name, page in self._pages.items():
            page.setVisible(name == part and (part == "origin" or self.tree is not None))
        waits = self._run is not None and self._run.folder is None
        if waits and part != "origin":
            self._note.setText("The lineage appears when the run has been prepared.")
        self._note.setVisible(part != "origin" and self.tree is None and bool(self._note.text()))

    @Slot()
    def _show_chosen(self) -> None:
        """Pass the chosen stages to the visible part."""
        if self.tree is not None and self.parts.value == "ask":
            self.asked.show_stages(self.choice.chosen, self.choice.rewarders, self.tree)
        elif self.tree is not None and self.parts.value == "rates":
            self.rates.show_stages(self.choice.chosen, [stage for stage in self.tree.stages if stage.scores])

    def _say(self, words: str) -> None:
        self._note.setText(words)
