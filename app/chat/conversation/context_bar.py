"""How much of the context is used, by what, and what happens when it is full."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QEvent, QRectF, QSize, Slot
from PySide6.QtGui import QHelpEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from app.chat.conversation.next_prompt import NextPrompt, Outlook
from app.kit.basics import set_role
from app.kit.labels import ElidedLabel
from app.kit.theme import ThemeProvider
from models.number_words import counted

_BAR = 8


class Part(NamedTuple):
    """A share of the context: what it is, its colour's role in the theme, and its tokens."""

    name: str
    role: str
    n_tokens: int


class ContextBar(QWidget):
    """A bar of the context's parts, and below it the numbers in words."""

    def __init__(self, theme: ThemeProvider, next_prompt: NextPrompt, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._next = theme, next_prompt
        self.bar = _Bar(theme)
        self.words = ElidedLabel()
        self.words.setProperty("role", "caption")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.bar)
        layout.addWidget(self.words)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        next_prompt.changed.connect(self._follow)
        self._follow()

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the bar shows."""
        return self.bar.parts

    @Slot()
    def _follow(self) -> None:
        outlook, failure = self._next.outlook, self._next.failure
        self.bar.show_parts(() if outlook is None else _parts(outlook), _length(outlook))
        if outlook is not None:
            text, warns = _words(outlook, self._next.prompting.when_full)
        else:
            text, warns = (failure.sentence if failure is not None else "No model is open"), failure is not None
        self.words.setText(text)
        tone = "warning" if warns else ""
        if self.words.property("tone") != tone:
            set_role(self.words, "caption", tone=tone)
        self.setAccessibleDescription(text)


def _length(outlook: Outlook | None) -> int:
    return 1 if outlook is None else max(outlook.given.context_length, len(outlook.given.ids))


def _parts(outlook: Outlook) -> tuple[Part, ...]:
    given = outlook.given
    between = len(given.ids) - outlook.n_system - outlook.n_written
    return (
        Part("System prompt", "key", outlook.n_system),
        Part("Conversation", "value", between),
        Part("What you are writing", "query", outlook.n_written),
        Part("Free for the reply", "sunken", max(given.context_length - len(given.ids), 0)),
    )


def _words(outlook: Outlook, when_full: str) -> tuple[str, bool]:
    """What there is to say, and whether it is a warning."""
    given = outlook.given
    n, length, n_left = len(given.ids), given.context_length, given.n_left_out
    used = f"{n:,} of {length:,} tokens"
    if outlook.too_long:
        too_long = "the system prompt" if outlook.n_system >= length else "the newest message"
        return f"{used}: {too_long} is longer than the context. Shorten it.", True
    if n_left:
        oldest = "the oldest message" if n_left == 1 else f"the oldest {n_left} messages"
        if when_full == "stop":
            return f"The context is full ({len(outlook.whole.ids):,} of {length:,} tokens): nothing can be sent.", True
        if when_full == "summarise":
            return f"{used}. The context is full: the model first summarises {oldest}.", True
        return f"{used}. The context is full: {oldest} {'is' if n_left == 1 else 'are'} left out.", True
    return f"{used} used, {length - n:,} free for the reply", False


class _Bar(QWidget):
    """The parts side by side; a line shows where the reply's quarter begins."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self.parts: tuple[Part, ...] = ()
        self._length = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Context used")
        theme.theme_changed.connect(self.update)

    def show_parts(self, parts: tuple[Part, ...], length: int) -> None:
        """Show parts of a context of so many tokens."""
        self.parts, self._length = parts, length
        self.setAccessibleDescription(", ".join(f"{part.name} {part.n_tokens:,}" for part in parts))
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(200, _BAR)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors, track = self._theme.theme, QRectF(0, 0, self.width(), _BAR)
        clip = QPainterPath()
        clip.addRoundedRect(track, _BAR / 2, _BAR / 2)
        painter.setClipPath(clip)
        painter.fillRect(track, colors.color("border"))
        x = 0.0
        for part in self.parts:
            width = self.width() * part.n_tokens / self._length
            if part.n_tokens and part.role != "sunken":
                painter.fillRect(QRectF(x, 0, max(width, 1.0), _BAR), colors.color(part.role, 0.85))
            x += width
        painter.fillRect(QRectF(self.width() * 0.75, 0, 1, _BAR), colors.color("border_strong"))
        painter.end()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            lines = [f"{part.name}: {counted(part.n_tokens, 'token')}" for part in self.parts]
            lines.append("A quarter of the context, right of the line, is kept free for the reply.")
            QToolTip.showText(event.globalPos(), "\n".join(lines), self)
            return True
        return super().event(event)
