"""The undo stacks, one for each tab, used by the Edit menu and by notices that offer Undo."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Slot
from PySide6.QtGui import QUndoCommand, QUndoGroup, QUndoStack

_MAX_STEPS = 200
STACKS = ("tokenizer", "data", "builder", "training", "chat")
"""The names of the stacks, which are those of the tabs."""


class Step(QUndoCommand):
    """A completed action that can be undone and redone.

    Args:
        words: the text of the step, shown after “Undo”, as “change of d_model”.
        undo, redo: undo and redo the action. They report a failure and return False; the step is then dropped.
        key: a step is merged into the preceding step with the same key; "" never merges.
        is_stale: returns whether the step has been undone elsewhere, so that nothing is left to undo.

    `key` and `is_stale` are also attributes; undo and redo are `undo_action` and `redo_action`.
    """

    def __init__(
        self,
        words: str,
        undo: Callable[[], object],
        redo: Callable[[], object],
        *,
        key: str = "",
        is_stale: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__(words)
        self.undo_action, self.redo_action, self.key = undo, redo, key
        self.is_stale = is_stale
        self._is_done = False

    def undo(self) -> None:
        if self.is_stale() or self.undo_action() is False:
            self.setObsolete(True)

    def redo(self) -> None:
        if not self._is_done:  # QUndoStack.push calls redo, but the action is already done
            self._is_done = True
        elif self.redo_action() is False:
            self.setObsolete(True)

    def id(self) -> int:
        return hash(self.key) & 0x7FFFFFFF if self.key else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, Step) or other.key != self.key:
            return False
        self.redo_action = other.redo_action
        self.setText(other.text())
        return True


class Undo(QObject):
    """The steps of this launch, the newest last. The group's active stack is that of the tab in view."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.group = QUndoGroup(self)
        self._is_busy = False
        self._stacks = {name: QUndoStack(self.group) for name in STACKS}
        for stack in self._stacks.values():
            stack.setUndoLimit(_MAX_STEPS)
            stack.indexChanged.connect(self.forget_stale)

    def show_stack(self, name: str) -> None:
        """Make a tab's stack the group's active one; '' or an unknown name activates none."""
        self.group.setActiveStack(self._stacks.get(name))  # type: ignore[arg-type]

    def stack(self, name: str) -> QUndoStack:
        """Return the stack of a tab, one of STACKS."""
        return self._stacks[name]

    def add(self, name: str, step: Step) -> None:
        """Push a completed step onto a tab's stack, unless it happens while another step is undone or redone."""
        if not self._is_busy:
            step.undo_action, step.redo_action = self._guarded(step.undo_action), self._guarded(step.redo_action)
            self._stacks[name].push(step)

    def _guarded(self, action: Callable[[], object]) -> Callable[[], object]:
        def act() -> object:
            self._is_busy = True
            try:
                return action()
            finally:
                self._is_busy = False

        return act

    def take_back(self, name: str, step: Step) -> None:
        """Undo a step that is not necessarily the newest."""
        stack = self._stacks[name]
        index = next((i for i in range(stack.index()) if stack.command(i) is step), None)
        if index is not None and index == stack.index() - 1:
            stack.undo()
        elif index is not None:
            step.undo()
            step.is_stale = lambda: True
        self.forget_stale()

    def close(self) -> None:
        """Clear all stacks: their steps refer to objects that are about to be destroyed."""
        for stack in self._stacks.values():
            stack.clear()

    @Slot()
    def forget_stale(self) -> None:
        """Drop stale steps from the top of the stacks."""
        for stack in () if self._is_busy else self._stacks.values():
            if stack.canUndo():
                newest = stack.command(stack.index() - 1)
                if isinstance(newest, Step) and newest.is_stale():
                    stack.undo()  # the step becomes obsolete; indexChanged calls this method again
