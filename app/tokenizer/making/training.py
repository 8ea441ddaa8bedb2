"""Training a tokenizer beside whatever else is going on: a child process does the work, a side thread follows it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from app.worker.failures import Failure
from app.worker.job import Job
from app.worker.one_job import OneJob
from app.worker.worker import Worker
from models.events import Event
from models.library.library import Library, safe_name

if TYPE_CHECKING:
    from models.settings.run_spec import DataSpec
    from models.settings.tokenizer_options import TokenizerOptions


class TokenizerControl(OneJob):
    """Trains one tokenizer at a time into the library.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress and Notice of the training.
        trained(name): it is in the library.
        failed(failure): it raised.
    """

    events_came = Signal(object)
    trained = Signal(str)

    def __init__(self, worker: Worker, library: Library, parent: QObject) -> None:
        super().__init__(worker, parent)
        self._library = library
        self._name = ""

    def train(
        self, name: str, kind: str, vocab_size: int, data: DataSpec, options: TokenizerOptions | None = None
    ) -> None:
        """Train on `data`; ValueError where the name is impossible or taken."""
        assert not self.busy
        name = safe_name(name)
        folder = self._library.tokenizers / name
        if folder.exists():
            raise ValueError(f"There is a tokenizer called {name!r} already: choose another name.")

        def make() -> Iterator[Event]:
            from models.data.sources import prepare_corpus
            from models.tokenizers import train_in_child

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
            self.trained.emit(self._name)
