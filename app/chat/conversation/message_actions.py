"""The small buttons under a message: switch versions, retry, continue, edit, copy."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QSizePolicy, QWidget

from app.chat.archive.message_tree import Message
from app.kit.basics import button, label
from app.kit.theme import ThemeProvider

_SIZE = QSize(28, 26)
"""Of a button with only an icon."""


class MessageActions(QWidget):
    """Arrows for messages with several versions, and buttons for what can be done with the message.

    Signals:
        version_requested(message_id): show this version.
        retry_requested(), continue_requested(), edit_requested(), copy_requested(), format_requested(),
        reveal_requested()
    """

    version_requested = Signal(str)
    retry_requested = Signal()
    continue_requested = Signal()
    edit_requested = Signal()
    copy_requested = Signal()
    format_requested = Signal()
    reveal_requested = Signal()

    def __init__(self, theme: ThemeProvider, *, of_reply: bool, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._versions: tuple[str, ...] = ()
        self._shown = 0
        what = "reply" if of_reply else "message"
        self.older = self._small(
            "caret-left", f"Previous version of this {what} (Alt+Left for the last)", lambda: self._ask(-1)
        )
        self.newer = self._small(
            "caret-right", f"Next version of this {what} (Alt+Right for the last)", lambda: self._ask(1)
        )
        self.version = label("", "caption")
        self.retry = self._small(
            "arrow-clockwise", "Reply again; this reply is kept as another version (Ctrl+R for the last)"
        )
        tip = "Continue this reply in a new version (only with the model that wrote it)"
        self.continue_button = self._small("arrow-bend-down-right", tip)
        edit = "Edit the reply" if of_reply else "Edit your message and send it again"
        self.edit = self._small("pencil-simple", f"{edit}; this version is kept")
        self.copy = self._small("copy", f"Copy the {what}")
        self.format = self._small("text-t")
        self.reveal = button(
            "Show the right answer", theme, icon="eye", role="link", tip="Compare the reply with the known answer"
        )
        if not of_reply:
            self.retry.setToolTip("Ask for a reply")
        pairs = (
            (self.retry, self.retry_requested),
            (self.continue_button, self.continue_requested),
            (self.edit, self.edit_requested),
            (self.copy, self.copy_requested),
            (self.format, self.format_requested),
            (self.reveal, self.reveal_requested),
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

    def _small(self, icon: str, tip: str = "", on_click: object = None) -> QPushButton:
        made = button("", self._theme, icon=icon, role="quiet-icon", tip=tip)
        made.setFixedSize(_SIZE)
        if callable(on_click):
            made.clicked.connect(lambda: on_click())
        return made

    @property
    def stops(self) -> tuple[QPushButton, ...]:
        """Its tab stops, from left to right."""
        return (
            self.older,
            self.newer,
            self.retry,
            self.continue_button,
            self.edit,
            self.copy,
            self.format,
            self.reveal,
        )

    def show_versions(self, message: Message, versions: Sequence[Message]) -> None:
        """Show which of its versions this is."""
        self._versions = tuple(version.id for version in versions)
        self._shown = self._versions.index(message.id) if message.id in self._versions else len(self._versions)
        for widget in (self.older, self.version, self.newer):
            widget.setVisible(len(self._versions) > 1)
        self.version.setText(f"{self._shown + 1}/{len(self._versions)}")
        self.version.setAccessibleName(f"Version {self._shown + 1} of {len(self._versions)}")

    def show_format(self, *, is_formatted: bool, as_markdown: bool) -> None:
        """Offer to show replies as plain text, or as Markdown again, if that makes a difference to this one."""
        self.format.setVisible(is_formatted)
        words = "Show replies as plain text" if as_markdown else "Show replies with their formatting (Markdown)"
        self._theme.set_icon(self.format, "text-t" if as_markdown else "text-aa")
        self.format.setToolTip(words)
        self.format.setAccessibleName(words)

    def set_enabled(self, *, can_show: bool, can_edit: bool, can_reply: bool, can_continue: bool) -> None:
        """Enable the buttons: show other versions, edit, request a reply, continue this reply."""
        self.older.setEnabled(can_show and self._shown > 0)
        self.newer.setEnabled(can_show and self._shown < len(self._versions) - 1)
        self.edit.setEnabled(can_edit)
        self.retry.setEnabled(can_reply)
        self.continue_button.setEnabled(can_continue)

    def _ask(self, step: int) -> None:
        self.version_requested.emit(self._versions[self._shown + step])
