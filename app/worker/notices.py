"""Messages for the user: notices, failures, and deletions with undo."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.worker.failures import Failure, describe


class Notices(QObject):
    """Messages for the user. Those who send them need not know where they are shown.

    Signals:
        notified(sentence): something to read; nothing has failed.
        failed(sentence, details): something failed; details is a traceback or empty.
        deleted(sentence, undo): something was deleted; calling `undo` restores it.
        undone(sentence): the deletion reported with this sentence was undone, there or elsewhere.
        outdated(sentence): the notice with this sentence is obsolete.
    """

    notified = Signal(str)
    failed = Signal(str, str)
    deleted = Signal(str, object)
    undone = Signal(str)
    outdated = Signal(str)

    @Slot(str)
    def say(self, sentence: str) -> None:
        """Show a notice."""
        self.notified.emit(sentence)

    def refuse(self, sentence: str) -> bool:
        """Show why something cannot be done; returns False."""
        self.failed.emit(sentence, "")
        return False

    @Slot(object)
    def fail(self, failure: Failure) -> None:
        """Show a failure."""
        self.failed.emit(failure.sentence, failure.details)

    def attempt(self, action: Callable[[], object]) -> bool:
        """Call `action`; a ValueError or OSError is shown as a failure. Returns whether it succeeded."""
        try:
            action()
        except (ValueError, OSError) as error:
            return self.refuse(describe(error).sentence)
        return True
