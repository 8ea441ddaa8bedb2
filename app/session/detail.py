"""How much the window shows: what newcomers need, or everything."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from app.session.remembered import Remembered

SIMPLE, EVERYTHING = "simple", "everything"
_KEY = "detail"


class Detail(QObject):
    """Simple or everything; the latter for a session in which nobody has chosen.

    Signals:
        changed(): the other one was chosen.
    """

    changed = Signal()

    def __init__(self, remembered: Remembered, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._remembered = remembered

    @property
    def level(self) -> str:
        """SIMPLE or EVERYTHING."""
        return SIMPLE if self._remembered.get(_KEY, "") == SIMPLE else EVERYTHING

    @property
    def is_simple(self) -> bool:
        """Whether only what newcomers need is shown, and the rest one click away."""
        return self.level == SIMPLE

    @property
    def is_chosen(self) -> bool:
        """Whether anybody has chosen, here or at an earlier launch."""
        return self._remembered.get(_KEY, "") in (SIMPLE, EVERYTHING)

    def choose(self, level: str) -> None:
        """Show SIMPLE or EVERYTHING from now on."""
        assert level in (SIMPLE, EVERYTHING), level
        was = self.level
        self._remembered.set(_KEY, level)
        if level != was:
            self.changed.emit()
