"""The conversation: a column of turns that follows the reply while one stays at its end."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from app.chat_store import Chat, Turn
from app.theme import SPACE, ThemeProvider
from app.widgets.basics import column, row
from app.widgets.turn_view import TurnView

COLUMN_WIDTH = 760
"""Pixels: longer lines are hard to read."""
SCROLL_BAR = 10
"""Pixels that the style sheet gives to a scroll bar."""


class ChatView(QScrollArea):
    """Shows one `Chat`.

    Signals:
        retry_asked(): another reply to the last turn.
        version_asked(turn, version): show another of a turn's replies.
    """

    retry_asked = Signal()
    version_asked = Signal(int, int)

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.turns: list[TurnView] = []
        self._follow, self._can_retry = True, False
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setAccessibleName("Conversation")
        page = QWidget()
        page.setProperty("role", "scrolled")
        outer = self._outer = QHBoxLayout(page)
        middle = QWidget()
        middle.setMaximumWidth(COLUMN_WIDTH)
        outer.addStretch(1)
        outer.addWidget(middle, 100)
        outer.addStretch(1)
        self._column = QVBoxLayout(middle)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.addStretch(1)
        self.setWidget(page)
        bar = self.verticalScrollBar()
        bar.rangeChanged.connect(self._on_range_changed)
        bar.valueChanged.connect(self._on_scrolled)
        self._keep_room(False)

    def set_chat(self, chat: Chat) -> None:
        """Show another conversation, from its end."""
        for view in self.turns:
            self._column.removeWidget(view)
            view.deleteLater()
        self.turns = []
        for turn in chat.turns:
            self.add_turn(turn)
        self._follow = True

    def add_turn(self, turn: Turn) -> TurnView:
        """A turn more at the end."""
        view, index = TurnView(turn, self._theme, first=not self.turns), len(self.turns)
        view.retry_asked.connect(self.retry_asked)
        view.version_asked.connect(lambda version: self.version_asked.emit(index, version))
        view.set_can_retry(self._can_retry)
        if self.turns:
            self.turns[-1].set_last(False)
        self.turns.append(view)
        self._column.insertWidget(self._column.count() - 1, view)
        self._follow = True
        return view

    def set_can_retry(self, can_retry: bool) -> None:
        """Whether a reply can be asked for now."""
        self._can_retry = can_retry
        for turn in self.turns:
            turn.set_can_retry(can_retry)

    @Slot(int, int)
    def _on_range_changed(self, low: int, high: int) -> None:
        self._keep_room(high > low)
        if self._follow:
            self.verticalScrollBar().setValue(self.verticalScrollBar().maximum())

    def _keep_room(self, has_bar: bool) -> None:
        # The room of a scroll bar that is not there is kept free, so that nothing moves when it comes.
        self._outer.setContentsMargins(SPACE, SPACE, SPACE + (0 if has_bar else SCROLL_BAR), 0)

    @Slot(int)
    def _on_scrolled(self, value: int) -> None:
        self._follow = value >= self.verticalScrollBar().maximum() - 24


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
