"""A bar of the used part of the context window, by source, and what happens when it is full."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QEvent, QRectF, QSize, Slot
from PySide6.QtGui import QHelpEvent, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from terrarium.app.chat.conversation.next_prompt import NextPrompt, PromptPreview
from terrarium.app.kit.basics import column, set_role
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.number_words import format_count

_BAR = 8


class ContextSegment(NamedTuple):
    """A segment of the context: its name, its colour role in the theme, and its number of tokens."""

    name: str
    role: str
    n_tokens: int


class ContextBar(QWidget):
    """A segmented bar of the context, with a sentence below it."""

    def __init__(self, theme: ThemeProvider, next_prompt: NextPrompt, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme, self._next, self._n_reply = theme, next_prompt, 0
        self.bar = _Bar(theme)
        self.words = ElidedLabel()
        self.words.setProperty("role", "caption")
        self.setLayout(column(self.bar, self.words, spacing=2))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        next_prompt.changed.connect(self._follow)
        self._follow()

    @property
    def segments(self) -> tuple[ContextSegment, ...]:
        """The segments that the bar shows."""
        return self.bar.segments

    def show_reply(self, n_tokens: int) -> None:
        """Set the number of tokens of the reply being generated; 0 if there is none."""
        if n_tokens != self._n_reply:
            self._n_reply = n_tokens
            self._follow()

    @Slot()
    def _follow(self) -> None:
        preview, failure = self._next.preview, self._next.failure
        if preview is not None:
            self.bar.show_segments(_segments(preview, self._n_reply), preview.fitted.context_length)
            text, warns = _describe(preview, self._n_reply, self._next.prompting)
        else:
            self.bar.show_segments((), 1)
            text, warns = (failure.sentence if failure is not None else "No model is open"), failure is not None
        self.words.setText(text)
        tone = "warning" if warns else ""
        if self.words.property("tone") != tone:
            set_role(self.words, "caption", tone=tone)
        self.setAccessibleDescription(text)


def _segments(preview: PromptPreview, n_reply: int) -> tuple[ContextSegment, ...]:
    fitted = preview.fitted
    between = len(fitted.ids) - preview.n_system - preview.n_draft
    return (
        ContextSegment("System prompt", "key", preview.n_system),
        ContextSegment("Conversation", "value", between),
        ContextSegment("Your draft", "query", preview.n_draft),
        ContextSegment("Reply so far", "value", n_reply),
        ContextSegment("Free for the reply", "sunken", max(fitted.context_length - len(fitted.ids) - n_reply, 0)),
    )


def _describe(preview: PromptPreview, n_reply: int, prompting: PromptSettings) -> tuple[str, bool]:
    """Return the sentence below the bar, and whether it is a warning."""
    fitted, when_full = preview.fitted, prompting.when_full
    n, length, n_left = len(fitted.ids), fitted.context_length, fitted.n_left_out
    used = f"{n:,} of {length:,} tokens"
    if preview.too_long:
        too_long = "the system prompt" if preview.n_system >= length else "the newest message"
        return f"{used}: {too_long} is longer than the context. Shorten it.", True
    if n_left:
        oldest = "the oldest message" if n_left == 1 else f"the oldest {n_left} messages"
        if when_full == "stop":
            return f"The context is full ({len(preview.full.ids):,} of {length:,} tokens): nothing can be sent.", True
        if when_full == "summarise":
            return f"{used}. The context is full: the model first summarises {oldest}.", True
        return f"{used}. The context is full: {oldest} {'is' if n_left == 1 else 'are'} left out.", True
    system = f" ({preview.n_system:,} by the system prompt)" if prompting.system.strip() else ""
    if n_reply:
        return f"{n + n_reply:,} of {length:,} tokens used{system}, {max(length - n - n_reply, 0):,} free", False
    return f"{used} used{system}, {length - n:,} free for the reply", False


class _Bar(QWidget):
    """The segments side by side; a line marks the quarter that is reserved for the reply."""

    def __init__(self, theme: ThemeProvider) -> None:
        super().__init__()
        self._theme = theme
        self.segments: tuple[ContextSegment, ...] = ()
        self._context_length = 1
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Context used")
        theme.theme_changed.connect(self.update)

    def show_segments(self, segments: tuple[ContextSegment, ...], context_length: int) -> None:
        """Show the segments of a context, which are longer than it if the prompt is too long."""
        self.segments, self._context_length = segments, context_length
        self.setAccessibleDescription(", ".join(f"{segment.name} {segment.n_tokens:,}" for segment in segments))
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
        x, length = 0.0, max(self._context_length, sum(segment.n_tokens for segment in self.segments))
        for segment in self.segments:
            width = self.width() * segment.n_tokens / length
            if segment.n_tokens and segment.role != "sunken":
                painter.fillRect(QRectF(x, 0, max(width, 1.0), _BAR), colors.color(segment.role, 0.85))
            x += width
        quarter = self.width() * 0.75 * self._context_length / length
        painter.fillRect(QRectF(quarter, 0, 1, _BAR), colors.color("border_strong"))
        painter.end()

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            lines = [f"{segment.name}: {format_count(segment.n_tokens, 'token')}" for segment in self.segments]
            lines.append("A quarter of the context, right of the line, is kept free for the reply.")
            QToolTip.showText(event.globalPos(), "\n".join(lines), self)
            return True
        return super().event(event)
