"""The lineage view of a run: its tree of stages, replies to one prompt, win rates and origin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtGui import QMouseEvent, QShowEvent
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from terrarium.app.kit.basics import column, label, plain_tip, row, without_mnemonic
from terrarium.app.kit.layout.segments import Segments
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.lineage.ask_view import AskView
from terrarium.app.lineage.origin_view import OriginView
from terrarium.app.lineage.stage_words import kind_words
from terrarium.app.lineage.tree_view import StageTreeView, TreeLegend
from terrarium.app.lineage.win_view import WinRatesView
from terrarium.app.run_views.shown_run import ShownRun
from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure
from terrarium.models.alignment.stage_tree import LineageNode, StageTree, stage_tree

_PARTS = {"tree": "Stages", "ask": "One prompt", "rates": "Win rates", "origin": "Origin"}
_COMPARED = ("ask", "rates")
_MAX_AT_FIRST, _MAX_REWARDERS = 8, 2


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
        self.choice = _StageChoice(theme)
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


class _StageChoice(QPushButton):
    """A menu button that selects the stages to compare: stages that can reply, and reward models.

    The default is the root, the stages created closest in time to the run shown, and the reward models they used.

    Signals:
        changed(): `chosen` or `rewarders` has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._offered: tuple[LineageNode, ...] = ()
        self._ids: set[str] = set()
        theme.set_icon(self, "list")
        self.setAccessibleName("Stages to compare")
        self.setToolTip(
            plain_tip("Which stages are compared, and which reward models score their replies to one prompt")
        )
        menu = _StayingMenu(self)
        menu.setToolTipsVisible(True)
        self.setMenu(menu)

    @property
    def chosen(self) -> tuple[LineageNode, ...]:
        """The stages that reply, each after its parent."""
        return tuple(stage for stage in self._offered if stage.id in self._ids and stage.writes)

    @property
    def rewarders(self) -> tuple[LineageNode, ...]:
        """The reward models."""
        return tuple(stage for stage in self._offered if stage.id in self._ids and stage.scores)

    def offer(self, tree: StageTree, run_id: str) -> None:
        """Offer the stages of a tree; keep the selection if at least two chosen stages remain, else reset it."""
        self._offered = tuple(stage for stage in tree.stages if stage.writes or stage.scores)
        known = {stage.id for stage in self._offered}
        if len(self.chosen) < 2:
            self._ids = set(self._usual(run_id))
        self._ids &= known
        self._fill()

    def _usual(self, run_id: str) -> Iterator[str]:
        """Yield the default ids: the root, the stages created closest in time to the run shown, their reward models.

        If the run shown is a reward model, it comes first. If no stage used one, the closest in time are taken.
        """
        by_age = sorted(self._offered, key=lambda stage: stage.created)
        at = next((i for i, stage in enumerate(by_age) if stage.id == run_id), len(by_age))
        near = [by_age[i] for i in sorted(range(len(by_age)), key=lambda i: (abs(i - at), i))]
        writers = {stage.id: stage for stage in (*self._offered, *near) if stage.writes}
        root = next(iter(writers), "")
        chosen = [stage for stage in near if stage.writes and stage.id != root][: _MAX_AT_FIRST - 1]
        yield root
        yield from (stage.id for stage in chosen)
        used = [run_id, *(stage.rewarded_by for stage in chosen)]
        scorers = {stage.id for stage in near if stage.scores}
        wanted = [id for id in dict.fromkeys(used) if id in scorers] or [stage.id for stage in near if stage.scores]
        yield from wanted[:_MAX_REWARDERS]

    def choose(self, ids: Sequence[str]) -> None:
        """Select stages by id."""
        self._ids = {stage.id for stage in self._offered if stage.id in ids}
        self._fill()
        self.changed.emit()

    def _fill(self) -> None:
        menu = self.menu()
        menu.clear()
        for stage in self._offered:
            action = menu.addAction(without_mnemonic(f"{stage.name}  ·  {kind_words(stage)}"))
            action.setCheckable(True)
            action.setChecked(stage.id in self._ids)
            action.toggled.connect(lambda on, id=stage.id: self._on_toggled(id, is_on=on))
        self._show_count()

    def _on_toggled(self, id: str, *, is_on: bool) -> None:
        self._ids = self._ids | {id} if is_on else self._ids - {id}
        self._show_count()
        self.changed.emit()

    def _show_count(self) -> None:
        self.setText(f"{len(self._ids):,} of {len(self._offered):,} stages")


class _StayingMenu(QMenu):
    """Stays open while entries are ticked."""

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        action = self.activeAction()
        if action is not None and action.isCheckable():
            action.toggle()
        else:
            super().mouseReleaseEvent(event)
