"""Counts the tokens of a vocabulary in a chosen corpus in the background, with progress."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QWidget
from tokenizers import Tokenizer

from terrarium.app.kit.basics import button, label, row, set_role, show_only
from terrarium.app.kit.inputs import progress_bar, show_progress
from terrarium.app.kit.labels import ElidedLabel
from terrarium.app.kit.theme import ThemeProvider
from terrarium.app.session.session import Session
from terrarium.app.tokenizer.corpus_picker import CorpusPicker
from terrarium.app.worker.background import LatestTask, latest_progress
from terrarium.app.worker.failures import Failure
from terrarium.models.data.corpus_texts import CorpusChoice, corpus_texts
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.library.library import Library
from terrarium.models.tokenizers.vocabulary.token_counts import Usage, count_tokens
from terrarium.models.tokenizers.vocabulary.vocabulary import Vocabulary


@dataclass(frozen=True, kw_only=True, eq=False)
class UsageResult:
    """The counts, and the label of the corpus."""

    usage: Usage
    corpus: str


class UsageCounter(QWidget):
    """A row with the corpus, the button, and the progress.

    Signals:
        counted(result): a UsageResult.
    """

    counted = Signal(object)

    def __init__(self, session: Session, theme: ThemeProvider, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._work: tuple[Tokenizer, Vocabulary] | None = None
        self._task = LatestTask(self)
        self.picker = CorpusPicker(session)
        self.picker.setMaximumWidth(320)
        tip = "Encode the corpus and count how often each token occurs"
        self.start = button("Count", theme, self.count, icon="hash", tip=tip)
        self.cancel = button("Cancel", theme, self.stop, icon="x", tip="Stop counting; results are dropped")
        self._bar = progress_bar("Progress of the count")
        self._bar.setMaximumWidth(160)
        self.status = ElidedLabel()
        set_role(self.status, "caption")
        contents = label("Corpus", "muted"), self.picker, self.start, self.cancel, self._bar, self.status
        self.setLayout(row(*contents, grows={self.picker: 2, self.status: 3}))
        self._show_busy(False)
        self._task.busy_changed.connect(self._show_busy)
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)

    @property
    def busy(self) -> bool:
        """Whether a count is running."""
        return self._task.busy

    def set_vocabulary(self, tokenizer: Tokenizer | None, vocabulary: Vocabulary | None) -> None:
        """Set the tokenizer and its vocabulary, and cancel a running count."""
        self._task.cancel()
        self._work = None if tokenizer is None or vocabulary is None else (tokenizer, vocabulary)
        self.start.setEnabled(self._work is not None)
        self._say("")

    @Slot()
    def count(self) -> None:
        """Count in the chosen corpus."""
        if self._work is None:
            return
        tokenizer, vocabulary = self._work
        library, choice = self._session.library, self.picker.choice
        show_progress(self._bar)
        self._say("")
        self._task.drive(lambda: _count(tokenizer, vocabulary, library, choice))

    @Slot()
    def stop(self) -> None:
        """Cancel the count."""
        self._task.cancel()
        self._say("Cancelled.")

    @Slot(bool)
    def _show_busy(self, busy: bool) -> None:
        had_focus = self.start.hasFocus() or self.cancel.hasFocus()
        show_only({self.start: not busy, self.cancel: busy, self._bar: busy})
        self.picker.setEnabled(not busy)
        if had_focus:
            (self.cancel if busy else self.start).setFocus()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        for event in latest_progress(events):
            if isinstance(event, Phase):
                self._say(event.name)
                show_progress(self._bar)
            elif isinstance(event, Progress) and event.total > 0:
                show_progress(self._bar, event.done, event.total)
                if event.seconds_left is not None:
                    self._say(f"Counting: about {max(round(event.seconds_left), 1)} s left")

    @Slot(object)
    def _on_done(self, result: UsageResult) -> None:
        self._say("")
        self.counted.emit(result)

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self._say(failure.sentence, failed=True)

    def _say(self, words: str, *, failed: bool = False) -> None:
        self.status.setText(words)
        set_role(self.status, "error" if failed else "caption")


def _count(
    tokenizer: Tokenizer, vocabulary: Vocabulary, library: Library, choice: CorpusChoice
) -> Generator[Event, None, UsageResult]:
    yield Phase(name="Reading the corpus")
    name, n_bytes, texts = yield from corpus_texts(library, choice)
    yield Phase(name="Counting")
    counts = yield from count_tokens(tokenizer, texts, n_bytes)
    return UsageResult(usage=Usage(vocabulary, counts), corpus=name)
