"""Trains tokenizers in the background, in a child process."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.tokenizers import Tokenizers
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event, Notice
from terrarium.models.library.library import Library, safe_name

if TYPE_CHECKING:
    from terrarium.models.data.corpus_texts import CorpusChoice
    from terrarium.models.settings.tokenizer_options import TokenizerOptions


class TokenizerTraining(QObject):
    """Trains one tokenizer at a time into the library; failures become notices.

    Signals:
        changed(): `busy` has changed.
        events_received(events): Phase, Progress, Notice and VocabularyGrowth events of the training.
        trained(name): it was added to the library, and chosen.
    """

    changed = Signal()
    events_received = Signal(object)
    trained = Signal(str)

    def __init__(self, library: Library, tokenizers: Tokenizers, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._tokenizers, self._notices = library, tokenizers, notices
        self._said: list[str] = []
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_received.connect(self.events_received)
        self._task.events_received.connect(self._on_events)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether a training is running."""
        return self._task.busy

    def train(
        self, name: str, kind: str, vocab_size: int, data: CorpusChoice, options: TokenizerOptions | None = None
    ) -> bool:
        """Start training on `data`. Return whether it started."""
        if self.busy:
            return self._notices.refuse("A tokenizer is already being trained: wait or cancel it.")
        return self._notices.attempt(lambda: self._train(name, kind, vocab_size, data, options))

    def _train(
        self, name: str, kind: str, vocab_size: int, data: CorpusChoice, options: TokenizerOptions | None
    ) -> None:
        name = safe_name(name)
        folder = self._library.tokenizers / name
        if folder.exists():
            raise ValueError(f"There is a tokenizer called {name!r} already: choose another name.")

        def work() -> Generator[Event, None, str]:
            from terrarium.models.data.corpus_texts import chosen_corpus
            from terrarium.models.tokenizers import train_in_child

            corpus = yield from chosen_corpus(self._library, data)
            files = [(yield from corpus.sample_events("train"))]
            yield from train_in_child(files, kind, vocab_size, folder, options, growth=True)
            return name

        self._said = []
        self._task.drive(work)

    def cancel(self) -> None:
        """Cancel the training; no files remain."""
        self._task.cancel()

    @Slot()
    def close(self) -> None:
        """Cancel, and wait until the child process has ended."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        self._said += [event.sentence for event in events if isinstance(event, Notice)]

    @Slot(object)
    def _on_done(self, name: str) -> None:
        self._tokenizers.add(name)
        self.trained.emit(name)
        for sentence in dict.fromkeys(self._said):  # the form that showed them is no longer visible
            self._notices.say(f"“{name}”: {sentence}")
