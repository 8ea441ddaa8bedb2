"""The conversation: a column of messages that follows the reply while one stays at its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.chat.archive.message_tree import Message
from app.chat.conversation.conversation import Conversation
from app.chat.conversation.message_actions import MessageActions
from app.chat.conversation.message_view import MessageView
from app.chat.conversation.reply_words import describe_progress
from app.kit.basics import button, column, row
from app.kit.layout.tab_order import put_after
from app.kit.theme import SPACE, ThemeProvider
from models.number_words import counted

COLUMN_WIDTH = 760
"""Pixels: longer lines are hard to read."""
SCROLL_BAR = 10
"""Pixels that the style sheet gives to a scroll bar."""
_AT_ONCE = 16
"""Messages that are shown of a long conversation, its last ones; and how many more at each press of the button."""
_KEYS: dict[str, Callable[[MessageActions], QPushButton]] = {
    "Ctrl+R": lambda buttons: buttons.retry,
    "Alt+Left": lambda buttons: buttons.older,
    "Alt+Right": lambda buttons: buttons.newer,
}
"""What presses which button of the last message."""
_NEAR = 24
"""Pixels from the end that still count as the end."""


class ChatView(QScrollArea):
    """Shows the conversation that is held, and what its messages offer is done by it.

    Signals:
        message_pressed(message_id): this one was clicked.
        shown(): other messages are there.
    """

    message_pressed = Signal(str)
    shown = Signal()

    def __init__(self, talk: Conversation, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._talk, self._theme = talk, theme
        self.messages: list[MessageView] = []
        self._start = 0
        self._follow, self._can_reply = True, False
        self._to_end: int | None = None
        self._build()
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range_changed)
        bar.valueChanged.connect(self._on_scrolled)
        self._keep_room(False)
        for keys, pick in _KEYS.items():
            QShortcut(QKeySequence(keys), self, lambda pick=pick: self._press(pick))
        talk.chat_changed.connect(self._on_chat_changed)
        talk.path_changed.connect(self._show)
        talk.reply_began.connect(self._on_reply_began)
        talk.reply_waits.connect(self.set_note)
        talk.reply_grew.connect(self._on_reply_grew)

    def _build(self) -> None:
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not at a click between the messages
        self.setAccessibleName("Conversation")
        page = QWidget()
        page.setProperty("role", "scrolled")
        outer = self._outer = QHBoxLayout(page)
        middle = QWidget()
        middle.setMaximumWidth(COLUMN_WIDTH)
        outer.addStretch(1)
        outer.addWidget(middle, 100)
        outer.addStretch(1)
        self.earlier = button("", self._theme, self._show_earlier, role="link", tip="Show what was said before")
        self.earlier.hide()
        self._column = QVBoxLayout(middle)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addLayout(row(None, self.earlier, None))
        self._column.addStretch(1)
        self.setWidget(page)

    # -- What is asked from outside ------------------------------------------------------------------------------------

    def set_can_reply(self, can_reply: bool) -> None:
        """Whether a reply can be asked for now."""
        self._can_reply = can_reply
        self._enable()

    def set_note(self, words: str) -> None:
        """Say below the reply that is being written what is going on."""
        if self.messages and self._talk.writing:
            self.messages[-1].set_note(words)

    def view_of(self, message_id: str) -> MessageView | None:
        """The view of a message, if it is there."""
        return next((view for view in self.messages if view.message.id == message_id), None)

    def edit_last(self) -> None:
        """Let the user change what they said last."""
        mine = [view for view in self.messages if not view.message.is_reply]
        if mine and mine[-1].buttons.edit.isEnabled():
            mine[-1].edit()

    def _press(self, pick: Callable[[MessageActions], QPushButton]) -> None:
        if self.messages and not pick(self.messages[-1].buttons).isHidden():
            pick(self.messages[-1].buttons).click()  # does nothing where it is not enabled

    def go_to(self, message_id: str) -> None:
        """Scroll so that a message is seen, where it is on the shown path."""
        place = next((i for i, message in enumerate(self._talk.shown) if message.id == message_id), None)
        if place is None:
            return
        if place < self._start:
            self._start = place
            self._show()
        view = self.view_of(message_id)
        if view is not None:
            self._follow = view is self.messages[-1]
            self._column.activate()
            self.ensureWidgetVisible(view, 0, 2 * SPACE)

    # -- Which messages are there --------------------------------------------------------------------------------------

    @Slot()
    def _on_chat_changed(self) -> None:
        self._place(())
        self._start = max(0, len(self._talk.shown) - _AT_ONCE)
        self._follow = True
        self._show()

    @Slot()
    def _show_earlier(self) -> None:
        bar = self.verticalScrollBar()
        self._follow, self._to_end = False, bar.maximum() - bar.value()
        self._start = max(0, self._start - _AT_ONCE)
        self._show()

    @Slot()
    def _show(self) -> None:
        """Bring the views in line with the messages; those of messages that are still shown stay."""
        path = self._talk.shown
        self._start = min(self._start, max(0, len(path) - 1))
        wanted = path[self._start :]
        self._place(wanted)
        chat, writing = self._talk.chat, self._talk.writing
        for i, (view, message) in enumerate(zip(self.messages, wanted, strict=True)):
            if message.id != writing:
                versions = chat.siblings(message.id)
                first, has_reply = self._start + i == 0, i + 1 < len(wanted)
                view.show_message(message, versions, is_first=first, has_reply=has_reply)
        self.earlier.setVisible(self._start > 0)
        self.earlier.setText(f"Show {counted(min(self._start, _AT_ONCE), 'earlier message')}")
        self._enable()
        self.shown.emit()

    def _place(self, wanted: Sequence[Message]) -> None:
        """A view for each message, in order; those that there are already are kept."""
        old = {view.message.id: view for view in self.messages}
        self.messages = [old.pop(message.id) if message.id in old else self._make(message) for message in wanted]
        for view in old.values():
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        for place, view in enumerate(self.messages, start=1):
            if self._column.indexOf(view) != place:
                self._column.insertWidget(place, view)
        put_after(self, *(stop for view in self.messages for stop in view.buttons.stops))

    def _make(self, message: Message) -> MessageView:
        talk, id = self._talk, message.id
        view = MessageView(message, talk.chat.message(message.parent) if message.parent else None, self._theme)
        buttons = view.buttons
        buttons.version_asked.connect(talk.show)
        buttons.retry_asked.connect(lambda: talk.retry(id))
        buttons.go_on_asked.connect(lambda: talk.go_on(id))
        view.edited.connect(lambda text: talk.edit(id, text))
        view.pressed.connect(lambda: self.message_pressed.emit(id))
        return view

    def _enable(self) -> None:
        can_change = not self._talk.writing
        can_reply = self._can_reply and can_change
        for view in self.messages:
            can_go_on = can_reply and self._talk.can_go_on(view.message)
            view.set_enabled(can_change=can_change, can_reply=can_reply, can_go_on=can_go_on)

    # -- The reply that is being written -------------------------------------------------------------------------------

    @Slot(object)
    def _on_reply_began(self, reply: Message) -> None:
        self._follow = True
        self._show()
        self.messages[-1].begin()

    @Slot(str)
    def _on_reply_grew(self, text: str) -> None:
        self.messages[-1].append(text)
        self.messages[-1].set_note(describe_progress(*self._talk.progress))

    # -- Scrolling -----------------------------------------------------------------------------------------------------

    @Slot(int, int)
    def _on_range_changed(self, low: int, high: int) -> None:
        self._keep_room(high > low)
        if self._follow:
            self.verticalScrollBar().setValue(high)
        elif self._to_end is not None:
            self.verticalScrollBar().setValue(high - self._to_end)
            self._to_end = None

    def _keep_room(self, has_bar: bool) -> None:
        # The room of a scroll bar that is not there is kept free, so that nothing moves when it comes.
        self._outer.setContentsMargins(SPACE, SPACE, SPACE + (0 if has_bar else SCROLL_BAR), 0)

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - _NEAR


def in_chat_column(*widgets: QWidget) -> QWidget:
    """Widgets above each other in the middle, no wider than a conversation."""
    outer, middle = QWidget(), QWidget()
    middle.setMaximumWidth(COLUMN_WIDTH)
    middle.setLayout(column(*widgets))
    sides = row(None, middle, None, spacing=0)
    sides.setStretch(1, 100)
    sides.setContentsMargins(SPACE, 0, SPACE + SCROLL_BAR, 0)
    outer.setLayout(sides)
    return outer
