"""News for screen readers, told when they have settled."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Slot
from PySide6.QtGui import QAccessible, QAccessibleAnnouncementEvent
from PySide6.QtWidgets import QLabel, QWidget

_SETTLE_MS = 600
"""Sentences within this time are told at once, each only once: typing in a form changes its problem at every key."""


class Announcer(QTimer):
    """Tells a screen reader what is new in `widget`, if the widget is visible by then."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget, singleShot=True, interval=_SETTLE_MS)
        self._widget = widget
        self._sentences: list[str] = []
        self._is_urgent = False
        self.timeout.connect(self._tell)

    def say(self, sentence: str, *, urgent: bool = False, instead: bool = False) -> None:
        """Tell a sentence soon.

        Args:
            urgent: interrupt what is being read.
            instead: drop what was to be told; with "", nothing is.
        """
        if instead:
            self._sentences = []
        if sentence and sentence not in self._sentences:
            self._sentences.append(sentence)
            self._is_urgent = self._is_urgent or urgent
            if not self.isActive():
                self.start()

    @Slot()
    def _tell(self) -> None:
        if self._sentences and self._widget.isVisible():
            event = QAccessibleAnnouncementEvent(self._widget, " ".join(self._sentences))
            if self._is_urgent:
                event.setPoliteness(QAccessible.AnnouncementPoliteness.Assertive)
            QAccessible.updateAccessibility(event)
        self._sentences, self._is_urgent = [], False


class ProblemLabel(QLabel):
    """A label for what is wrong, which a screen reader is told when it changes."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._announcer = Announcer(self)

    def setText(self, text: str) -> None:
        if text != self.text():
            self._announcer.say(text, urgent=True, instead=True)
        super().setText(text)
