"""One message of a conversation: its bubble, what can be done with it, and of a reply how it was made."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QKeyEvent, QMouseEvent, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QVBoxLayout, QWidget

from app.chat.archive.message_tree import Message
from app.chat.conversation.bubble import Bubble
from app.chat.conversation.message_actions import MessageActions
from app.chat.conversation.reply_words import describe_reply, explain_reply, judge
from app.kit.basics import button, label, row, set_role
from app.kit.text.growing_field import MOST_CHARACTERS, GrowingField
from app.kit.theme import SPACE, ThemeProvider

_FRESH = "A new start: the model does not read what is above."
_MINE_SHARE, _ITS_SHARE = 0.82, 0.94
"""Of the column's width, at most."""


class MessageView(QWidget):
    """Shows a `Message`; a reply that is being written grows by `append`.

    Signals:
        edited(text): the user wants it so.
        pressed(): it was clicked.
        Those of MessageActions are at `buttons`.
    """

    edited = Signal(str)
    pressed = Signal()

    def __init__(
        self, message: Message, asked: Message | None, theme: ThemeProvider, parent: QWidget | None = None
    ) -> None:
        """`asked`: what a reply is to."""
        super().__init__(parent)
        self.message, self._asked, self._theme = message, asked, theme
        self.goes_on = asked is not None and asked.goes_on
        self.bubble = Bubble(theme, mine=not message.is_reply, text=message.content, lead=self._lead)
        self.editor: MessageEditor | None = None
        self.buttons = MessageActions(theme, of_reply=message.is_reply)
        self.note = label("", "caption", wrap=True)
        self.gold = label("", wrap=True, selectable=True)
        self.gold.setContentsMargins(14, SPACE // 2, 0, SPACE // 2)
        self.gold.hide()
        self.fresh = label(_FRESH, "caption")
        self.fresh.hide()
        self.fresh.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, SPACE if message.is_reply else 0)
        self._layout.setSpacing(SPACE // 2)
        self._layout.addWidget(self.fresh)
        self._layout.addLayout(row(self.bubble, None) if message.is_reply else row(None, self.bubble))
        self.note.setContentsMargins(14, 0, 0, 0)
        if message.is_reply:
            self._layout.addWidget(self.note)
            line = row(self.buttons, None)
            line.setContentsMargins(6, 0, 0, 0)
        else:
            line = row(self.note, None, self.buttons)
        self._layout.addLayout(line)
        self._layout.addWidget(self.gold)
        buttons = self.buttons
        buttons.edit_asked.connect(self.edit)
        buttons.copy_asked.connect(self._copy)
        buttons.reveal_asked.connect(self._reveal)
        for choice in (buttons.retry, buttons.go_on, buttons.reveal):
            choice.setVisible(False)
        self.bubble.setVisible(not message.is_reply or self.goes_on)

    @property
    def _lead(self) -> str:
        return self._asked.content if self._asked is not None and self.goes_on else ""

    # -- What it shows -------------------------------------------------------------------------------------------------

    def show_message(self, message: Message, versions: Sequence[Message], *, is_first: bool, has_reply: bool) -> None:
        """Show the message as it is now, complete, and which of its versions that is.

        Args:
            is_first: nothing is above it.
            has_reply: a reply to it is shown below it.
        """
        is_new = message is not self.message
        self.message = message
        if self.bubble.text != message.content:
            self.bubble.set_text(message.content)
        self.bubble.settle()
        self.buttons.show_versions(message, versions)
        self.fresh.setVisible(message.fresh and not is_first)
        self.buttons.setVisible(True)
        if message.is_reply:
            self._show_reply(message, is_new)
        else:
            is_lead = message.goes_on and has_reply  # it is the beginning of the reply's own bubble
            self.bubble.setVisible(not is_lead and self.editor is None)
            self.buttons.retry.setVisible(not has_reply)
            self.set_note("Your beginning" if is_lead else "" if has_reply else "No reply came.")

    def _show_reply(self, message: Message, is_new: bool) -> None:
        asked, made, buttons = self._asked, message.made, self.buttons
        self.bubble.setVisible((bool(message.content) or self.goes_on) and self.editor is None)
        buttons.retry.setVisible(asked is not None and not asked.is_reply)
        buttons.go_on.setVisible(made is not None and made.can_go_on)
        if is_new:
            self.gold.hide()
        buttons.reveal.setVisible(asked is not None and bool(asked.gold) and self.gold.isHidden())
        self.set_note(describe_reply(message))
        self.note.setToolTip("" if made is None else explain_reply(made))

    def set_note(self, text: str) -> None:
        """What goes on, in a few words beside the buttons."""
        self.note.setText(text)
        self.note.setVisible(bool(text))

    def set_enabled(self, *, can_change: bool, can_reply: bool, can_go_on: bool) -> None:
        """Whether versions can be made and shown, whether a model can reply now, and whether it can go on with this."""
        fits = len(self.message.content) <= MOST_CHARACTERS
        can_edit = can_change and fits and (self.message.is_reply or can_reply)
        if not fits:
            self.buttons.edit.setToolTip(f"Longer than {MOST_CHARACTERS:,} characters: copy it, and change the copy")
        self.buttons.set_enabled(can_show=can_change, can_edit=can_edit, can_reply=can_reply, can_go_on=can_go_on)
        if self.editor is not None:
            self.editor.setEnabled(can_edit)

    # -- While the reply is written ------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Nothing of it is there yet."""
        self.buttons.hide()

    def append(self, text: str) -> None:
        """More of the reply has come."""
        self.bubble.append(text)
        self.bubble.show()

    # -- What is done with it ------------------------------------------------------------------------------------------

    @Slot()
    def edit(self) -> None:
        """Let the user change it in its place."""
        if self.editor is not None:
            self.editor.field.setFocus()
            return
        reply = self.message.is_reply
        hint = "Marked as edited, beside the model's own." if reply else "A new branch: what follows here is kept."
        self.editor = MessageEditor(self._theme, self.message.content, "Save" if reply else "Send", hint)
        self.editor.saved.connect(self.edited)
        self.editor.closed.connect(self._close_editor)
        self._layout.insertWidget(1, self.editor)
        self.bubble.hide()
        self.editor.field.setFocus()

    @Slot()
    def _close_editor(self) -> None:
        editor, self.editor = self.editor, None
        if editor is not None:
            if editor.isAncestorOf(self.focusWidget() or self):
                self.buttons.edit.setFocus()  # else it would go to whatever comes next in the window
            self._layout.removeWidget(editor)
            editor.hide()
            editor.deleteLater()
            self.bubble.setVisible(True)

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._lead + self.message.content)

    @Slot()
    def _reveal(self) -> None:
        assert self._asked is not None
        verdict, right = judge(self._asked, self.message.content)
        self.gold.setText(verdict)
        set_role(self.gold, "accent" if right else "error")
        self.gold.show()
        self.buttons.reveal.hide()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        self.pressed.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self.bubble.set_widest(round(self.width() * (_ITS_SHARE if self.message.is_reply else _MINE_SHARE)))


