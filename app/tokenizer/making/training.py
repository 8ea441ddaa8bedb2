"""Training a tokenizer beside whatever else is going on: a child process does the work, a side thread follows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.session.tokenizers import Tokenizers
from app.worker.failures import Failure
from app.worker.job import Job
from app.worker.notices import Notices
from app.worker.one_job import OneJob
from app.worker.worker import Worker
from models.events import Event
from models.library.library import Library, safe_name

if TYPE_CHECKING:
    from models.settings.run_spec import DataSpec
    from models.settings.tokenizer_options import TokenizerOptions


class TokenizerTraining(OneJob):
    """Trains one tokenizer at a time into the library, beside whatever the worker does; what cannot be done is said.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress and Notice of the training.
        trained(name): it is in the library, and chosen.
    """

    events_came = Signal(object)
    trained = Signal(str)

    def __init__(
        self, worker: Worker, library: Library, tokenizers: Tokenizers, notices: Notices, parent: QObject
    ) -> None:
        super().__init__(worker, parent)
        self._library, self._tokenizers, self._notices = library, tokenizers, notices
        self.failed.connect(notices.fail)
        self._name = ""

    def train(
        self, name: str, kind: str, vocab_size: int, data: DataSpec, options: TokenizerOptions | None = None
    ) -> bool:
        """Train on `data`; whether it began. Of one that is cancelled nothing stays."""
        if self.busy:
            return self._notices.refuse("A tokenizer is being trained already: wait for it or cancel it.")
        return self._notices.attempt(lambda: self._train(name, kind, vocab_size, data, options))

    def _train(self, name: str, kind: str, vocab_size: int, data: DataSpec, options: TokenizerOptions | None) -> None:
        name = safe_name(name)
        folder = self._library.tokenizers / name
        if folder.exists():
            raise ValueError(f"There is a tokenizer called {name!r} already: choose another name.")

        def make() -> Iterator[Event]:
            from models.tokenizers import train_in_child
            from models.training.prepare import prepare_corpus

            corpus = yield from prepare_corpus(self._library, data)
            files = [corpus.path("train")]
            yield from train_in_child(files, kind, vocab_size, folder, options, growth=True)

        self._name = name
        self._begin(Job(f"Train tokenizer {name}", make))
        self.changed.emit()

    def _heard(self, job: Job, events: tuple[Event, ...]) -> None:
        self.events_came.emit(events)

    def _over(self, job: Job, failure: Failure | None) -> None:
        self.changed.emit()
        if failure is None and not job.cancelled:
            self._tokenizers.add(self._name)
            self.trained.emit(self._name)
