"""A non-modal progress dialog of a long operation, with a Cancel button."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QProgressDialog, QWidget

from terrarium.app.kit.basics import label
from terrarium.models.events import Event, Phase, Progress

_STEPS = 1000


def open_progress(title: str, words: str, cancel: Callable[[], object], parent: QWidget) -> QProgressDialog:
    """Show a progress dialog; the caller must delete it when the operation has ended."""
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
