"""Which of the stages are compared: a button that opens a list to tick."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from app.kit.theme import ThemeProvider
from app.training.lineage.stage_words import kind_words
from models.alignment.stage_tree import Stage, StageTree

_MAX_AT_FIRST = 8


class StageChoice(QPushButton):
    """Chooses some of the stages that can reply; at first the root, the run that is shown, and the newest ones.

    Signals:
        changed(): `chosen` is new.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._offered: tuple[Stage, ...] = ()
        self._ids: set[str] = set()
        theme.set_icon(self, "list")
        self.setAccessibleName("Stages to compare")
        self.setToolTip("Which stages are compared")
        menu = _StayingMenu(self)
        menu.setToolTipsVisible(True)
        self.setMenu(menu)

    @property
    def chosen(self) -> tuple[Stage, ...]:
        """The stages, each after its parent."""
        return tuple(stage for stage in self._offered if stage.id in self._ids)

    def offer(self, tree: StageTree, run_id: str) -> None:
        """Offer the stages of a tree, keeping the choice among them, if there is one."""
        self._offered = tuple(stage for stage in tree.stages if stage.writes)
        known = {stage.id for stage in self._offered}
        if len(self._ids & known) < 2:
            newest = sorted(self._offered, key=lambda stage: stage.created, reverse=True)
            first = [stage.id for stage in (*self._offered[:1], *newest) if stage.id != run_id]
            self._ids = set([*([run_id] if run_id in known else []), *dict.fromkeys(first)][:_MAX_AT_FIRST])
        self._ids &= known
        self._fill()

    def choose(self, ids: Sequence[str]) -> None:
        """Choose these."""
        self._ids = {stage.id for stage in self._offered if stage.id in ids}
        self._fill()
        self.changed.emit()

    def _fill(self) -> None:
        menu = self.menu()
        menu.clear()
        for stage in self._offered:
            action = menu.addAction(f"{stage.name}  ·  {kind_words(stage)}")
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
