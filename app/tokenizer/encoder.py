"""Text to tokens for the eye: at once on this thread while it is short, on a plain CPU thread when it is long."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot
from tokenizers import Tokenizer

from app.tokenizer.text_offsets import TextOffsets
from app.worker.background import LatestTask
from models.tokenizers.codec import whole_characters
from models.tokenizers.text.encoded import EncodedText

AT_ONCE_BYTES = 20_000


class Encoder(QObject):
    """Encodes the latest text that was asked for.

    Signals:
        encoded(text, tokens, offsets): the EncodedText of the text that was asked for last, and its TextOffsets.
        started(): a long text is being encoded beside the window.
    """

    encoded = Signal(str, object, object)
    started = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._task = LatestTask(self)
        self._task.done.connect(self._on_done)

    def encode(self, tokenizer: Tokenizer, text: str) -> None:
        """Ask for the tokens of `text`; `encoded` comes before this returns where the text is short."""
        if len(text.encode("utf-8", "surrogatepass")) <= AT_ONCE_BYTES:
            self._task.cancel()
            self.encoded.emit(text, *encode(tokenizer, text))
        else:
            self._task.ask(lambda: (text, *encode(tokenizer, text)))
            self.started.emit()

    @Slot(object)
    def _on_done(self, result: tuple[str, EncodedText, TextOffsets]) -> None:
        self.encoded.emit(*result)


def encode(tokenizer: Tokenizer, text: str) -> tuple[EncodedText, TextOffsets]:
    """The tokens of a text from an input field; half a character, as Qt may hand out, becomes U+FFFD."""
    whole = whole_characters(text)
    return EncodedText(tokenizer, whole), TextOffsets(whole)
