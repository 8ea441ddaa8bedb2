"""The base class of all dialogs, in which F1 explains the focused widget."""

from __future__ import annotations

from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog

from terrarium.app.kit.help_mark import ask_for_help, term_at
from terrarium.app.kit.layout.tab_order import move_focus


class Dialog(QDialog):
    """A dialog of the window. It handles F1 itself, as the shortcuts of the window's menus do not reach dialogs."""

    def focusNextPrevChild(self, next: bool) -> bool:
        return move_focus(self, forward=next)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.HelpContents):
            focused = self.focusWidget() or self
            ask_for_help(focused, term_at(focused))
        else:
            super().keyPressEvent(event)
