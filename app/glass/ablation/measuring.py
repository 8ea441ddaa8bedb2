"""A long measurement in many short questions, with a button that starts it, one that stops it, and its progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QProgressBar, QWidget

from terrarium.app.glass.examiner import Examiner, Question
from terrarium.app.kit.basics import button, row
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.worker.failures import Failure


class Measuring(QWidget):
    """Asks one short question after another, so that replies and training can run in between.

    Signals:
        found(answer): an answer; it counts as many as it holds.
        changed(): `busy` or `n_done` has changed.
        failed(failure): a question raised an error; the measurement has ended.
    """

    found = Signal(object)
    changed = Signal()
    failed = Signal(object)

    def __init__(
        self, session: Session, theme: ThemeProvider, words: str, start: Callable[[], object], *trailing: QWidget
    ) -> None:
        """`words` and `start`: what the button says and does. trailing: what stands at the right."""
        super().__init__()
        self._examiner = Examiner(session.worker, session.chat, self)
        self._question: Question | None = None
        """The repeated question while measuring; None otherwise."""
        self._total = self.n_done = 0
        self.button = button(words, theme, start, icon="chart-bar")
        self.stop = button("Stop", theme, self.cancel, icon="stop")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.progress.setMinimumWidth(24)
        for widget in (self.button, self.stop, self.progress):
            widget.hide()  # until there is something to measure
        self.setLayout(row(self.button, self.stop, self.progress, None, *trailing))
        self._examiner.done.connect(self._on_found)
        self._examiner.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a measurement is running."""
        return self._question is not None

    @property
    def is_complete(self) -> bool:
        """Whether all has been measured."""
        return self.n_done >= self._total

    def expect(self, total: int) -> None:
        """Discard the results and set the number of things to measure."""
        self._examiner.forget()
        self._question, self._total, self.n_done = None, total, 0
        self._show()

    def start(self, question: Question) -> None:
        """Ask `question` repeatedly until everything has been measured or an answer is empty."""
        self._question, self.n_done = question, 0
        self._examiner.ask(question)
        self._show()

    @Slot()
    def cancel(self) -> None:
        """Stop measuring; keep what has been measured."""
        self._examiner.forget()
        self._question = None
        self._show()

    @Slot(object)
    def _on_found(self, answer: Sequence[object]) -> None:
        self.n_done += len(answer)
        if answer and not self.is_complete and self._question is not None:
            self._examiner.ask(self._question)
        else:
            self._question = None
        self.found.emit(answer)
        self._show()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._question = None
        self._show()
        self.failed.emit(failure)

    def _show(self) -> None:
        self.button.setVisible(not self.busy and not self.is_complete)
        self.stop.setVisible(self.busy)
        self.progress.setVisible(self.busy)
        self.progress.setRange(0, max(self._total, 1))
        self.progress.setValue(self.n_done)
        self.changed.emit()
