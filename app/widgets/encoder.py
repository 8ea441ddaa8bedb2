"""Text to tokens for the eye: at once on this thread while it is short, on a plain CPU thread when it is long."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from PySide6.QtCore import QObject, QTimer, Signal, Slot
from tokenizers import Tokenizer

from models.tokenizers import Piece, token_pieces

AT_ONCE_BYTES = 20_000
_POLL_MS = 15


class Encoder(QObject):
    """Encodes the latest text that was asked for; older requests that did not begin are dropped.

    Signals:
        encoded(text, pieces): the tokens of the text that was asked for last.
        started(): a long text is being encoded beside the window.
    """

    encoded = Signal(str, object)
    started = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._running: Future[list[Piece]] | None = None
        self._running_text = ""
        self._wanted: tuple[Tokenizer, str] | None = None
        # Polled, so that the thread never touches Qt: it may outlive this object.
        self._poll = QTimer(self, interval=_POLL_MS)
        self._poll.timeout.connect(self._on_poll)

    def encode(self, tokenizer: Tokenizer, text: str) -> None:
        """Ask for the tokens of `text`; `encoded` comes before this returns where the text is short."""
        self._wanted = (tokenizer, text)
        if len(text.encode("utf-8", "surrogatepass")) <= AT_ONCE_BYTES:
            self._wanted = None
            self._running = None  # its result is out of date
            self._poll.stop()
            self._tell(text, encode(tokenizer, text))
        elif self._running is None:
            self._start()

    def _start(self) -> None:
        assert self._wanted is not None
        tokenizer, self._running_text = self._wanted
        self._wanted = None
        self._running = self._pool.submit(encode, tokenizer, self._running_text)
        self._poll.start()
        self.started.emit()

    @Slot()
    def _on_poll(self) -> None:
        if self._running is None or not self._running.done():
            return
        pieces, text, self._running = self._running.result(), self._running_text, None
        self._poll.stop()
        if self._wanted is not None:
            self._start()
        else:
            self._tell(text, pieces)

    def _tell(self, text: str, pieces: Sequence[Piece]) -> None:
        self.encoded.emit(text, pieces)


def encode(tokenizer: Tokenizer, text: str) -> list[Piece]:
    """The tokens of a text from an input field; half a character, as Qt may hand out, becomes U+FFFD."""
    return token_pieces(tokenizer, whole_characters(text))


def whole_characters(text: str) -> str:
    """`text` with lone surrogates replaced one for one, so that it can be written as UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
