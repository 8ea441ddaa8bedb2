"""One message of a conversation: its bubble, its buttons, and for a reply how it was generated."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QSize, Qt, Signal, Slot
from PySide6.QtGui import QEnterEvent, QGuiApplication, QKeyEvent, QMouseEvent, QResizeEvent, QTextCursor
from PySide6.QtWidgets import QGraphicsOpacityEffect, QWidget

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.conversation.bubble import Bubble
from terrarium.app.chat.conversation.message_actions import MessageActions
from terrarium.app.chat.conversation.reply_captions import describe_reply, explain_reply, judge
from terrarium.app.kit.basics import button, column, label, plain_tip, row, set_role, show_words
from terrarium.app.kit.inputs import named
from terrarium.app.kit.text.growing_field import MAX_CHARACTERS, GrowingField
from terrarium.app.kit.theme import SPACE, ThemeProvider

_FRESH = "New start: the model does not see the messages above."
_MINE_SHARE, _ITS_SHARE = 0.82, 0.94
"""The maximum share of the column's width, for the user's messages and for replies."""
_LEAST_WIDTH = 160
"""The minimum width in pixels."""


class MessageView(QWidget):
    """Shows a `Message`; a reply that is being generated grows by `append`.

    Signals:
        edited(text): the user has changed the text to this.
        pressed(): the message was clicked.
        Those of MessageActions are on `buttons`.
    """

    edited = Signal(str)
    pressed = Signal()

    def __init__(
        self, message: Message, prompt: Message | None, theme: ThemeProvider, parent: QWidget | None = None
    ) -> None:
        """`prompt`: the message that a reply answers."""
        super().__init__(parent)
        self.message, self._prompt, self._theme = message, prompt, theme
        self.is_completion = prompt is not None and prompt.is_completion
        self.bubble = Bubble(theme, mine=not message.is_reply, text=message.content, lead=self._lead)
        self._as_markdown = False
        self.editor: MessageEditor | None = None
        self.buttons = MessageActions(theme, of_reply=message.is_reply)
        self.note = label("", "caption", wrap=True)
        self.gold = label("", wrap=True, selectable=True)
        self.gold.setContentsMargins(14, SPACE // 2, 0, SPACE // 2)
        self.gold.hide()
        self.fresh = label(_FRESH, "caption")
        self.fresh.hide()
        self.fresh.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._layout = column(self.fresh, spacing=SPACE // 2)
        self.setLayout(self._layout)
        if message.is_reply:
            line = row(self.buttons, self.note, grows=self.note, margin=(6, 0, 0, 0))
            self._layout.addLayout(column(row(self.bubble, None), line, spacing=0))
        else:
            line = row(self.note, None, self.buttons, self.bubble, spacing=SPACE // 2)
            line.setAlignment(self.note, Qt.AlignmentFlag.AlignBottom)  # a long message may begin out of view
            line.setAlignment(self.buttons, Qt.AlignmentFlag.AlignBottom)
            self._layout.addLayout(line)
            self._layout.setContentsMargins(0, 0, 0, SPACE)
            self.note.setContentsMargins(14, 0, 0, 0)
        self._layout.addWidget(self.gold)
        self._details = _Discreet(self.buttons, self.note)
        buttons = self.buttons
        buttons.edit_requested.connect(self.edit)
        buttons.copy_requested.connect(self._copy)
        buttons.reveal_requested.connect(self._reveal)
        for widget in (buttons.retry, buttons.continue_button, buttons.format, buttons.reveal):
            widget.setVisible(False)
        self.bubble.setVisible(not message.is_reply or self.is_completion)

    @property
    def _lead(self) -> str:
        return self._prompt.content if self._prompt is not None and self.is_completion else ""

    # -- Contents ------------------------------------------------------------------------------------------------------

    def show_rating(self, rating: bool | None) -> None:
        """Show the rating of a reply (True for good, None for none), if replies to its prompt can be rated."""
        prompt = self._prompt
        if self.message.is_reply and prompt is not None and not prompt.is_reply and not self.is_completion:
            self.buttons.offer_rating(rating)

    def show_message(self, message: Message, versions: Sequence[Message], *, is_first: bool, has_reply: bool) -> None:
        """Show the complete message, and which of its versions it is.

        Args:
            is_first: it is the first message.
            has_reply: a reply to it is shown below it.
        """
        is_new = message is not self.message
        self.message = message
        if self.bubble.text != message.content:
            self.bubble.set_text(message.content)
        self.bubble.finish()
        self._show_format()
        self.buttons.show_versions(message, versions)
        self._fit()
        self.fresh.setVisible(message.fresh and not is_first)
        self.buttons.setVisible(True)
        if message.is_reply:
            self._show_reply(message, is_new)
        else:
            is_lead = message.is_completion and has_reply  # shown as the beginning of the reply's bubble
            self.bubble.setVisible(not is_lead and self.editor is None)
            self.buttons.retry.setVisible(not has_reply)
            self.set_note("Your text" if is_lead else "" if has_reply else "No reply.")
            self._fit()

    def set_markdown(self, on: bool) -> None:
        """Show a reply as Markdown or as plain text; continued texts and user messages are always plain."""
        self._as_markdown = on
        if self.message.is_reply and not self.is_completion:
            self.bubble.set_markdown(on)
            self._show_format()

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """The tab stops, from top to bottom."""
        return (*self.bubble.stops, *self.buttons.stops)

    def _show_format(self) -> None:
        is_formatted = self.message.is_reply and not self.is_completion and self.bubble.is_formatted
        self.buttons.show_format(is_formatted=is_formatted, as_markdown=self._as_markdown)

    def _show_reply(self, message: Message, is_new: bool) -> None:
        prompt, generation, buttons = self._prompt, message.generation, self.buttons
        self.bubble.setVisible((bool(message.content) or self.is_completion) and self.editor is None)
        buttons.retry.setVisible(prompt is not None and not prompt.is_reply)
        buttons.continue_button.setVisible(generation is not None and generation.can_continue)
        if prompt is not None and not prompt.is_reply and not self.is_completion:
            buttons.offer_preference(is_edited=message.edited)
        drawn = generation.drawn if generation is not None else None
        buttons.offer_drawn(len(drawn.replies) if drawn is not None else 0)
        buttons.drafted.setVisible(generation is not None and generation.draft is not None)
        if is_new:
            self.gold.hide()
        buttons.reveal.setVisible(prompt is not None and bool(prompt.gold) and self.gold.isHidden())
        self.set_note(describe_reply(message))
        self.note.setToolTip("" if generation is None else plain_tip(explain_reply(generation)))

    def set_note(self, text: str) -> None:
        """Show a short note beside the buttons."""
        show_words(self.note, text)

    def set_enabled(self, *, can_change: bool, can_reply: bool, why_not_continue: str) -> None:
        """Enable the buttons: switch and make versions, request a reply, continue this reply ("": it can be
        continued).
        """
        fits = len(self.message.content) <= MAX_CHARACTERS
        can_edit = can_change and fits and (self.message.is_reply or can_reply)
        if not fits:
            self.buttons.edit.setToolTip(f"Too long to edit here (over {MAX_CHARACTERS:,} characters): copy it instead")
        self.buttons.set_enabled(
            can_show=can_change, can_edit=can_edit, can_reply=can_reply, why_not_continue=why_not_continue
        )
        if self.editor is not None:
            self.editor.setEnabled(can_edit)

    # -- While the reply is generated ----------------------------------------------------------------------------------

    def begin(self) -> None:
        """Hide the buttons of a reply that has been requested and has no text yet."""
        self.buttons.hide()

    def append(self, text: str) -> None:
        """Append text to the reply."""
        self.bubble.append(text)
        self.bubble.show()

    # -- Actions -------------------------------------------------------------------------------------------------------

    @Slot()
    def edit(self) -> None:
        """Let the user edit the message in place."""
        if self.editor is not None:
            self.editor.field.setFocus()
            return
        reply = self.message.is_reply
        hint = (
            "Saved as an edited version; the original is kept."
            if reply
            else "Starts a new branch; the messages below are kept."
        )
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
                self.buttons.edit.setFocus()  # otherwise the focus would jump to the next widget of the window
            self._layout.removeWidget(editor)
            editor.hide()
            editor.deleteLater()
            self.bubble.setVisible(True)

    @Slot()
    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._lead + self.message.content)

    @Slot()
    def _reveal(self) -> None:
        assert self._prompt is not None
        verdict, right = judge(self._prompt, self.message.content)
        self.gold.setText(verdict)
        set_role(self.gold, "accent" if right else "error")
        self.gold.show()
        self.buttons.reveal.hide()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        self.pressed.emit()

    def minimumSizeHint(self) -> QSize:
        return QSize(_LEAST_WIDTH, super().minimumSizeHint().height())  # the bubble follows the width

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Set the bubble's maximum width: its share of the column, less the buttons and the note beside a user
        message.
        """
        if self.message.is_reply:
            self.bubble.set_max_width(round(self.width() * _ITS_SHARE))
        else:
            beside = self.buttons.sizeHint().width() + SPACE
            if self.note.text():
                beside += self.note.sizeHint().width() + SPACE // 2
            self.bubble.set_max_width(min(round(self.width() * _MINE_SHARE), self.width() - beside))

    # -- Visibility of the details -------------------------------------------------------------------------------------

    def set_newest(self, is_newest: bool) -> None:
        """Set whether the message is the newest: then its buttons and figures are always painted, else while it is
        hovered or has the keyboard focus.
        """
        self._details.set_kept(is_newest)

    def set_focused(self, has_focus: bool) -> None:
        """Set whether the keyboard focus is within the message."""
        self._details.set_focused(has_focus)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._details.set_hovered(True)
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._details.set_hovered(False)
        super().leaveEvent(event)