class MessageEditor(QWidget):
    """A message being changed in its place: the text in a field, with what saving does as a button.

    Signals:
        saved(text): this is the new text, which is another than before.
        closed(): it is done with.
    """

    saved = Signal(str)
    closed = Signal()

    def __init__(self, theme: ThemeProvider, text: str, save: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before = text
        self.field = GrowingField()
        self.field.setAccessibleName("Edited message")
        self.field.setPlainText(text)
        self.field.moveCursor(QTextCursor.MoveOperation.End)
        self.problem = label("", "error", wrap=True)
        self.problem.hide()
        self.save = button(save, theme, self._save, role="primary", tip=f"{save} (Enter)")
        self.cancel = button("Cancel", theme, self.closed.emit, tip="Leave it as it was (Esc)")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACE // 2)
        layout.addWidget(self.field)
        layout.addWidget(self.problem)
        hint_label = label(hint, "caption", wrap=True)
        line = row(hint_label, self.cancel, self.save)
        line.setStretch(0, 1)
        layout.addLayout(line)
        self.field.send_pressed.connect(self._save)
        self.field.refused.connect(self._say)
        self.field.textChanged.connect(self._on_changed)
        self._on_changed()

    @Slot()
    def _on_changed(self) -> None:
        self.problem.hide()
        self.save.setEnabled(bool(self.field.toPlainText().strip()))

    @Slot(str)
    def _say(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.show()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.closed.emit()
        else:
            super().keyPressEvent(event)

    @Slot()
    def _save(self) -> None:
        text = self.field.toPlainText().strip()
        if text:
            self.closed.emit()
            if text != self._before.strip():
                self.saved.emit(text)
