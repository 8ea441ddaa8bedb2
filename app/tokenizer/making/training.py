"""Training a tokenizer beside whatever else is going on: a child process does the work, a thread follows it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.worker.background import LatestTask
from models.events import Event
from models.library.library import Library, safe_name

if TYPE_CHECKING:
    from models.settings.run_spec import DataSpec
    from models.settings.tokenizer_options import TokenizerOptions


class TokenizerControl(QObject):
    """Trains one tokenizer at a time into the library.

    Signals:
        changed(): `busy` is new.
        events_came(events): Phase, Progress and Notice of the training.
        trained(name): it is in the library.
        failed(failure): it raised.
    """

    changed = Signal()
    events_came = Signal(object)
    trained = Signal(str)
    failed = Signal(object)

    def __init__(self, library: Library, parent: QObject) -> None:
        super().__init__(parent)
        self._library = library
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.events_came.connect(self.events_came)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self.failed)

    @property
    def busy(self) -> bool:
        """Whether one is being trained."""
        return self._task.busy

    def train(
        self, name: str, kind: str, vocab_size: int, data: DataSpec, options: TokenizerOptions | None = None
    ) -> None:
        """Train on `data`; ValueError where the name is impossible or taken."""
        assert not self.busy
        name = safe_name(name)
        folder = self._library.tokenizers / name
        if folder.exists():
            raise ValueError(f"There is a tokenizer called {name!r} already: choose another name.")

        def work() -> Generator[Event, None, str]:
            from models.data.sources import prepare_corpus
            from models.tokenizers import train_in_child

            corpus = yield from prepare_corpus(self._library, data)
            files = [corpus.path("train")]
            yield from train_in_child(files, kind, vocab_size, folder, options, growth=True, low_priority=True)
            return name

        self._task.drive(work)

    def cancel(self) -> None:
        """Stop it; nothing of it stays."""
        self._task.cancel()

    def close(self) -> None:
        """The same, and wait until nothing of it is there any more."""
        self._task.cancel()
        self._task.wait()

    @Slot(object)
    def _on_done(self, name: str) -> None:
        self.trained.emit(name)
