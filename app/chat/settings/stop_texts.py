"""The texts that end a reply: written one after the other, taken away with a click."""

from __future__ import annotations

import codecs
import re

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from app.glass.tokens.token_chips import Chip, TokenChips
from app.kit.basics import label
from app.kit.theme import SPACE, ThemeProvider
from models.tokenizers.codec import show_bytes

_ESCAPE = re.compile(r"\\[nrt\\]")


class StopTexts(QWidget):
    r"""A line to write in, and what was entered below it. `\n` and `\t` are typed for a line break and a tab.

    Signals:
        changed(): there is one more, or one less.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, title: str, tip: str) -> None:
        super().__init__()
        self._texts: tuple[str, ...] = ()
        name = label(title)
        self.field = QLineEdit()
        self.field.setPlaceholderText(r"A text, then Enter (\n: a new line)")
        self.field.setAccessibleName(title)
        self.field.setAccessibleDescription(tip)
        name.setBuddy(self.field)
        for told in (name, self.field):
            told.setToolTip(tip)
        self.chips = TokenChips(f"{title} that were entered", theme, mono=True)
        self.field.returnPressed.connect(self._on_entered)
        self.chips.removed.connect(self._on_removed)
        lines = QVBoxLayout(self)
        lines.setContentsMargins(0, 0, 0, 0)
        lines.setSpacing(SPACE // 2)
        for widget in (name, self.field, self.chips):
            lines.addWidget(widget)

    @property
    def texts(self) -> tuple[str, ...]:
        """What ends a reply."""
        return self._texts

    def set_texts(self, texts: tuple[str, ...]) -> None:
        """Show others, without a signal."""
        self._texts = texts
        self.chips.show_chips([Chip(show_bytes(text.encode()), "Click to take it away") for text in texts])
        self.chips.setVisible(bool(texts))

    @Slot()
    def _on_entered(self) -> None:
        text = _ESCAPE.sub(lambda found: codecs.decode(found[0], "unicode_escape"), self.field.text())
        self.field.clear()
        if text and text not in self._texts:
            self.set_texts((*self._texts, text))
            self.changed.emit()

    @Slot(int)
    def _on_removed(self, i: int) -> None:
        self.set_texts((*self._texts[:i], *self._texts[i + 1 :]))
        self.changed.emit()
