"""The editable sentences of a minimal pair, with other pairs to try."""

from __future__ import annotations

import random

from PySide6.QtCore import QSignalBlocker, QTimer, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button
from terrarium.app.kit.inputs import caption, grid, line_edit
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.models.tiny_world.pronouns import draw_pair

FIRST_PAIR = tuple(f"The animal didn't cross the street because it was too {word}." for word in ("tired", "wide"))
_WAIT_MS = 250
_MAX_CHARACTERS = 2_000
"""The maximum length of a sentence, far more than fits the line."""


class Sentences(QWidget):
    """Two lines of text.

    Signals:
        changed(): `texts` has changed, debounced while typing.
    """

    changed = Signal()

    def __init__(self, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._random = random.Random()
        tip = "Edit it: both sentences are read again as you type"
        self.lines = tuple(line_edit(f"Sentence {name}", tip, max_length=_MAX_CHARACTERS) for name in "AB")
        self.setFocusProxy(self.lines[0])
        self._wait = QTimer(self, singleShot=True, interval=_WAIT_MS)
        self._wait.timeout.connect(self.changed)
        for line, text in zip(self.lines, FIRST_PAIR, strict=True):
            line.setText(text)
            line.textChanged.connect(lambda text: self._wait.start())
        self.another = button(
            "Another pair",
            theme,
            self.draw,
            icon="shuffle",
            tip="Draw a held-out pair: no training sentence combines its nouns and adjectives",
        )
        self.first = button("First pair", theme, lambda: self.set_texts(*FIRST_PAIR), role="quiet")
        self.first.setToolTip("Back to “The animal didn't cross the street…”")
        (a, b), buttons = self.lines, (self.another, self.first)
        rows = [caption("A", a, "mono"), a, buttons[0]], [caption("B", b, "mono"), b, buttons[1]]
        self.setLayout(grid(*rows, spacing=(SPACE, SPACE // 2)))

    @property
    def texts(self) -> tuple[str, str]:
        """The two sentences."""
        return self.lines[0].text(), self.lines[1].text()

    def set_texts(self, first: str, second: str) -> None:
        """Show another pair, and emit `changed` immediately."""
        for line, text in zip(self.lines, (first, second), strict=True):
            with QSignalBlocker(line):
                line.setText(text)
            line.setCursorPosition(0)
        self._wait.stop()
        self.changed.emit()

    @Slot()
    def draw(self) -> None:
        """Show a held-out pair."""
        pair = draw_pair(self._random)
        self.set_texts(pair.of_being.text, pair.of_thing.text)
