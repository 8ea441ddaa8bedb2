"""Chooses the base model of an alignment demonstration among the user's runs, which are listed with their accuracy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from PySide6.QtCore import QObject, QSignalBlocker, Signal, Slot
from PySide6.QtWidgets import QWidget

from terrarium.app.kit.basics import button, column, label, row, set_enabled
from terrarium.app.kit.inputs import choice
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.device import Device
from terrarium.app.worker.failures import Failure
from terrarium.app.worker.job import BACKGROUND, Job
from terrarium.app.worker.latest_job import LatestJob
from terrarium.app.worker.worker import Worker
from terrarium.models.events import Event
from terrarium.models.library.library import Library
from terrarium.models.number_words import format_minutes, format_percent
from terrarium.models.recipes.demonstrations.bases import STRONG, Base, format_accuracy, usual_base

_NONE = "You have no model that can chat yet. Grow one with the quick start, on Home."


class BaseMeasurer(QObject):
    """Measures the held-out accuracy of one base at a time, on the worker thread.

    run_id: the run being measured, or measured last. problem: why that failed, or "".

    Signals:
        changed(): `busy` or the problem has changed.
    """

    changed = Signal()

    def __init__(self, worker: Worker, library: Library, device: Device, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._device = library, device
        self._job = LatestJob(worker, self)
        self._job.ended.connect(self._on_ended)
        self.run_id = self.problem = ""

    @property
    def busy(self) -> bool:
        """Whether a measurement is running or queued."""
        return self._job.busy

    def start(self, run_id: str) -> None:
        """Measure a run; a measurement in progress is dropped."""
        library, device = self._library, self._device.name

        def measure() -> Iterator[Event]:
            from terrarium.models.recipes.demonstrations.strength import measure_base

            yield from measure_base(library, run_id, device)

        self.run_id, self.problem = run_id, ""
        self._job.submit(Job("Measure a base", measure, BACKGROUND))
        self.changed.emit()

    @Slot(object, object)
    def _on_ended(self, job: Job, failure: Failure | None) -> None:
        self.problem = "" if failure is None else failure.sentence
        self.changed.emit()


class BaseChoice(QWidget):
    """A list of bases, a note about the chosen base, and buttons to measure it or, if it is weak, to train it further.

    Signals:
        changed(): another base was chosen.
        train_asked(run_id): train this base further.
    """

    changed = Signal()
    train_asked = Signal(str)

    def __init__(self, title: str, measurer: BaseMeasurer, theme: ThemeProvider) -> None:
        super().__init__()
        self._measurer = measurer
        self.bases: list[Base] = []
        self._chosen = ""  # the run that the user chose
        self.list = choice(
            f"Base of {title}", "The model that every stage starts from: one of your runs that can chat", width=18
        )
        self.note = label("", "caption", wrap=True)
        self.measure = button(
            "Measure it", theme, self._on_measure, icon="gauge", tip="Ask it held-out questions, which takes seconds"
        )
        self.train = button(
            "Train it on…", theme, self._on_train, icon="git-fork", tip="Fork its last checkpoint, with more steps"
        )
        self._buttons = QWidget()
        self._buttons.setLayout(row(self.measure, self.train, None))
        self.setLayout(column(self.list, self.note, self._buttons, spacing=SPACE // 2))
        self.list.activated.connect(self._on_chosen)
        measurer.changed.connect(self.show_state)
        self.show_state()

    @property
    def base(self) -> Base | None:
        """The chosen base, or None."""
        return next((base for base in self.bases if base.run_id == self.list.currentData()), None)

    def offer(self, bases: Sequence[Base]) -> None:
        """Offer these bases; the user's choice is retained if it is among them."""
        if list(bases) == self.bases:
            return
        self.bases = list(bases)
        with QSignalBlocker(self.list):
            self.list.clear()
            for base in bases:
                self.list.addItem(_words(base), base.run_id)
            usual = usual_base(bases)
            at = self.list.findData(self._chosen)
            if at < 0 and usual is not None:
                at = self.list.findData(usual.run_id)
            self.list.setCurrentIndex(at)
        self.show_state()
        self.changed.emit()

    @Slot()
    def show_state(self) -> None:
        """Update the note and the buttons."""
        base, measurer = self.base, self._measurer
        is_measured = base is not None and measurer.busy and measurer.run_id == base.run_id
        self.list.setVisible(base is not None)
        self.measure.setVisible(base is not None and base.headline is None)
        set_enabled(self.measure, "A model is being measured: wait a moment." if measurer.busy else "")
        self.train.setVisible(base is not None and base.headline is not None and not base.is_strong)
        self._buttons.setVisible(base is not None and not base.is_strong)
        if base is None:
            words = _NONE
        elif is_measured:
            words = "Measuring it…"
        elif measurer.problem and measurer.run_id == base.run_id:
            words = measurer.problem
        elif base.headline is None:
            words = (
                f"Not measured yet: the demonstration begins with that. Below {format_percent(STRONG)} of the held-out "
                "questions, a model that has learned Tiny World here is trained on first."
            )
        else:
            words = f"It answers {format_accuracy(base.headline)} of the held-out questions: {_verdict(base)}."
        self.note.setText(words)

    def _on_chosen(self) -> None:
        self._chosen = str(self.list.currentData())
        self.show_state()
        self.changed.emit()

    def _on_measure(self) -> None:
        if self.base is not None:
            self._measurer.start(self.base.run_id)

    def _on_train(self) -> None:
        if self.base is not None:
            self.train_asked.emit(self.base.run_id)


def about_minutes(seconds: float) -> str:
    """Format an estimated duration, as “about 3 min”."""
    return f"about {format_minutes(seconds)}"


def _verdict(base: Base) -> str:
    if base.is_strong:
        return "strong enough"
    if not base.n_more:
        return f"below {format_percent(STRONG)} the goals mean little; grow another with the quick start"
    took = "" if base.seconds_more is None else f", which takes {about_minutes(base.seconds_more)}"
    return (
        f"below {format_percent(STRONG)} the goals mean little, so the demonstration first trains it on, "
        f"{base.n_more:,} more steps{took}"
    )


def _words(base: Base) -> str:
    headline = "not measured" if base.headline is None else f"{format_accuracy(base.headline)} right"
    return f"{base.name}  ·  step {base.step:,}  ·  {headline}"
