"""The token and the attention head in focus: hovering previews a token, a click locks it, arrow keys move, Esc unlocks.

A text may define a start token, which is in focus until the user chooses one.
"""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.glass.read_text import ReadText


class Head(NamedTuple):
    """An attention head: the site of its layer (see `models.architecture.trace.Trace`) and its index in it."""

    site: str
    head: int


class Focus(QObject):
    """The state that all panels of the glass box share; any of them may change it.

    Signals:
        text_changed(): `text` has changed.
        position_changed(): `position` has changed.
        lock_changed(): `locked` has changed; emitted after position_changed if both have.
        head_changed(): `head` has changed.
        label_changed(): the user chose another `label`.
        branch_requested(position, id): continue the text before `position` again, with token `id` as the first one.
    """

    text_changed = Signal()
    position_changed = Signal()
    lock_changed = Signal()
    head_changed = Signal()
    label_changed = Signal()
    branch_requested = Signal(int, int)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._text: ReadText | None = None
        self._absence = ""
        self._hovered: int | None = None
        self._locked: int | None = None
        self._head: Head | None = None
        self._label: int | None = None
        self._telling: tuple[ReadText | None, int, Head] | None = None
        self._branch = (-1, -1)
        self.branch_requested.connect(self._on_branch_requested)

    @property
    def text(self) -> ReadText | None:
        """The inspected text, or None."""
        return self._text

    @property
    def position(self) -> int | None:
        """The index into `text.ids` of the token under the cursor, else the locked one, else the start token."""
        if self._hovered is not None:
            return self._hovered
        return self._start if self._locked is None else self._locked

    @property
    def _start(self) -> int | None:
        return self._text.start if self._text is not None else None

    @property
    def is_at_start(self) -> bool:
        """Whether the start token of the text is in focus, because the user neither hovers over nor locked a token."""
        return self._hovered is None and self._locked is None and self._start is not None

    @property
    def is_steady(self) -> bool:
        """Whether the token in focus remains in focus when the cursor leaves: it is locked, or the start token."""
        return self._hovered is None and self.position is not None

    @property
    def locked(self) -> int | None:
        """The locked token, which remains in focus when the cursor leaves, or None."""
        return self._locked

    @property
    def head(self) -> Head | None:
        """The selected attention head."""
        return self._head

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the panels can explain; () if the model predicts tokens or an answer span."""
        asked = self._text.question if self._text is not None else None
        return asked.labels if asked is not None and asked.head != "span" else ()

    @property
    def label(self) -> int | None:
        """The index into `labels` of the chosen label; None for the predicted one. Kept while a text is edited."""
        return self._label

    @property
    def absence(self) -> str:
        """A sentence that says why the content of the screen cannot be inspected; "" if it can, or if it is empty."""
        return self._absence

    def show(self, text: ReadText | None, absence: str = "") -> None:
        """Inspect another text; if it is the branch that was requested, lock the token where it branches off.

        absence: if `text` is None, a sentence that says why.
        """
        if (text, absence) != (self._text, self._absence):
            labels = self.labels
            self._text, self._absence, self._hovered, self._locked = text, absence, None, None
            if self.labels != labels:
                self._label = None
            if text is not None:
                position, id = self._branch
                self._locked = position if 0 <= position < len(text.ids) and text.ids[position] == id else None
                self._branch = (-1, -1)
            self.text_changed.emit()
            self.position_changed.emit()
            self.lock_changed.emit()

    def hover(self, position: int | None) -> None:
        """Set the token under the cursor, None for none; ignored while a token is locked."""
        if self._locked is None:
            self._change(position, None)

    def lock(self, position: int) -> None:
        """Lock a token."""
        self._change(None, position)

    def press(self, position: int) -> None:
        """Handle a click: toggle the lock of a token."""
        self._change(*((position, None) if self._locked == position else (None, position)))

    def unlock(self) -> None:
        """Follow the cursor again."""
        self._change(None, None)

    def walk(self, by: int) -> None:
        """Lock the token `by` positions from the one in focus, or from the end of the prompt; clamped to the text."""
        if self._text is not None and self._text.ids:
            position = self._text.n_prompt - (by > 0) if self.position is None else self.position
            self.lock(min(max(position + by, 0), len(self._text.ids) - 1))

    @property
    def telling_head(self) -> Head | None:
        """The head that raised the logit of the token in focus most over its rival's; None until a panel found it."""
        found = self._telling
        is_its = found is not None and found[0] is self._text and found[1] == self.position
        return found[2] if found is not None and is_its else None

    def tell_head(self, position: int, head: Head) -> None:
        """Set `telling_head` for the token at `position`."""
        self._telling = self._text, position, head

    def choose_head(self, head: Head | None) -> None:
        """Select another attention head."""
        if head != self._head:
            self._head = head
            self.head_changed.emit()

    def choose_label(self, label: int | None) -> None:
        """Select the label to explain; None for the predicted one."""
        if label != self._label:
            self._label = label
            self.label_changed.emit()

    @Slot(int, int)
    def _on_branch_requested(self, position: int, id: int) -> None:
        self._branch = (position, id)

    def _change(self, hovered: int | None, locked: int | None) -> None:
        assert all(p is None or (self._text is not None and 0 <= p < len(self._text.ids)) for p in (hovered, locked))
        position_before, locked_before = self.position, self._locked
        self._hovered, self._locked = hovered, locked
        if self.position != position_before:
            self.position_changed.emit()
        if locked != locked_before:
            self.lock_changed.emit()
