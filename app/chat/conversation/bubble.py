"""A message bubble sized to its text, which grows while the text streams in."""

from __future__ import annotations

import re

from PySide6.QtCore import QEvent, QRectF, Slot
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import column
from terrarium.app.kit.layout.tab_order import put_after
from terrarium.app.kit.text.markdown import parse
from terrarium.app.kit.text.rich_text import RichText
from terrarium.app.kit.theme import ThemeProvider

_PAD_X, _PAD_Y = 14, 9
_MAX_SHOWN_CHARACTERS = 100_000
"""The maximum number of characters of a message on screen: Qt needs seconds to lay out more."""
_JUDGED = 2000
"""The number of characters examined to decide whether a text is code."""
_BEGINS_CODE = re.compile(
    r"\s*((async )?def \w+ *\(|class \w+ *[:(]|import [\w.]+( as \w+)?$|from [\w.]+ import |@[\w.]+(\(.*\))?$|#include)"
)
_CODE_LINE = re.compile(
    r"\s*((if|elif|for|while|with|except)\b.*:$|(else|try|finally):$|return\b|raise \w+|[\w.\[\]]+ [-+*/]?= \S"
    r"|[\w.]+\(.*\)$|.*[{};]$)"
)


def looks_like_code(text: str) -> bool:
    """Return whether a text is probably code: it begins like code, or is indented and a third of its lines look like
    it.

    The first line decides for a function, because most of it may be a docstring.
    """
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if not lines or _BEGINS_CODE.match(lines[0]):
        return bool(lines)
    n_code = sum(bool(_BEGINS_CODE.match(line) or _CODE_LINE.match(line)) for line in lines)
    return 3 * n_code >= len(lines) and any(line.startswith(("  ", "\t")) for line in lines[1:])


class Bubble(QWidget):
    """A message bubble. `mine`: a user message, in a soft colour. `lead`: text before it, in the accent colour."""

    def __init__(
        self, theme: ThemeProvider, *, mine: bool, text: str = "", lead: str = "", parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme, self._mine, self._lead = theme, mine, lead
        self._max_width = 400
        self._parts: list[str] = []
        self._as_markdown = False
        self.is_code = False
        """Whether a continued text looks like code and is shown in the fixed-width font."""
        self._is_formatted: bool | None = None
        self._other: QWidget | None = None
        self.words = RichText(theme)
        """The widget that shows the text."""
        self.words.setAccessibleName("Your message" if mine else "The model's reply")
        self.words.fitted.connect(self._take_size)
        self._layout = column(self.words, spacing=0, margin=(_PAD_X, _PAD_Y, _PAD_X, _PAD_Y))
        self.setLayout(self._layout)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        theme.theme_changed.connect(self._on_theme_changed)
        self.set_text(text)

    @property
    def text(self) -> str:
        """The message, without its lead."""
        return "".join(self._parts)

    @property
    def is_formatted(self) -> bool:
        """Whether the text looks different as Markdown than as plain text."""
        if self._as_markdown:
            return not self.words.is_plain
        if self._is_formatted is None:
            text = self.text
            self._is_formatted = len(text) <= _MAX_SHOWN_CHARACTERS and any(not block.is_plain for block in parse(text))
        return self._is_formatted

    @property
    def stops(self) -> tuple[QWidget, ...]:
        """The bubble's tab stops, from top to bottom."""
        return (self.words, *self.words.copy_buttons)

    def set_markdown(self, on: bool) -> None:
        """Show the text as Markdown or as plain text."""
        if on != self._as_markdown:
            self._as_markdown = on
            self.set_text(self.text)

    def set_text(self, text: str) -> None:
        """Replace the text after the lead."""
        self._parts, self._is_formatted = [text], None
        if self._as_markdown and not self._lead and len(text) <= _MAX_SHOWN_CHARACTERS:
            self.words.set_markdown(text)
        else:
            shown = text[:_MAX_SHOWN_CHARACTERS]
            more = f"\n… and {len(text) - len(shown):,} more characters: copy the message to read them."
            rest = [(more, "muted")] if len(shown) < len(text) else []
            self.is_code = bool(self._lead) and looks_like_code(self._lead + shown[:_JUDGED])
            self.words.set_plain((self._lead, "accent"), (shown, ""), *rest, is_code=self.is_code)

    def append(self, text: str) -> None:
        """Append text, in time independent of the message's length."""
        self._parts.append(text)
        self.words.append(text)

    def finish(self) -> None:
        """Mark the message as complete, and format it if necessary."""
        self._is_formatted = None
        if self._lead and self.is_code != looks_like_code(self._lead + self.text[:_JUDGED]):
            self.set_text(self.text)
        if self.words.grows and self._as_markdown and not self.words.is_markdown:
            self.set_text(self.text)  # shown as plain text so far, and may contain Markdown by now
        self.words.finish()

    def show_instead(self, widget: QWidget | None) -> None:
        """Show another widget instead of the text; None restores the text."""
        if self._other is not None and self._other is not widget:
            self._layout.removeWidget(self._other)
            self._other.hide()
            self._other.deleteLater()
        self._other = widget
        self.words.setVisible(widget is None)
        if widget is not None:
            self._layout.addWidget(widget)
            put_after(self.words, widget)
            widget.show()
        self._take_size()

    def set_max_width(self, pixels: int) -> None:
        """Set the maximum width in pixels."""
        self._max_width = pixels
        self.words.set_max_width(pixels - 2 * _PAD_X)
        self._take_size()

    @Slot()
    def _take_size(self) -> None:
        size = self.words.sizeHint()
        width, height = size.width(), size.height()
        if self._other is not None:
            width, narrow = self._max_width - 2 * _PAD_X, self._other.sizeHint().width()
            height = self._other.heightForWidth(width)
            if narrow < width and self._other.heightForWidth(narrow) == height:
                width = narrow
        self.setFixedSize(width + 2 * _PAD_X, height + 2 * _PAD_Y)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.LayoutRequest and self._other is not None:
            self._take_size()  # its height may have changed, for instance with the text size
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        colors = self._theme.theme
        painter.setPen(QPen(colors.color("accent_line" if self._mine else "border"), 1))
        painter.setBrush(colors.color("accent_soft" if self._mine else "surface"))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 12, 12)
        painter.end()

    @Slot()
    def _on_theme_changed(self) -> None:
        self.set_text(self.text)
        self.update()
