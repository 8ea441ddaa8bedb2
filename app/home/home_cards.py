"""The cards of Home: the newest models, the current training, and ways to start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from terrarium.app.home.library_overview import MAX_SHOWN, ModelSummary
from terrarium.app.kit.basics import (
    button,
    column,
    frame,
    headed,
    label,
    row,
    separator,
    set_enabled,
    set_role,
    show_if,
)
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import (
    ChooseTexts,
    DoToRun,
    Go,
    NewRun,
    OpenModel,
    Route,
    ShowPlace,
    ShowRun,
    ShowRunning,
    StartQuickStart,
)
from terrarium.app.session.session import Session
from terrarium.app.session.status import describe_status
from terrarium.models.number_words import format_count, format_duration

_TIP_OF_LONGER = "Continue from where its training ended, with the same data"
_TIP_OF_TUNE = "A new run that starts from its weights and learns other data"
_FILE_CARD = ("Open a text file", "Train on your own words: a book, notes, code.")
"""The button and the caption of the card for text files, before a file is opened."""


class ModelRows(QFrame):
    """A card with a row for each model, whose buttons `go` to it."""

    def __init__(self, go: Go, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setProperty("role", "card")
        self.rows = [ModelRow(go, theme) for _ in range(MAX_SHOWN)]
        self.all = button("", theme, partial(go, ShowPlace("training")), icon="chart-line", role="link")
        self._empty = label("Reading your library…", "muted")
        head = headed("What you have grown", self.all, explained=self)
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        self.setLayout(column(head, self._empty, *self.rows, margin=margin))
        self.show_models((), 0)

    def show_models(self, models: Sequence[ModelSummary], n_models: int) -> None:
        """Show the newest of `n_models` models."""
        self._empty.setVisible(not models)
        for i, each in enumerate(self.rows):
            each.setVisible(i < len(models))
            if i < len(models):
                each.show_model(models[i])
        self.all.setText("Open all runs" if n_models <= len(models) else f"All {format_count(n_models, 'model')}")
        self.all.setAccessibleName(self.all.text())


class ModelRow(QWidget):
    """A model: its name, a description of its quality and age, and buttons."""

    def __init__(self, go: Go, theme: ThemeProvider) -> None:
        super().__init__()
        self._go = go
        self._model: ModelSummary | None = None
        self.name, self.facts = ElidedLabel(), ElidedLabel()
        set_role(self.name, "subheading")
        set_role(self.facts, "caption")
        self.chat = button("Chat", theme, lambda: self._go_to(OpenModel), icon="chat-circle")
        self.machine = button(
            "Time machine",
            theme,
            lambda: self._go_to(lambda run_id: ShowRun(run_id, "machine")),
            icon="clock-counter-clockwise",
            role="quiet",
            tip="Watch it learn again: what it wrote at every step",
        )
        self.run = button(
            "Open run", theme, lambda: self._go_to(ShowRun), icon="chart-line", role="quiet", tip="Its curves"
        )
        self.longer = button(
            "Train longer…",
            theme,
            lambda: self._go_to(lambda run_id: DoToRun(run_id, "longer")),
            icon="fast-forward",
            role="quiet",
            tip=_TIP_OF_LONGER,
        )
        self.tune = button(
            "Fine-tune…",
            theme,
            lambda: self._go_to(lambda run_id: DoToRun(run_id, "tune")),
            icon="graduation-cap",
            role="quiet",
            tip=_TIP_OF_TUNE,
        )
        words = column(self.name, self.facts, spacing=0)
        buttons = self.chat, self.longer, self.tune, self.machine, self.run
        self.setLayout(column(separator(), row(words, *buttons, spacing=SPACE // 2, grows=words)))

    def show_model(self, model: ModelSummary) -> None:
        """Show a model."""
        self._model = model
        self.name.setText(model.name)
        self.facts.setText(f"{model.quality}  ·  {model.when}" if model.when else model.quality)
        words = "Chat" if model.writes else "What is “it”?" if model.is_pronouns else "Try it"
        self.chat.setText(words)
        for each in (self.chat, self.longer, self.tune, self.machine, self.run):
            each.setAccessibleName(f"{each.text()}: {model.name}")
        for each in (self.machine, self.longer):
            each.setVisible(model.has_steps)
        set_enabled(self.longer, model.why_not_longer, _TIP_OF_LONGER)

    def _go_to(self, make: Callable[[str], Route]) -> None:
        if self._model is not None:
            self._go(make(self._model.id))


class RunningCard(QFrame):
    """The current training, to which a press leads, its progress, and the number of queued runs.

    Hidden while nothing is running or queued.
    """

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.setProperty("role", "card")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.words = ElidedLabel()
        self.left, self.waiting = label("", "mono"), label("", "muted")
        self.progress = progress_bar("Progress of the training")
        self.show_button = button("Show", theme, partial(session.go, ShowRunning()), icon="arrow-right")
        head = row(self.words, self.left, self.waiting, self.show_button, spacing=2 * SPACE)
        margin = (2 * SPACE, SPACE + SPACE // 2, 2 * SPACE, SPACE + SPACE // 2)
        self.setLayout(column(head, self.progress, margin=margin))
        session.training.changed.connect(self._follow)
        session.queue.changed.connect(self._follow)
        self.refresh()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh()

    def mousePressEvent(self, event: object) -> None:
        self._session.go(ShowRunning())

    @Slot()
    def _follow(self) -> None:
        if self.isVisible() or self.isHidden():  # skipped while another page is shown: this changes many times a second
            self.refresh()

    def refresh(self) -> None:
        """Show the current state."""
        training, queued = self._session.training, self._session.queue.waiting
        n_stuck = sum(bool(item.problem) for item in queued)
        n_waiting = len(queued) - n_stuck
        self.setVisible(training.active or bool(queued))
        parts = (
            f"{format_count(n_waiting, 'run')} waiting" if n_waiting else "",
            f"{n_stuck:,} could not start" if n_stuck else "",
        )
        self.waiting.setText(" · ".join(filter(None, parts)))
        self.progress.setVisible(training.active)
        if not training.active:
            self.words.setText("Nothing is training")
            self.left.setText("")
            return
        line = describe_status(training.state, "", ready=True)
        self.words.setText(line.words)
        show_progress(self.progress, line.done, line.total or 1)
        self.left.setText("" if line.seconds_left is None else f"{format_duration(line.seconds_left)} left")


class StartCards(QWidget):
    """Cards for a text file, a tokenizer and a design; that for text files offers actions for the opened files.

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
