"""An editor for a short conversation: role and text, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from terrarium.app.kit.basics import button, column, group, label, row, scrolling
from terrarium.app.kit.inputs import choice, fill_choice
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.kit.tokens.conversation_tokens import ROLE_COLOURS, ROLE_WORDS
from terrarium.models.chat.own_template import Message
from terrarium.models.number_words import format_count
from terrarium.models.tokenizers.codec import replace_surrogates

_MIN_LINES, _MAX_LINES = 1, 6


class ConversationEditor(QWidget):
    """The turns in a scrollable column, with a button to add one.

    Signals:
        changed(): `messages` has changed.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, messages: Sequence[Message], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.turns: list[_Turn] = []
        self._turns = column()
        add = button("Add a turn", theme, self.add_turn, icon="plus", role="quiet", tip="Add the next turn")
        self._area = scrolling(group(self._turns, row(add, None), None))
        self.setLayout(column(self._area))
        for message in messages:
            self._append(message["role"], message["content"])

    @property
    def messages(self) -> list[Message]:
        """The messages in order."""
        return [{"role": turn.role, "content": replace_surrogates(turn.editor.toPlainText())} for turn in self.turns]

    def add_turn(self) -> None:
        """Add the next turn: an assistant turn after a user turn, otherwise a user turn."""
        last = self.turns[-1].role if self.turns else ""
        self._append("assistant" if last == "user" else "user", "")
        self.turns[-1].editor.setFocus()
        self.changed.emit()

    def remove_turn(self, number: int) -> None:
        """Remove a turn."""
        turn = self.turns.pop(number)
        self._turns.removeWidget(turn)
        turn.hide()
        turn.deleteLater()
        self.changed.emit()

    def set_counts(self, counts: Sequence[int] | None) -> None:
        """Show the number of tokens of each turn; None if unknown."""
        for i, turn in enumerate(self.turns):
            n = -1 if counts is None else counts[i]
            turn.count.setText("" if n < 0 else format_count(n, "token"))

    def _append(self, role: str, text: str) -> None:
        turn = _Turn(self._theme, role, text)
        turn.changed.connect(self.changed)
        turn.removed.connect(lambda: self.remove_turn(self.turns.index(turn)))
        self.turns.append(turn)
        self._turns.addWidget(turn)
        put_after(self.turns[-2].editor if len(self.turns) > 1 else self._area, *turn.stops)


class _Turn(QFrame):
    """One turn: its role, text and number of tokens, and a button to remove it.

    Signals:
        changed(): the role or the text has changed.
        removed(): the user wants to remove it.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, theme: ThemeProvider, role: str, text: str) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "card")
        self.roles = choice("Role", "Who says this turn")
        fill_choice(self.roles, ROLE_WORDS, role)
        self.count = label("", "caption")
        self.editor = _TurnEditor(text)
        remove = button("", theme, self.removed.emit, icon="x", role="quiet-icon", tip="Remove this turn")
        self.stops = (self.roles, remove, self.editor)
        """Its tab stops, in order."""
        head = row(self.roles, self.count, None, remove)
        self.setLayout(column(head, self.editor, spacing=SPACE // 2, margin=(2 * SPACE, SPACE, SPACE, SPACE)))
        self.roles.currentIndexChanged.connect(self._on_role)
        self.editor.textChanged.connect(self.changed)
        theme.theme_changed.connect(self.update)
        self._tell()

    @property
    def role(self) -> str:
        """The role of the turn."""
        return str(self.roles.currentData())

    @Slot()
    def _on_role(self) -> None:
        self._tell()
        self.update()
        self.changed.emit()

    def _tell(self) -> None:
        self.setAccessibleName(f"Turn of role {self.roles.currentText()}")

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(6, 12, 3, self.height() - 24, QColor(self._theme.theme.color(ROLE_COLOURS[self.role])))
        painter.end()


class _TurnEditor(QPlainTextEdit):
    """An editor as high as its text, within limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setAccessibleName("Message")
        self.setPlaceholderText("Message")
        self.setTabChangesFocus(True)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        n = min(max(int(self.document().size().height()), _MIN_LINES), _MAX_LINES)
        height = n * self.fontMetrics().lineSpacing() + 2 * SPACE + 8
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()  # a new width changes the line breaks

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())
