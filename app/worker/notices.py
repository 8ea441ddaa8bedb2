"""What the user is told: notices, failures, and what was deleted, with the way back."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.failures import Failure, describe


class Notices(QObject):
    """Sentences for the user. Who says something need not know where it is shown.

    Signals:
        said(sentence): something to read without anything having failed.
        failed(sentence, details): something did not work; details is a traceback, or empty.
        deleted(sentence, undo): something was taken away; calling `undo` brings it back.
    """

    said = Signal(str)
    failed = Signal(str, str)
    deleted = Signal(str, object)

    @Slot(str)
    def say(self, sentence: str) -> None:
        """Something to read."""
        self.said.emit(sentence)

    def refuse(self, sentence: str) -> bool:
        """Say why something cannot be done; False."""
        self.failed.emit(sentence, "")
        return False

    @Slot(object)
    def fail(self, failure: Failure) -> None:
        """Say what went wrong."""
        self.failed.emit(failure.sentence, failure.details)

    def attempt(self, action: Callable[[], object]) -> bool:
        """Do it; a failure that a user can mend is said. Whether it was done."""
        try:
            action()
        except (ValueError, OSError) as error:
            return self.refuse(describe(error).sentence)
        return True
