"""The scrolling column of messages, which follows a growing reply while it is scrolled to the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QApplication, QFrame, QHBoxLayout, QPushButton, QScrollArea, QWidget

from terrarium.app.chat.archive.message_tree import Message
from terrarium.app.chat.conversation.conversation import Conversation
from terrarium.app.chat.conversation.drawn_window import DrawnWindow
from terrarium.app.chat.conversation.message_actions import MessageActions
from terrarium.app.chat.conversation.message_view import MessageView
from terrarium.app.chat.conversation.reply_captions import describe_progress
from terrarium.app.kit.announcer import Announcer
from terrarium.app.kit.basics import button, column, group, row
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.number_words import format_count

COLUMN_WIDTH = 760
"""Pixels: longer lines are hard to read."""
SCROLL_BAR = 10
"""The width of a scroll bar in the style sheet, in pixels."""
_PAGE_SIZE = 16
"""The number of messages initially shown of a long conversation, and added per click on “earlier”."""
_PAGE_CHARACTERS = 100_000
"""The maximum total characters of a page of messages: laying out more would block the window."""
_KEYS: dict[str, Callable[[MessageActions], QPushButton]] = {
    "Ctrl+R": lambda buttons: buttons.retry,
    "Alt+Left": lambda buttons: buttons.older,
    "Alt+Right": lambda buttons: buttons.newer,
}
"""Shortcuts for the buttons of the last message."""
_NEAR = 24
"""The distance in pixels from the end within which the view counts as scrolled to the end."""


class ChatView(QScrollArea):
    """Shows the open conversation, and carries out the actions of its messages.

    Signals:
        message_pressed(message_id): a message was clicked.
        shown(): the shown messages have changed.
        drafted_requested(message_id): show which drafted tokens of a reply were accepted.
        markdown_changed(on): the user wants replies formatted (True) or as plain text.
    """

    message_pressed = Signal(str)
    shown = Signal()
    drafted_requested = Signal(str)
    markdown_changed = Signal(bool)

    def __init__(self, conversation: Conversation, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._conversation, self._theme = conversation, theme
        self.messages: list[MessageView] = []
        self.drawn_window: DrawnWindow | None = None
        """The window with all candidates of a reply; created when it is first opened."""
        self._start = 0
        self._follow, self._can_reply, self._as_markdown = True, False, True
        self._to_end: int | None = None
        self._build()
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range_changed)
        bar.valueChanged.connect(self._on_scrolled)
        self._reserve_scroll_bar(False)
        for keys, pick in _KEYS.items():
            QShortcut(QKeySequence(keys), self, lambda pick=pick: self._press(pick))
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        app.focusChanged.connect(self._on_focus)
        conversation.chat_changed.connect(self._on_chat_changed)
        conversation.path_changed.connect(self._show)
        conversation.prompting_changed.connect(self._enable)
        conversation.ratings_changed.connect(self._show_ratings)
        conversation.reply_started.connect(self._on_reply_started)
        conversation.reply_progressed.connect(self.set_note)
        conversation.reply_ended.connect(self._tell_reply)
        conversation.reply_appended.connect(self._on_reply_appended)

    def _build(self) -> None:
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by a click between the messages
        self.setAccessibleName("Conversation")
        self._announcer = Announcer(self)
        self.earlier = button("", self._theme, self._show_earlier, role="link", tip="Show earlier messages")
        self.earlier.hide()
        # No spacing: the row of buttons below a reply separates the messages.
        self._column = column(row(None, self.earlier, None), None, spacing=0)
        middle = group(self._column)
        middle.setMaximumWidth(COLUMN_WIDTH)
        self._outer = _centred(middle)
        page = group(self._outer)
        page.setProperty("role", "scrolled")
        self.setWidget(page)

    # -- Public methods ------------------------------------------------------------------------------------------------

    @Slot(object)
    def _tell_reply(self, message: Message | None) -> None:
        if message is not None:
            self._announcer.say(f"Reply: {message.content}")

    def set_can_reply(self, can_reply: bool) -> None:
        """Set whether a reply can be requested now."""
        self._can_reply = can_reply
        self._enable()

    def set_markdown(self, on: bool) -> None:
        """Show replies formatted, or as plain text."""
        self._as_markdown = on
        for view in self.messages:
            view.set_markdown(on)
        self._order_stops()

    def set_note(self, words: str) -> None:
        """Show a note below the reply that is being generated."""
        if self.messages and self._conversation.writing:
            self.messages[-1].set_note(words)

    def view_of(self, message_id: str) -> MessageView | None:
        """Return the view of a message, or None if it is not shown."""
        return next((view for view in self.messages if view.message.id == message_id), None)

    def edit_last(self) -> None:
        """Let the user edit their last message."""
        mine = [view for view in self.messages if not view.message.is_reply]
        if mine and mine[-1].buttons.edit.isEnabled():
            mine[-1].edit()

    @Slot(QWidget, QWidget)
    def _on_focus(self, before: QWidget | None, now: QWidget | None) -> None:
        for view in self.messages:
            view.set_focused(now is not None and view.isAncestorOf(now))

    def _press(self, pick: Callable[[MessageActions], QPushButton]) -> None:
        if self.messages and not pick(self.messages[-1].buttons).isHidden():
            pick(self.messages[-1].buttons).click()  # no effect on a disabled button

    def go_to(self, message_id: str) -> None:
        """Scroll to a message of the shown path."""
        index = next((i for i, message in enumerate(self._conversation.shown) if message.id == message_id), None)
        if index is None:
            return
        if index < self._start:
            self._start = index
            self._show()
        view = self.view_of(message_id)
        if view is not None:
            self._follow = view is self.messages[-1]
            self._column.activate()
            self.ensureWidgetVisible(view, 0, 2 * SPACE)

    # -- Shown messages ------------------------------------------------------------------------------------------------

    @Slot()
    def _on_chat_changed(self) -> None:
        self._arrange(())
        self._start = self._page_start(len(self._conversation.shown))
        self._follow = True
        self._show()

    @Slot()
    def _show_earlier(self) -> None:
        bar = self.verticalScrollBar()
        self._follow, self._to_end = False, bar.maximum() - bar.value()
        self._start = self._page_start(self._start)
        self._show()

    def _page_start(self, end: int) -> int:
        """Return the index of the first message on the page that ends before the message `end`."""
        path, start, n_characters = self._conversation.shown, end, 0
        while start and end - start < _PAGE_SIZE:
            n_characters += len(path[start - 1].content)
            if n_characters > _PAGE_CHARACTERS and start < end:
                break
            start -= 1
        return start

    @Slot()
    def _show(self) -> None:
        """Update the views to the shown messages, reusing the views of messages that stay."""
        path = self._conversation.shown
        self._start = min(self._start, max(0, len(path) - 1))
        wanted = path[self._start :]
        self._arrange(wanted)
        chat, writing = self._conversation.chat, self._conversation.writing
        for i, (view, message) in enumerate(zip(self.messages, wanted, strict=True)):
            if message.id != writing:
                versions = chat.siblings(message.id)
                first, has_reply = self._start + i == 0, i + 1 < len(wanted)
                view.show_message(message, versions, is_first=first, has_reply=has_reply)
        self._show_newest()
        self._show_ratings()
        self.earlier.setVisible(self._start > 0)
        n_earlier = self._start - self._page_start(self._start)
        self.earlier.setText(f"Show {format_count(n_earlier, 'earlier message')}")
        self._enable()
        self._order_stops()
        self.shown.emit()

    def _show_newest(self) -> None:
        """Keep the buttons and figures of the newest message always visible."""
        for view in self.messages:
            view.set_newest(view is self.messages[-1])

    @Slot()
    def _show_ratings(self) -> None:
        for view in self.messages:
            view.show_rating(self._conversation.rating(view.message.id))

    def _arrange(self, wanted: Sequence[Message]) -> None:
        """Create or reuse a view for each message, in order."""
        old = {view.message.id: view for view in self.messages}
        self.messages = [old.pop(message.id) if message.id in old else self._make(message) for message in wanted]
        for view in old.values():
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        for index, view in enumerate(self.messages, start=1):
            if self._column.indexOf(view) != index:
                self._column.insertWidget(index, view)

    def _order_stops(self) -> None:
        put_after(self, *(stop for view in self.messages for stop in view.stops))

    def _make(self, message: Message) -> MessageView:
        conversation, id = self._conversation, message.id
        view = MessageView(message, conversation.chat.message(message.parent) if message.parent else None, self._theme)
        view.set_markdown(self._as_markdown)
        buttons = view.buttons
        buttons.version_requested.connect(conversation.show)
        buttons.retry_requested.connect(lambda: conversation.retry(id))
        buttons.continue_requested.connect(lambda: conversation.continue_reply(id))
        buttons.rated.connect(lambda is_good: conversation.rate(id, is_good))
        buttons.keep_requested.connect(lambda others: conversation.keep_preference(id, others))
        buttons.format_requested.connect(self._on_format)
        buttons.drawn_requested.connect(lambda: self.show_drawn(id))
        buttons.drafted_requested.connect(lambda: self.drafted_requested.emit(id))
        view.edited.connect(lambda text: conversation.edit(id, text))
        view.pressed.connect(lambda: self.message_pressed.emit(id))
        return view

    def show_drawn(self, message_id: str) -> None:
        """Open the window with all candidate replies of a message."""
        if self.drawn_window is None:
            self.drawn_window = DrawnWindow(self._conversation, self._theme, self)
        self.drawn_window.show_message(message_id)

    @Slot()
    def _on_format(self) -> None:
        self.set_markdown(not self._as_markdown)
        self.markdown_changed.emit(self._as_markdown)

    @Slot()
    def _enable(self) -> None:
        can_change = not self._conversation.writing
        can_reply = self._can_reply and can_change
        for view in self.messages:
            why_not = self._conversation.why_not_continue(view.message)
            view.set_enabled(can_change=can_change, can_reply=can_reply, why_not_continue=why_not)

    # -- The reply that is being generated -----------------------------------------------------------------------------

    @Slot(object)
    def _on_reply_started(self, reply: Message) -> None:
        self._follow = True
        self._show()
        self.messages[-1].begin()

    @Slot(str)
    def _on_reply_appended(self, text: str) -> None:
        self.messages[-1].append(text)
        self.messages[-1].set_note(describe_progress(*self._conversation.progress))

    # -- Scrolling -----------------------------------------------------------------------------------------------------

    @Slot(int, int)
    def _on_range_changed(self, low: int, high: int) -> None:
        self._reserve_scroll_bar(high > low)
        if self._follow:
            self.verticalScrollBar().setValue(high)
        elif self._to_end is not None:
            self.verticalScrollBar().setValue(high - self._to_end)
            self._to_end = None

    def _reserve_scroll_bar(self, has_bar: bool) -> None:
        # Reserve the space of a hidden scroll bar, so that nothing moves when it appears.
        self._outer.setContentsMargins(SPACE, SPACE, SPACE + (0 if has_bar else SCROLL_BAR), 0)

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - _NEAR


def in_chat_column(*widgets: QWidget) -> QWidget:
    """Stack widgets in a centred column as wide as a conversation."""
    middle = group(*widgets)
    middle.setMaximumWidth(COLUMN_WIDTH)
    sides = _centred(middle)
    sides.setContentsMargins(SPACE, 0, SPACE + SCROLL_BAR, 0)
    return group(sides)


def _centred(middle: QWidget) -> QHBoxLayout:
    """Lay a widget out in the middle; it takes the spare space up to its maximum width."""
    line = row(spacing=0)
    line.addStretch(1)
    line.addWidget(middle, 100)
    line.addStretch(1)
    return line
