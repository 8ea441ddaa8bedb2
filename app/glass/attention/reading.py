"""The attention in the text that is looked into: read once, as maps; of long texts, parts of them again, exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.glass.examiner import Examiner
from app.glass.focus import Head
from app.glass.read_text import ReadText
from app.kit.figures.pictures import Floats
from app.session.session import Session
from models.inspect.attention_maps import StackMaps

if TYPE_CHECKING:
    from collections.abc import Generator

    from tokenizers import Tokenizer

    from models.architecture.transformer import AnyModel
    from models.events import Event
    from models.inference.prefill import PrefixCache


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """Part of all layers' maps of one kind, exactly: (H + 2, rows, columns) by site, as in `SiteMap.weights`."""

    kind: str
    rows: range
    columns: range
    weights: Mapping[str, Floats]


class AttentionReading(QObject):
    """Asks the open model for a text's attention.

    Signals:
        read(): `stacks` are there.
        window_read(Window): a part is, which `ask_window` asked for.
        window_failed(failure): it could not be read; where the maps cannot, their examiner says so.
    """

    read = Signal()
    window_read = Signal(object)
    window_failed = Signal(object)

    def __init__(self, session: Session, examiner: Examiner, parent: QObject) -> None:
        super().__init__(parent)
        self._text: ReadText | None = None
        self._prefix_cache: PrefixCache | None = None
        self.stacks: dict[str, StackMaps] = {}
        """By kind, in order; empty until they are read."""
        self._whole, self._closer = examiner, Examiner(session.worker, session.chat, self)
        self._whole.done.connect(self._on_read)
        self._closer.done.connect(self.window_read)
        self._closer.failed.connect(self.window_failed)

    def is_of(self, text: ReadText | None) -> bool:
        """Whether the maps of this very text are there: a view that is out of sight may be behind."""
        return bool(self.stacks) and text is self._text

    def site_of(self, head: Head | None) -> tuple[str, int] | None:
        """The kind of attention and the number of the layer in it that a head belongs to; None where it is not here."""
        for kind, stack in self.stacks.items():
            for number, site in enumerate(stack.sites):
                if head is not None and site.site == head.site:
                    return kind, number
        return None

    def forget(self) -> None:
        """Nothing of any text is wanted any more."""
        self._whole.forget()
        self._closer.forget()
        self.stacks, self._prefix_cache = {}, None

    def begin(self, text: ReadText) -> None:
        """Read the maps of a text."""
        self.forget()
        self._text = text

        def question(model: AnyModel, tokenizer: Tokenizer) -> Generator[Event, None, tuple[StackMaps, ...]]:
            from models.inference.prefill import PrefixCache
            from models.inspect.attention import read_attention

            self._prefix_cache = cache = PrefixCache()
            special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
            n_ids = min(tokenizer.get_vocab_size(), model.config.vocab_size)
            ordinary = [id for id in range(n_ids) if id not in special]
            return read_attention(model, text.ids, text.source_ids, ordinary, cache)

        self._whole.ask(question)

    def ask_window(self, kind: str, rows: range, columns: range) -> None:
        """Read part of the same text's maps again, exactly, in place of any other part that is asked for."""
        text = self._text
        assert text is not None

        def question(model: AnyModel, tokenizer: Tokenizer) -> Generator[Event, None, Window]:
            from models.inspect.attention import read_window

            weights = yield from read_window(model, text.ids, text.source_ids, kind, rows, columns, self._prefix_cache)
            return Window(kind=kind, rows=rows, columns=columns, weights=weights)

        self._closer.ask(question)

    @Slot(object)
    def _on_read(self, stacks: tuple[StackMaps, ...]) -> None:
        self.stacks = {stack.kind: stack for stack in stacks}
        self.read.emit()
