"""The editable sentences of a minimal pair, with other pairs to try."""

from __future__ import annotations

import random

from PySide6.QtCore import QSignalBlocker, QTimer, Signal, Slot
from PySide6.QtWidgets import QGridLayout, QLineEdit, QWidget

from terrarium.app.kit.basics import button, label
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
        self.lines = (QLineEdit(FIRST_PAIR[0]), QLineEdit(FIRST_PAIR[1]))
        self.setFocusProxy(self.lines[0])
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(SPACE)
        grid.setVerticalSpacing(SPACE // 2)
        self._wait = QTimer(self, singleShot=True, interval=_WAIT_MS)
        self._wait.timeout.connect(self.changed)
        for i, (line, name) in enumerate(zip(self.lines, "AB", strict=True)):
            caption = label(name, "mono")
            caption.setBuddy(line)
            line.setMaxLength(_MAX_CHARACTERS)
            line.setAccessibleName(f"Sentence {name}")
            line.setToolTip("Edit it: both sentences are read again as you type")
            line.textChanged.connect(lambda text: self._wait.start())
            grid.addWidget(caption, i, 0)
            grid.addWidget(line, i, 1)
        self.another = button(
            "Another pair",
            theme,
            self.draw,
            icon="shuffle",
            tip="Draw a held-out pair: no training sentence combines its nouns and adjectives",
        )
        self.first = button("First pair", theme, lambda: self.set_texts(*FIRST_PAIR), role="quiet")
        self.first.setToolTip("Back to “The animal didn't cross the street…”")
        grid.addWidget(self.another, 0, 2)
        grid.addWidget(self.first, 1, 2)

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
