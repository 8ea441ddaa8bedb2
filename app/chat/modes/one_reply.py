"""One reply of the open model that is asked for beside the conversation: its tokens as they come. No widgets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.glass.names import token_names
from app.glass.read_text import ReadText
from app.session.session import Session
from models.events import Event, ReplyFinished, TokenMade
from models.inference.reply import ReplyStarted
from models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(eq=False)
class Written:
    """What has come of a reply so far.

    said: what was asked with. begun: the tokens that stood already. started and finished: None before they come, and
    `finished` where the reply was stopped.
    """

    said: str
    sampling: SamplingConfig
    begun: tuple[int, ...] = ()
    started: ReplyStarted | None = None
    tokens: list[TokenMade] = field(default_factory=list)
    finished: ReplyFinished | None = None

    @property
    def text(self) -> str:
        """The new text."""
        return "".join(token.text for token in self.tokens)

    def read(self, tokenizer: Tokenizer) -> ReadText | None:
        """All that was read and written, for the glass box; None before there is anything."""
        if self.started is None or not self.tokens:
            return None
        ids = (*self.started.prompt_ids, *self.begun, *(token.id for token in self.tokens))
        names = token_names(tokenizer, {*ids, *self.started.source_ids})
        return ReadText(
            ids=ids,
            words=tuple(names[id] for id in ids),
            n_prompt=len(self.started.prompt_ids),
            source_ids=self.started.source_ids,
            source_words=tuple(names[id] for id in self.started.source_ids),
            draws=(*(None for _ in self.begun), *(token.draw for token in self.tokens)),
            sampling=self.sampling,
            step=self.started.step,
        )


class OneReply(QObject):
    """Asks for one reply at a time, and hears of no other's.

    Signals:
        began(begun): the model has read the text; `begun` is the text of the tokens that stood already.
        grew(tokens): a tuple of TokenMade.
        ended(): `written` is all that there will be: complete, stopped, or cut short by a failure.
    """

    began = Signal(str)
    grew = Signal(object)
    ended = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._busy = False
        self.written: Written | None = None
        session.chat.events_came.connect(self._on_events)
        session.chat.reply_ended.connect(self._on_ended)

    @property
    def busy(self) -> bool:
        """Whether it is being written."""
        return self._busy

    def ask(self, said: str, sampling: SamplingConfig, begun: Sequence[int] = ()) -> bool:
        """Ask for what becomes of a text; whether it began. What stands in the way is said by the session."""
        if self._busy:
            return False
        self.written = Written(said, sampling, tuple(begun))
        self._busy = True  # before the session tells of a failure
        self._busy = self._session.chat.send(said, sampling, begun)
        return self._busy

    def stop(self) -> None:
        """End it here; what there is of it stands."""
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
                self.began.emit(event.prefix)
            elif isinstance(event, TokenMade):
                made.append(event)
            elif isinstance(event, ReplyFinished):
                self.written.finished = event
        if made:
            self.written.tokens += made
            self.grew.emit(tuple(made))

    @Slot()
    def _on_ended(self) -> None:
        if self._busy:
            self._busy = False
            self.ended.emit()
