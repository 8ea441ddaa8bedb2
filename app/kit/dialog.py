"""The base class of all dialogs, in which F1 explains the focused widget, and a progress dialog."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QProgressDialog, QWidget

from terrarium.app.kit.basics import Content, Growing, column, label
from terrarium.app.kit.help_mark import ask_for_help, term_at
from terrarium.app.kit.layout.tab_order import move_focus, open_menu
from terrarium.app.kit.theme import SPACE
from terrarium.models.events import Event, Phase, Progress

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


_STEPS = 1000


def open_progress(title: str, words: str, cancel: Callable[[], object], parent: QWidget) -> QProgressDialog:
    """Show a non-modal progress dialog with a Cancel button; the caller must delete it when the operation has ended."""
    window = QProgressDialog("", "Cancel", 0, _STEPS, parent)
    phase = label(words)  # verbatim, unlike the dialog's own
    phase.setAlignment(Qt.AlignmentFlag.AlignCenter)
    window.setLabel(phase)
    window.setWindowTitle(title)
    window.setWindowModality(Qt.WindowModality.NonModal)
    window.setMinimumDuration(0)
    window.setMinimumWidth(420)
    window.setAutoClose(False)
    window.setAutoReset(False)
    window.setValue(0)
    window.canceled.connect(cancel)
    return window


def show_events(window: QProgressDialog, events: Iterable[Event]) -> None:
    """Show each Phase and Progress in the dialog."""
    for event in events:
        if isinstance(event, Phase):
            window.setLabelText(event.name)
        elif isinstance(event, Progress) and event.total:
            window.setValue(round(_STEPS * event.done / event.total))
