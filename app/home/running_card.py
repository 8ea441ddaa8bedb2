"""The current training, its progress, and the number of queued runs."""

from __future__ import annotations

from functools import partial

from PySide6.QtCore import Qt, Slot
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QFrame, QWidget

from terrarium.app.kit.basics import button, column, label, row
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.routes import ShowRunning
from terrarium.app.session.session import Session
from terrarium.app.session.status import describe_status
from terrarium.models.number_words import format_count, format_duration


class RunningCard(QFrame):
    """Follows the training, to which a press leads; hidden while nothing is running or queued."""

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
