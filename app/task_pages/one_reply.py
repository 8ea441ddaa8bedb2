"""A single reply of the open model outside the conversation, as a stream of tokens. No widgets."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.glass.partial_reply import PartialReply, Prompt
from terrarium.app.session.session import Session
from terrarium.models.events import Event, ReplyFinished, TokenMade
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.settings.sampling_config import SamplingConfig


class OneReply(QObject):
    """Requests one reply at a time, and ignores events of other replies.

    Signals:
        started(prefix): the model has processed the prompt; `prefix` is the text of `prefix_ids`.
        appended(tokens): new tokens, a tuple of TokenMade.
        ended(): `written` is final: complete, stopped, or cut short by a failure.
    """

    started = Signal(str)
    appended = Signal(object)
    ended = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._busy = False
        self.written: PartialReply | None = None
        session.chat.events_received.connect(self._on_events)
        session.chat.reply_ended.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Whether a reply is being generated."""
        return self._busy

    def ask(self, prompt: Prompt, sampling: SamplingConfig, prefix_ids: Sequence[int] = ()) -> bool:
        """Request a reply to a text or messages. Return whether it started; problems are reported by the session."""
        if self._busy:
            return False
        self.written = PartialReply(prompt, sampling, tuple(prefix_ids))
        self._busy = True  # set before the session can report a failure
        self._busy = self._session.chat.send(prompt, sampling, prefix_ids)
        return self._busy

    def stop(self) -> None:
        """Stop the reply; the text so far remains."""
        if self._busy:
            self._session.chat.stop()

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        if not self._busy or self.written is None:
            return
        made: list[TokenMade] = []
        for event in events:
            if isinstance(event, ReplyStarted):
                self.written.started = event
                self.started.emit(event.prefix)
            elif isinstance(event, TokenMade):
                made.append(event)
            elif isinstance(event, ReplyFinished):
                self.written.finished = event
        if made:
            self.written.tokens += made
            self.appended.emit(tuple(made))

    @Slot()
    def _on_ended(self) -> None:
        if self._busy:
            self._busy = False
            self.ended.emit()
