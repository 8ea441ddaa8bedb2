"""A long measurement as many short questions, with a start button, a stop button and a progress bar."""

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
        found(answer): an answer, a sequence of measured items.
        changed(): `busy` or `n_done` may have changed.
        failed(failure): a question raised an error; the measurement has ended.
    """

    found = Signal(object)
    changed = Signal()
    failed = Signal(object)

    def __init__(
        self, session: Session, theme: ThemeProvider, words: str, start: Callable[[], object], *trailing: QWidget
    ) -> None:
        """Create the widget. words, start: text and callback of the start button. trailing: widgets at the right."""
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
        """Whether all items have been measured."""
        return self.n_done >= self._total

    def expect(self, total: int) -> None:
        """Cancel the measurement, reset `n_done`, and set the number of items to measure."""
        self._examiner.forget()
        self._question, self._total, self.n_done = None, total, 0
        self._show()

    def start(self, question: Question) -> None:
        """Ask `question` repeatedly until all items have been measured or an answer is empty."""
        self._question, self.n_done = question, 0
        self._examiner.ask(question)
        self._show()

    @Slot()
    def cancel(self) -> None:
        """Stop measuring; keep the results so far."""
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
