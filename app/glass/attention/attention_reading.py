"""Reads the attention maps of the text in focus, and windows of pooled maps without pooling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.glass.examiner import Examiner
from terrarium.app.glass.focus import Head
from terrarium.app.glass.read_text import ReadText
from terrarium.app.plots.pictures import Floats
from terrarium.app.session.session import Session
from terrarium.models.inspect.attention_maps import StackMaps

if TYPE_CHECKING:
    from collections.abc import Generator

    from tokenizers import Tokenizer

    from terrarium.models.architecture.transformer import AnyModel
    from terrarium.models.events import Event
    from terrarium.models.inference.prefill import PrefixCache


@dataclass(frozen=True, kw_only=True, eq=False)
class Window:
    """A window of the unpooled maps of all layers, of one kind of attention.

    weights: (H + 2, rows, columns) by site, as in `SiteMap.weights`.
    """

    kind: str
    rows: range
    columns: range
    weights: Mapping[str, Floats]


class AttentionReading(QObject):
    """Reads the attention of the open model over a text.

    Signals:
        read(): `stacks` has been read.
        window_read(Window): the window requested with `ask_window` has been read.
        window_failed(failure): that window could not be read. If the maps cannot, the examiner emits `failed`.
    """

    read = Signal()
    window_read = Signal(object)
    window_failed = Signal(object)

    def __init__(self, session: Session, examiner: Examiner, parent: QObject) -> None:
        super().__init__(parent)
        self._text: ReadText | None = None
        self._prefix_cache: PrefixCache | None = None
        self.stacks: dict[str, StackMaps] = {}
        """The maps by kind of attention, in order; empty until they have been read."""
        self._map_examiner, self._window_examiner = examiner, Examiner(session.worker, session.chat, self)
        self._map_examiner.done.connect(self._on_read)
        self._window_examiner.done.connect(self.window_read)
        self._window_examiner.failed.connect(self.window_failed)

    def is_of(self, text: ReadText | None) -> bool:
        """Return whether the maps are those of this text; a hidden panel may still have those of an earlier one."""
        return bool(self.stacks) and text is self._text

    def site_of(self, head: Head | None) -> tuple[str, int] | None:
        """Return the kind of attention of a head and its index in `StackMaps.sites`; None if it is in no stack."""
        for kind, stack in self.stacks.items():
            for number, site in enumerate(stack.sites):
                if head is not None and site.site == head.site:
                    return kind, number
        return None

    def forget(self) -> None:
        """Discard all maps and cancel pending requests."""
        self._map_examiner.forget()
        self._window_examiner.forget()
        self.stacks, self._prefix_cache = {}, None

    def begin(self, text: ReadText) -> None:
        """Start to read the maps of a text; `read` is emitted when that is done."""
        self.forget()
        self._text = text

        def question(model: AnyModel, tokenizer: Tokenizer) -> Generator[Event, None, tuple[StackMaps, ...]]:
            from terrarium.models.inference.prefill import PrefixCache
            from terrarium.models.inspect.attention import read_attention
            from terrarium.models.inspect.read_text import ids_read

            self._prefix_cache = cache = PrefixCache()
            special = {id for id, token in tokenizer.get_added_tokens_decoder().items() if token.special}
            n_ids = min(tokenizer.get_vocab_size(), model.config.vocab_size)
            ordinary = [id for id in range(n_ids) if id not in special]
            ids = ids_read(model.config, text.ids)
            return read_attention(model, ids, text.source_ids, ordinary, cache, text.segments)

        self._map_examiner.ask(question)

    def ask_window(self, kind: str, rows: range, columns: range) -> None:
        """Request a window of the text's maps without pooling; replaces a pending request."""
        text = self._text
        assert text is not None

        def question(model: AnyModel, tokenizer: Tokenizer) -> Generator[Event, None, Window]:
            from terrarium.models.inspect.attention import read_window
            from terrarium.models.inspect.read_text import ids_read

            ids = ids_read(model.config, text.ids)
            known, segments = self._prefix_cache, text.segments
            weights = yield from read_window(model, ids, text.source_ids, kind, rows, columns, known, segments)
            return Window(kind=kind, rows=rows, columns=columns, weights=weights)

        self._window_examiner.ask(question)

    @Slot(object)
    def _on_read(self, stacks: tuple[StackMaps, ...]) -> None:
        self.stacks = {stack.kind: stack for stack in stacks}
        self.read.emit()
