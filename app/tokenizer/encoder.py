"""Encodes text for display: synchronously if it is short, else in the background."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from tokenizers import Tokenizer

from terrarium.app.tokenizer.text_offsets import TextOffsets
from terrarium.app.worker.background import LatestTask
from terrarium.models.tokenizers.codec import replace_surrogates
from terrarium.models.tokenizers.text.encoded import EncodedText

MAX_SYNC_BYTES = 20_000


class Encoder(QObject):
    """Encodes the latest requested text.

    Signals:
        encoded(text, tokens, offsets): the EncodedText and TextOffsets of the latest text.
        started(): a long text is being encoded in the background.
    """

    encoded = Signal(str, object, object)
    started = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)

    def encode(self, tokenizer: Tokenizer, text: str) -> None:
        """Request the tokens of `text`; if it is short, `encoded` is emitted before this returns."""
        if len(text.encode("utf-8", "surrogatepass")) <= MAX_SYNC_BYTES:
            self._task.cancel()
            self.encoded.emit(text, *encode(tokenizer, text))
        else:
            self._task.ask(lambda: (text, *encode(tokenizer, text)))
            self.started.emit()

    @Slot(object)
    def _on_done(self, result: tuple[str, EncodedText, TextOffsets]) -> None:
        self.encoded.emit(*result)


def encode(tokenizer: Tokenizer, text: str) -> tuple[EncodedText, TextOffsets]:
    """Encode a text from an input field; lone surrogates become U+FFFD."""
    whole = replace_surrogates(text)
    return EncodedText(tokenizer, whole), TextOffsets(whole)
