"""Three cards to start from; the card for text files offers actions for the opened files."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from PySide6.QtCore import Slot
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from terrarium.app.kit.basics import button, frame, label, show_if
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ChooseTexts, Go, NewRun, Route, ShowPlace, StartQuickStart

_FILE_CARD = ("Open a text file", "Train on your own words: a book, notes, code.")
"""The button and the caption of the card for text files, before a file is opened."""


class StartCards(QWidget):
    """Cards for a text file, a tokenizer and a design.

    files: the opened text files, on which a model can be trained right away, or a run be set up.
    """

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.files: tuple[str, ...] = ()
        self.quickstart = button(
            "Quick start with it",
            theme,
            lambda: go(StartQuickStart(self.files)),
            icon="mdi6.sprout",
            role="primary",
            tip="Train a tokenizer and a model on this text",
        )
        self.run = button(
            "Set up a run",
            theme,
            lambda: go(NewRun(files=self.files)),
            icon="sliders",
            tip="Choose the design and training settings yourself",
        )
        cards: tuple[tuple[str, str, str, Route], ...] = (
            (*_FILE_CARD, "file-text", ChooseTexts()),
            (
                "Make a tokenizer",
                "Choose how text is cut into the pieces a model reads.",
                "puzzle-piece",
                ShowPlace("tokenizer"),
            ),
            ("Build a design", "Put together an architecture and see it as a diagram.", "stack", ShowPlace("builder")),
        )
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2 * SPACE)
        self.buttons: list[QPushButton] = []
        self._cards: list[QFrame] = []
        self._captions: list[QLabel] = []
        for i, (words, caption, icon, route) in enumerate(cards):
            text = label(caption, "caption", wrap=True)
            opens = button(words, theme, partial(go, route), icon=icon, tip=caption)
            card = frame("card", text, None, *((self.quickstart, self.run) if i == 0 else ()), opens)
            self._cards.append(card)
            self._captions.append(text)
            self.buttons.append(opens)
            grid.addWidget(card, 0, i)
        theme.theme_changed.connect(self._fit)
        self._fit()
        self._show_files()

    def show_waiting(self, *, is_waiting: bool) -> None:
        """Label the quick start button for queueing while a run is training."""
        words = "Add it to the queue" if is_waiting else "Quick start with it"
        if self.quickstart.text() != words:  # called many times a second
            self.quickstart.setText(words)
            self._fit()

    def offer_files(self, files: tuple[str, ...]) -> None:
        """Offer actions for these text files; () removes them, as when the files were refused."""
        self.files = files
        self._show_files()
        (self.quickstart if files else self.buttons[0]).setFocus()

    def _show_files(self) -> None:
        show_if(self.files, self.quickstart, self.run)
        if self.files:
            more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
            self._captions[0].setText(
                f"Grow a model on “{Path(self.files[0]).name}”{more}: about 3 minutes on a computer that does nothing "
                "else."
            )
        else:
            self._captions[0].setText(_FILE_CARD[1])
        self.buttons[0].setText("Another file…" if self.files else _FILE_CARD[0])

    @Slot()
    def _fit(self) -> None:
        """Give the cards a common width at which no button is cut off, at any text size."""
        buttons = [*self.buttons, self.quickstart, self.run]
        for each in buttons:
            each.ensurePolished()
        widest = max(each.sizeHint().width() for each in buttons)
        for card in self._cards:
            around = card.contentsMargins().left() + 2 * SPACE
            card.setFixedWidth(max(232, widest + 2 * around))
