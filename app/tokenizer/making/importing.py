"""Imports tokenizers into the library in the background."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.session.tokenizers import Tokenizers
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.notices import Notices
from terrarium.models.events import Event
from terrarium.models.library.library import Library, safe_name


@dataclass(frozen=True)
class PatternRequest:
    """A request for the pre-tokenization pattern, which the source does not define; `sentence` says so."""

    source: str
    name: str
    sentence: str


class TokenizerImporter(QObject):
    """Imports one tokenizer at a time, from a file, a folder or the hub; failures become notices.

    Signals:
        changed(): `busy` has changed.
        imported(name): it was added to the library, and chosen.
        pattern_needed(PatternRequest): the import needs a pre-tokenization pattern.
    """

    changed = Signal()
    imported = Signal(str)
    pattern_needed = Signal(object)

    def __init__(self, library: Library, tokenizers: Tokenizers, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._tokenizers, self._notices = library, tokenizers, notices
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether an import is running."""
        return self._task.busy

    def start(self, source: str, name: str = "", pattern: str = "") -> bool:
        """Start an import as in `models.tokenizers.importing.import_tokenizer_events`. Return whether it started."""
        return self._notices.attempt(lambda: self._start(source, name, pattern))

    def _start(self, source: str, name: str, pattern: str) -> None:
        if self.busy:
            raise ValueError("A tokenizer is already being imported: wait or cancel it.")
        library = self._library
        if name and (library.tokenizers / safe_name(name)).exists():
            raise ValueError(f"There is a tokenizer called {safe_name(name)!r} already: choose another name.")

        def work() -> Generator[Event, None, str | PatternRequest]:
            from terrarium.models.tokenizers.foreign.patterns import PatternUnknownError
            from terrarium.models.tokenizers.importing import import_tokenizer_events

            try:
                return (yield from import_tokenizer_events(source, library, name, pattern=pattern))
            except PatternUnknownError as error:
                return PatternRequest(source, name, str(error))

        self._task.drive(work)

    @Slot()
    def cancel(self) -> None:
        """Cancel the import; no partial files remain."""
        self._task.cancel()

    @Slot(object)
    def _on_done(self, result: str | PatternRequest) -> None:
        if isinstance(result, PatternRequest):
            self.pattern_needed.emit(result)
        else:
            self._tokenizers.add(result)
            self.imported.emit(result)
