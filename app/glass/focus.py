"""The token and the head that the glass box is about: hover previews, click locks, arrows walk, Esc unlocks."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QObject, Signal, Slot

from app.glass.read_text import ReadText


class Head(NamedTuple):
    """One attention head: its layer's site (see `models.architecture.trace.Trace`) and its number in there."""

    site: str
    head: int


class Focus(QObject):
    """What all panels of the glass box follow, and any of them may change.

    Signals:
        text_changed(): `text` is another.
        place_changed(): `place` is another token of the text, or none.
        lock_changed(): another token is locked, or none; where `place` is another as well, this comes after it.
        head_changed(): `head` is another.
        branch_asked(place, id): go on from the text before `place`, with the token `id` in its stead.
    """

    text_changed = Signal()
    place_changed = Signal()
    lock_changed = Signal()
    head_changed = Signal()
    branch_asked = Signal(int, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._text: ReadText | None = None
        self._hovered: int | None = None
        self._locked: int | None = None
        self._head: Head | None = None
        self._branch = (-1, -1)
        self.branch_asked.connect(self._on_branch_asked)

    @property
    def text(self) -> ReadText | None:
        """The text that is looked into; None while there is none."""
        return self._text

    @property
    def place(self) -> int | None:
        """The token under the cursor, else the locked one: an index into `text.ids`."""
        return self._locked if self._hovered is None else self._hovered

    @property
    def locked(self) -> int | None:
        """The token that stays when the cursor leaves."""
        return self._locked

    @property
    def head(self) -> Head | None:
        """The attention head that is looked at."""
        return self._head

    def show(self, text: ReadText | None) -> None:
        """Look into another text: where it is the branch that was asked for, at the token that it branches off with."""
        if text is not self._text:
            self._text, self._hovered, self._locked = text, None, None
            if text is not None:
                place, id = self._branch
                self._locked = place if 0 <= place < len(text.ids) and text.ids[place] == id else None
                self._branch = (-1, -1)
            self.text_changed.emit()
            self.place_changed.emit()
            self.lock_changed.emit()

    def hover(self, place: int | None) -> None:
        """The cursor is on a token, or on none; while one is locked that changes nothing."""
        if self._locked is None:
            self._change(place, None)

    def lock(self, place: int) -> None:
        """Stay with a token."""
        self._change(None, place)

    def press(self, place: int) -> None:
        """A click: stay with a token, or let go of the very one that is locked."""
        self._change(*((place, None) if self._locked == place else (None, place)))

    def unlock(self) -> None:
        """Follow the cursor again."""
        self._change(None, None)

    def walk(self, by: int) -> None:
        """Lock the token so many places on, as far as there are any."""
        if self._text is not None and self._text.ids:
            place = self._text.n_prompt - (by > 0) if self.place is None else self.place
            self.lock(min(max(place + by, 0), len(self._text.ids) - 1))

    def choose_head(self, head: Head | None) -> None:
        """Look at another attention head."""
        if head != self._head:
            self._head = head
            self.head_changed.emit()

    @Slot(int, int)
    def _on_branch_asked(self, place: int, id: int) -> None:
        self._branch = (place, id)

    def _change(self, hovered: int | None, locked: int | None) -> None:
        assert all(p is None or (self._text is not None and 0 <= p < len(self._text.ids)) for p in (hovered, locked))
        place_before, locked_before = self.place, self._locked
        self._hovered, self._locked = hovered, locked
        if self.place != place_before:
            self.place_changed.emit()
        if locked != locked_before:
            self.lock_changed.emit()
