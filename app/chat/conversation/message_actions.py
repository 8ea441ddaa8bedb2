"""The small buttons under a message: its versions, and what can be done with it."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from app.chat.archive.message_tree import Message
from app.kit.basics import button, label
from app.kit.theme import ThemeProvider

_SIZE = QSize(28, 26)
"""Of a button with an icon alone."""


class MessageActions(QWidget):
    """Arrows where a message has several versions, and the buttons that fit it.

    Signals:
        version_asked(message_id): show this version.
        retry_asked(), go_on_asked(), edit_asked(), copy_asked(), reveal_asked()
    """

    version_asked = Signal(str)
    retry_asked = Signal()
    go_on_asked = Signal()
    edit_asked = Signal()
    copy_asked = Signal()
    reveal_asked = Signal()

    def __init__(self, theme: ThemeProvider, *, of_reply: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._versions: tuple[str, ...] = ()
        self._shown = 0
        what = "reply" if of_reply else "message"
        self.older = self._small(
            "caret-left", f"The version of this {what} before (Alt+Left for the last)", lambda: self._ask(-1)
        )
        self.newer = self._small(
            "caret-right", f"The version of this {what} after (Alt+Right for the last)", lambda: self._ask(1)
        )
        self.version = label("", "caption")
        self.retry = self._small(
            "arrow-clockwise", "Reply again: this reply is kept beside the new one (Ctrl+R for the last)"
        )
        tip = "Continue: another version goes on where this one was cut off (by the model that began)"
        self.go_on = self._small("arrow-bend-down-right", tip)
        edit = "Change the reply" if of_reply else "Change your message, and ask again"
        self.edit = self._small("pencil-simple", f"{edit}: what is here is kept beside it")
        self.copy = self._small("copy", f"Copy the {what}")
        self.reveal = button(
            "Show the right answer", theme, icon="eye", role="link", tip="Compare the reply with the truth"
        )
        if not of_reply:
            self.retry.setToolTip("Ask for a reply")
        pairs = (
            (self.retry, self.retry_asked),
            (self.go_on, self.go_on_asked),
            (self.edit, self.edit_asked),
            (self.copy, self.copy_asked),
            (self.reveal, self.reveal_asked),
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        for widget in (self.older, self.version, self.newer):
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)
        for widget, signal in pairs:
            widget.clicked.connect(signal)
            layout.addWidget(widget, 0, Qt.AlignmentFlag.AlignVCenter)

    def _small(self, icon: str, tip: str, on_click: object = None) -> QPushButton:
        made = button("", self._theme, icon=icon, role="quiet-icon", tip=tip)
        made.setFixedSize(_SIZE)
        if callable(on_click):
            made.clicked.connect(lambda: on_click())
        return made

    @property
    def stops(self) -> tuple[QPushButton, ...]:
        """Its buttons, from the left."""
        return (self.older, self.newer, self.retry, self.go_on, self.edit, self.copy, self.reveal)

    def show_versions(self, message: Message, versions: Sequence[Message]) -> None:
        """Of which of its versions this is."""
        self._versions = tuple(version.id for version in versions)
        self._shown = self._versions.index(message.id) if message.id in self._versions else len(self._versions)
        for widget in (self.older, self.version, self.newer):
            widget.setVisible(len(self._versions) > 1)
        self.version.setText(f"{self._shown + 1}/{len(self._versions)}")
        self.version.setAccessibleName(f"Version {self._shown + 1} of {len(self._versions)}")

    def set_enabled(self, *, can_show: bool, can_edit: bool, can_reply: bool, can_go_on: bool) -> None:
        """Whether other versions can be shown and written, whether a model can reply now, and can go on with this."""
        self.older.setEnabled(can_show and self._shown > 0)
        self.newer.setEnabled(can_show and self._shown < len(self._versions) - 1)
        self.edit.setEnabled(can_edit)
        self.retry.setEnabled(can_reply)
        self.go_on.setEnabled(can_go_on)

    def _ask(self, step: int) -> None:
        self.version_asked.emit(self._versions[self._shown + step])