class MessageEditor(QWidget):
    """An editor for a message in place: a text field, and a button named after the effect of saving.

    Signals:
        saved(text): the new text, if it differs from the old one.
        closed(): editing has ended.
    """

    saved = Signal(str)
    closed = Signal()

    def __init__(self, theme: ThemeProvider, text: str, save: str, hint: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._before = text
        self.field = named(GrowingField(), "Edited message")
        self.field.setPlainText(text)
        self.field.moveCursor(QTextCursor.MoveOperation.End)
        self.problem = label("", "error", wrap=True)
        self.problem.hide()
        self.save = button(save, theme, self._save, role="primary", tip=f"{save} (Enter)")
        self.cancel = button("Cancel", theme, self.closed.emit, tip="Discard the change (Esc)")
        hint_label = label(hint, "caption", wrap=True)
        line = row(hint_label, self.cancel, self.save, grows=hint_label)
        self.setLayout(column(self.field, self.problem, line, spacing=SPACE // 2))
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


class _Discreet:
    """Shows some widgets while at least one of three conditions is true: always shown, hovered, or focused.

    Otherwise they are not painted, and the mouse goes through them. They stay visible to Qt, so nothing moves, Tab
    reaches them, and a screen reader reads them.
    """

    def __init__(self, *widgets: QWidget) -> None:
        self._widgets = [(widget, QGraphicsOpacityEffect(widget)) for widget in widgets]
        self._is_kept, self._is_hovered, self._is_focused = True, False, False
        for widget, effect in self._widgets:
            effect.setOpacity(0.0)
            effect.setEnabled(False)
            widget.setGraphicsEffect(effect)

    @property
    def is_seen(self) -> bool:
        """Whether the widgets are painted."""
        return self._is_kept or self._is_hovered or self._is_focused

    def set_kept(self, kept: bool) -> None:
        """Set whether the widgets are always painted."""
        self._is_kept = kept
        self._update()

    def set_hovered(self, hovered: bool) -> None:
        """Set whether the pointer is near them."""
        self._is_hovered = hovered
        self._update()

    def set_focused(self, focused: bool) -> None:
        """Set whether the keyboard focus is near them."""
        self._is_focused = focused
        self._update()

    def _update(self) -> None:
        for widget, effect in self._widgets:
            effect.setEnabled(not self.is_seen)
            widget.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, not self.is_seen)
