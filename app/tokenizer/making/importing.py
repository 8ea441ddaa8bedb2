"""Brings a tokenizer from elsewhere into the library, beside the window and whatever the workers do."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal, Slot

from app.session.tokenizers import Tokenizers
from app.worker.background import LatestTask
from app.worker.notices import Notices
from models.library.library import Library, safe_name


@dataclass(frozen=True)
class PatternWanted:
    """Nothing says how this source cuts texts into words; `sentence` says so."""

    source: str
    name: str
    sentence: str


class TokenizerImporter(QObject):
    """Imports one tokenizer at a time: a file, a folder, or by its name on the hub; what cannot be done is said.

    Signals:
        changed(): `busy` is new.
        imported(name): it is in the library, and chosen.
        pattern_wanted(PatternWanted): it can be imported once a pattern is named.
    """

    changed = Signal()
    imported = Signal(str)
    pattern_wanted = Signal(object)

    def __init__(self, library: Library, tokenizers: Tokenizers, notices: Notices, parent: QObject) -> None:
        super().__init__(parent)
        self._library, self._tokenizers, self._notices = library, tokenizers, notices
        self._task = LatestTask(self)
        self._task.busy_changed.connect(self.changed)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(notices.fail)

    @property
    def busy(self) -> bool:
        """Whether one is being imported."""
        return self._task.busy

    def start(self, source: str, name: str = "", pattern: str = "") -> bool:
        """Bring a tokenizer into the library, as models.tokenizers.importing.import_tokenizer; whether it began."""
        return self._notices.attempt(lambda: self._start(source, name, pattern))

    def _start(self, source: str, name: str, pattern: str) -> None:
        if self.busy:
            raise ValueError("A tokenizer is being imported already: wait for it.")
        library = self._library
        if name and (library.tokenizers / safe_name(name)).exists():
            raise ValueError(f"There is a tokenizer called {safe_name(name)!r} already: choose another name.")

        def work() -> str | PatternWanted:
            from models.tokenizers.foreign.patterns import PatternUnknownError
            from models.tokenizers.importing import import_tokenizer

            try:
                return import_tokenizer(source, library, name, pattern=pattern)
            except PatternUnknownError as error:
                return PatternWanted(source, name, str(error))

        self._task.ask(work)

    @Slot(object)
    def _on_done(self, result: str | PatternWanted) -> None:
        if isinstance(result, PatternWanted):
            self.pattern_wanted.emit(result)
        else:
            self._tokenizers.add(result)
            self.imported.emit(result)
