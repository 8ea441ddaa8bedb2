"""The home screen: what Terrarium is in one sentence, the quick start, and other ways to start."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt, QTimer, Signal, Slot
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from app.kit.basics import button, frame, label, row
from app.kit.logo import program_mark
from app.kit.theme import SPACE, ThemeProvider
from app.session.session import Session


class Welcome(QWidget):
    """The home screen.

    Signals:
        quickstart_requested(), file_requested(), tokenizer_requested(), design_requested(), recipes_requested(),
        runs_requested()
        file_quickstart_requested(), file_run_requested(): train a model on `files` right away, or set up a run on them.
    """

    quickstart_requested = Signal()
    file_requested = Signal()
    file_quickstart_requested = Signal()
    file_run_requested = Signal()
    tokenizer_requested = Signal()
    design_requested = Signal()
    recipes_requested = Signal()
    runs_requested = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session, self._theme = session, theme
        self.setProperty("role", "page")
        mark = QLabel()
        mark.setPixmap(program_mark(88))
        mark.setAccessibleName("Terrarium's mark: a plant under glass")
        self._sentence = label(
            "Grow a small language model behind glass: make a tokenizer, design the model, watch it learn, and talk "
            "with it, all on this computer.",
            "lead",
            wrap=True,
        )
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self.quickstart = button(
            "Quick start",
            theme,
            self.quickstart_requested.emit,
            icon="mdi6.sprout",
            role="hero",
            tip="Data, tokenizer, training, chat",
        )
        self.hint = label("Grow a small model in a few minutes", "muted")
        grid = QGridLayout()
        grid.setSpacing(2 * SPACE)
        cards = (
            ("Open a text file", "Train on your own words: a book, notes, code.", "file-text", self.file_requested),
            (
                "Make a tokenizer",
                "Choose how text is cut into the pieces a model reads.",
                "puzzle-piece",
                self.tokenizer_requested,
            ),
            ("Build a design", "Put together an architecture and see it as a diagram.", "stack", self.design_requested),
        )
        self.card_buttons: list[QPushButton] = []
        self.files: tuple[str, ...] = ()
        self._cards: list[QFrame] = []
        self._captions: list[QLabel] = []
        self.file_quickstart = button(
            "Quick start with it",
            theme,
            self.file_quickstart_requested.emit,
            icon="mdi6.sprout",
            role="primary",
            tip="Train a tokenizer and a model on this text, in about 3 minutes",
        )
        self.file_run = button(
            "Set up a run",
            theme,
            self.file_run_requested.emit,
            icon="sliders",
            tip="Choose the design and training settings yourself",
        )
        for column, (words, caption, icon, signal) in enumerate(cards):
            card = frame("card")
            lines = card.layout()
            assert isinstance(lines, QVBoxLayout)
            card_button = button(words, theme, signal.emit, icon=icon, tip=caption)
            text = label(caption, "caption", wrap=True)
            lines.addWidget(text)
            lines.addStretch(1)
            if column == 0:
                lines.addWidget(self.file_quickstart)
                lines.addWidget(self.file_run)
            lines.addWidget(card_button)
            self._cards.append(card)
            self._captions.append(text)
            self.card_buttons.append(card_button)
            grid.addWidget(card, 0, column)
        self.learn = button(
            "Learn a task: moods, names, translation, code…",
            theme,
            self.recipes_requested.emit,
            icon="graduation-cap",
            role="link",
            tip="A small model learns it in a few minutes, and is scored beside simple rules",
        )
        self._runs = button("Open earlier runs", theme, self.runs_requested.emit, icon="chart-line", role="link")
        inner = QWidget()
        inner.setProperty("role", "scrolled")
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(3 * SPACE, 3 * SPACE, 3 * SPACE, 3 * SPACE)
        layout.setSpacing(2 * SPACE)
        centre = Qt.AlignmentFlag.AlignHCenter
        layout.addStretch(2)
        layout.addWidget(mark, 0, centre)
        layout.addWidget(label("Terrarium", "title"), 0, centre)
        layout.addLayout(_centred(self._sentence))
        layout.addSpacing(SPACE)
        layout.addWidget(self.quickstart, 0, centre)
        layout.addWidget(self.hint, 0, centre)
        layout.addSpacing(2 * SPACE)
        cards_row = row(None, None)
        cards_row.insertLayout(1, grid)
        layout.addLayout(cards_row)
        layout.addWidget(self.learn, 0, centre)
        layout.addWidget(self._runs, 0, centre)
        layout.addStretch(3)
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setFrameShape(QScrollArea.Shape.NoFrame)
        self._area.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # not by clicks between its widgets
        self._area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._area)
        session.runs.changed.connect(self._show_runs)
        session.training.changed.connect(self._show_training)
        theme.theme_changed.connect(self._fit)
        self._fit()
        self._show_runs()
        self._show_training()
        self._show_files()

    def offer_files(self, files: tuple[str, ...]) -> None:
        """Offer actions for these text files."""
        self.files = files
        self._show_files()
        self.file_quickstart.setFocus()
        QTimer.singleShot(0, self, lambda: self._area.ensureWidgetVisible(self.card_buttons[0]))  # once it is laid out

    def _show_files(self) -> None:
        for each in (self.file_quickstart, self.file_run):
            each.setVisible(bool(self.files))
        if self.files:
            more = f" and {len(self.files) - 1} more" if len(self.files) > 1 else ""
            self._captions[0].setText(f"Grow a model on “{Path(self.files[0]).name}”{more}:")
            self.card_buttons[0].setText("Another file…")

    @Slot()
    def _fit(self) -> None:
        """Fit the cards to one width in which no button is cut off, and the sentence to two lines, at any text size."""
        self._sentence.setMaximumWidth(round(600 * self._theme.text_scale))
        buttons = [*self.card_buttons, self.file_quickstart, self.file_run]
        for each in buttons:
            each.ensurePolished()
        widest = max(each.sizeHint().width() for each in buttons)
        for card in self._cards:
            around = card.contentsMargins().left() + 2 * SPACE
            card.setFixedWidth(max(232, widest + 2 * around))

    @Slot()
    def _show_runs(self) -> None:
        self._runs.setVisible(self._session.runs.has_any)

    @Slot()
    def _show_training(self) -> None:
        busy, state = self._session.training.active, self._session.training.state
        grows = busy and state is not None and state.quickstart
        self.quickstart.setText("Show the quick start" if grows else "Quick start")
        self.quickstart.setEnabled(grows or not busy)
        self.file_quickstart.setEnabled(not busy)
        self.hint.setText(
            "A quick start is running."
            if grows
            else "A run is training. The quick start has to wait until it ends."
            if busy
            else "Grow a small model in a few minutes"
        )


def _centred(widget: QWidget) -> QHBoxLayout:
    """A layout that centres a widget with wrapped text, as wide as possible."""
    line = QHBoxLayout()
    line.addStretch(1)
    line.addWidget(widget, 100)
    line.addStretch(1)
    return line
