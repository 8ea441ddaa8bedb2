"""The base class of all dialogs, in which F1 explains the focused widget."""

from __future__ import annotations

from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog

from terrarium.app.kit.basics import Content, Growing, column
from terrarium.app.kit.help_mark import ask_for_help, term_at
from terrarium.app.kit.layout.tab_order import move_focus, open_menu
from terrarium.app.kit.theme import SPACE

_MARGIN = (3 * SPACE, 3 * SPACE, 3 * SPACE, 2 * SPACE)


class Dialog(QDialog):
    """A dialog of the window. It handles F1 itself, as the shortcuts of the window's menus do not reach dialogs."""

    def focusNextPrevChild(self, next: bool) -> bool:
        return move_focus(self, forward=next)

    def lay_out(self, *contents: Content, spacing: int = SPACE, grows: Growing = ()) -> None:
        """Lay out the contents of the dialog in a column, with the margins of all dialogs."""
        self.setLayout(column(*contents, spacing=spacing, grows=grows, margin=_MARGIN))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.HelpContents):
            focused = self.focusWidget() or self
            ask_for_help(focused, term_at(focused))
        elif not open_menu(event):
            super().keyPressEvent(event)
