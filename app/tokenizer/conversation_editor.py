"""A small conversation to edit: who speaks and what is said, turn by turn."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Signal, Slot
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QComboBox, QFrame, QPlainTextEdit, QVBoxLayout, QWidget

from app.kit.basics import button, column, label, row, scrolling
from app.kit.forms.editors import keep_wheel_for_scrolling
from app.kit.theme import SPACE, ThemeProvider
from app.kit.tokens.conversation_tokens import ROLE_COLOURS, ROLE_WORDS
from models.chat.own_template import Message
from models.number_words import counted
from models.tokenizers.codec import whole_characters

_FEWEST_LINES, _MOST_LINES = 1, 6


class ChatTurns(QWidget):
    """The turns in a scrolled column, with a button that adds one.

    Signals:
        changed(): `messages` are new.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, messages: Sequence[Message], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.turns: list[_Turn] = []
        self._turns = QVBoxLayout()
        self._turns.setSpacing(SPACE)
        inside = QWidget()
        lines = column()
        lines.addLayout(self._turns)
        add = button("Add a turn", theme, self.add_turn, icon="plus", role="quiet", tip="Let the next one speak")
        lines.addLayout(row(add, None))
        lines.addStretch(1)
        inside.setLayout(lines)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scrolling(inside))
        for message in messages:
            self._append(message["role"], message["content"])

    @property
    def messages(self) -> list[Message]:
        """Who says what, in order."""
        return [{"role": turn.role, "content": whole_characters(turn.editor.toPlainText())} for turn in self.turns]

    def add_turn(self) -> None:
        """Let the next one speak: the user, or the assistant after the user."""
        last = self.turns[-1].role if self.turns else ""
        self._append("assistant" if last == "user" else "user", "")
        self.turns[-1].editor.setFocus()
        self.changed.emit()

    def remove_turn(self, number: int) -> None:
        """Take a turn out."""
        turn = self.turns.pop(number)
        self._turns.removeWidget(turn)
        turn.hide()
        turn.deleteLater()
        self.changed.emit()

    def set_counts(self, counts: Sequence[int] | None) -> None:
        """Say how many tokens each turn has; None where that is not known."""
        for i, turn in enumerate(self.turns):
            n = -1 if counts is None else counts[i]
            turn.count.setText("" if n < 0 else counted(n, "token"))

    def _append(self, role: str, text: str) -> None:
        turn = _Turn(self._theme, role, text)
        turn.changed.connect(self.changed)
        turn.removed.connect(lambda: self.remove_turn(self.turns.index(turn)))
        self.turns.append(turn)
        self._turns.addWidget(turn)


class _Turn(QFrame):
    """One turn: its role, its text, how many tokens it has, and a button that takes it out.

    Signals:
        changed(): the role or the text is new.
        removed(): it is to go.
    """

    changed = Signal()
    removed = Signal()

    def __init__(self, theme: ThemeProvider, role: str, text: str) -> None:
        super().__init__()
        self._theme = theme
        self.setProperty("role", "card")
        self.roles = QComboBox()
        self.roles.setAccessibleName("Who speaks")
        for name, words in ROLE_WORDS.items():
            self.roles.addItem(words, name)
        keep_wheel_for_scrolling(self.roles)
        self.roles.setCurrentIndex(tuple(ROLE_WORDS).index(role))
        self.count = label("", "caption")
        self.editor = _TurnEditor(text)
        remove = button("", theme, self.removed.emit, icon="x", role="quiet", tip="Remove this turn")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2 * SPACE, SPACE, SPACE, SPACE)
        layout.setSpacing(SPACE // 2)
        layout.addLayout(row(self.roles, self.count, None, remove))
        layout.addWidget(self.editor)
        self.roles.currentIndexChanged.connect(self._on_role)
        self.editor.textChanged.connect(self.changed)
        theme.theme_changed.connect(self.update)

    @property
    def role(self) -> str:
        """Who speaks."""
        return str(self.roles.currentData())

    @Slot()
    def _on_role(self) -> None:
        self.update()
        self.changed.emit()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        painter = QPainter(self)
        painter.fillRect(6, 12, 3, self.height() - 24, QColor(self._theme.theme.color(ROLE_COLOURS[self.role])))
        painter.end()


class _TurnEditor(QPlainTextEdit):
    """As high as its text, within limits."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.setAccessibleName("What is said")
        self.setPlaceholderText("What is said")
        self.setTabChangesFocus(True)
        self.document().documentLayout().documentSizeChanged.connect(self._fit)
        self._fit()

    @Slot()
    def _fit(self) -> None:
        n = min(max(int(self.document().size().height()), _FEWEST_LINES), _MOST_LINES)
        height = n * self.fontMetrics().lineSpacing() + 2 * SPACE + 8
        if height != self.height():
            self.setFixedHeight(height)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()  # another width breaks other lines

    def sizeHint(self) -> QSize:
        return QSize(200, self.height())
