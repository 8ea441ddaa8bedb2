"""New tokenizers for the library: trained on a text, or brought from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.session.parts import Parts
from app.tokenizer.making.importing import TokenizerImportControl
from app.tokenizer.making.training import TokenizerControl
from models.library.library import Library

if TYPE_CHECKING:
    from models.settings.run_spec import DataSpec
    from models.settings.tokenizer_options import TokenizerOptions


class TokenizerJobs(Parts):
    """The trainings and their queue, and beside them the making of tokenizers, which needs no torch.

    Signals (and those of Queueing, and Trainings):
        tokenizer_events(events): Phase, Progress, Notice of a tokenizer's training.
        tokenizer_training_changed(): `tokenizer_busy` is new.
        tokenizer_trained(name): a new tokenizer is in the library, and chosen.
        tokenizer_import_changed(): `tokenizer_importing` is new.
        tokenizer_imported(name): a tokenizer from elsewhere is in the library, and chosen.
        tokenizer_pattern_wanted(PatternWanted): it can be imported if a pattern is given.
    """

    tokenizer_events = Signal(object)
    tokenizer_training_changed = Signal()
    tokenizer_trained = Signal(str)
    tokenizer_import_changed = Signal()
    tokenizer_imported = Signal(str)
    tokenizer_pattern_wanted = Signal(object)

    def __init__(self, library: Library, parent: QObject | None = None) -> None:
        super().__init__(library, parent)
        self._tokenizers = tokenizers = TokenizerControl(self.side_worker, library, self)
        self._tokenizer_imports = imports = TokenizerImportControl(library, self)
        tokenizers.changed.connect(self.tokenizer_training_changed)
        tokenizers.events_came.connect(self.tokenizer_events)
        tokenizers.trained.connect(self._on_tokenizer_trained)
        tokenizers.failed.connect(self.notices.fail)
        imports.changed.connect(self.tokenizer_import_changed)
        imports.imported.connect(self._on_tokenizer_imported)
        imports.pattern_wanted.connect(self.tokenizer_pattern_wanted)
        imports.failed.connect(self.notices.fail)

    @property
    def tokenizer_busy(self) -> bool:
        """Whether a tokenizer is being trained."""
        return self._tokenizers.busy

    def train_tokenizer(
        self, name: str, kind: str, vocab_size: int, data: DataSpec, options: TokenizerOptions | None = None
    ) -> bool:
        """Train a tokenizer into the library, beside whatever the worker does; whether it began."""
        if self._tokenizers.busy:
            return self.notices.refuse("A tokenizer is being trained already: wait for it or cancel it.")
        return self.notices.attempt(lambda: self._tokenizers.train(name, kind, vocab_size, data, options))

    def cancel_tokenizer_training(self) -> None:
        """Stop it; nothing of it stays."""
        self._tokenizers.cancel()

    @property
    def tokenizer_importing(self) -> bool:
        """Whether a tokenizer is being imported."""
        return self._tokenizer_imports.busy

    def import_tokenizer(self, source: str, name: str = "", pattern: str = "") -> bool:
        """Bring a tokenizer (a file, a folder, a name on the hub) into the library; whether it began."""
        return self.notices.attempt(lambda: self._tokenizer_imports.start(source, name, pattern))

    @Slot(str)
    def _on_tokenizer_trained(self, name: str) -> None:
        self.tokenizers.add(name)
        self.tokenizer_trained.emit(name)

    @Slot(str)
    def _on_tokenizer_imported(self, name: str) -> None:
        self.tokenizers.add(name)
        self.tokenizer_imported.emit(name)
