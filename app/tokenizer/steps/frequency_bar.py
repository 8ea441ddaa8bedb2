"""Counts how often a tokenizer's merges apply and its tokens occur in a corpus, as its files do not store that."""

from __future__ import annotations

from collections.abc import Generator

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QSizePolicy, QWidget

from terrarium.app.kit.basics import button, column, group, label, row, stacked
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.layout.flow_layout import wrapping
from terrarium.app.kit.layout.relayout import RelayoutOnResize
from terrarium.app.kit.theme import SPACE, ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.corpus_picker import CorpusPicker
from terrarium.app.worker.background import LatestTask, latest_progress
from terrarium.app.worker.failures import Failure
from terrarium.models.data.corpus_texts import corpus_texts
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.tokenizers.steps.frequencies import Frequencies, count_frequencies
from terrarium.models.tokenizers.steps.steps import TokenizerSteps

_NOTHING = "A tokenizer's files store no frequencies: count them on a corpus."


class FrequencyBar(QWidget):
    """A picker for a corpus, and a button that counts in it.

    Signals:
        changed(): `frequencies` has changed.
    """

    changed = Signal()

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._steps: TokenizerSteps | None = None
        self.frequencies: Frequencies | None = None
        self._task = LatestTask(self)
        self.picker = CorpusPicker(session)
        tip = "Encode the corpus with this tokenizer and count its merges and tokens"
        self.count_button = button("Count", theme, self.count, tip=tip)
        self.cancel_button = button("Cancel", theme, self.cancel, tip="Stop counting")
        self.note = label(_NOTHING, "caption", wrap=True)
        self._phase, self._progress = ElidedLabel(), progress_bar("Progress of the count")
        self._build()
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        self._task.busy_changed.connect(self._on_busy)

    def _build(self) -> None:
        self._phase.setProperty("role", "caption")
        choosing = wrapping(self.picker, self.count_button, spacing=SPACE // 2)
        lines = column(self._phase, self._progress, spacing=SPACE // 2)
        counting = group(row(lines, self.cancel_button, grows=lines))
        counting.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Ignored)  # as high as the other page
        self._pages = stacked(choosing, counting)
        self.setLayout(column(self._pages, self.note, spacing=SPACE // 2))
        RelayoutOnResize(self, self._fit)

    def _fit(self) -> None:
        """Be as high as the wrapped words need: a splitter does not ask for it."""
        self.setMinimumHeight(self.heightForWidth(self.width()))

    @property
    def is_busy(self) -> bool:
        """Whether a count is running."""
        return self._task.busy

    def set_steps(self, steps: TokenizerSteps | None) -> None:
        """Set the tokenizer, and drop the counts of another one."""
        if steps is self._steps:
            return
        self._steps = steps
        self._task.cancel()
        self.count_button.setEnabled(steps is not None)
        self._take(None, _NOTHING)

    def count(self) -> None:
        """Count in the chosen corpus."""
        steps, library, choice = self._steps, self._session.library, self.picker.choice
        if steps is None:
            return

        def work() -> Generator[Event, None, Frequencies]:
            label, n_bytes, texts = yield from corpus_texts(library, choice)
            return (yield from count_frequencies(steps, label, texts, n_bytes))

        self._phase.setText("Reading")
        show_progress(self._progress)
        self._task.drive(work)

    def cancel(self) -> None:
        """Cancel the count; earlier results remain."""
        self._task.cancel()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in latest_progress(events):
            if isinstance(event, Phase):
                self._phase.setText(event.name)
                show_progress(self._progress)
            elif isinstance(event, Progress) and event.total:
                show_progress(self._progress, event.done, event.total)

    @Slot(object)
    def _on_done(self, found: Frequencies) -> None:
        self._take(found, f"Counted on {found.label}: {found.n_tokens:,} tokens.")

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._take(None, failure.sentence)

    @Slot(bool)
    def _on_busy(self, busy: bool) -> None:
        self._pages.setCurrentIndex(1 if busy else 0)

    def _take(self, found: Frequencies | None, note: str) -> None:
        self.frequencies = found
        self.note.setText(note)
        self.changed.emit()
