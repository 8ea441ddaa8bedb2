"""A button with a checkable menu that selects the stages to compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QMouseEvent
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from terrarium.app.kit.basics import plain_tip, without_mnemonic
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.lineage.stage_words import kind_words
from terrarium.models.alignment.stage_tree import LineageNode, StageTree

_MAX_AT_FIRST, _MAX_REWARDERS = 8, 2


class StageChoice(QPushButton):
    """A menu button that selects stages that can reply, and reward models.

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
