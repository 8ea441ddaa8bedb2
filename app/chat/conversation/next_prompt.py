"""What the model will read when the message that is being written is sent: worked out as one types. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.session.session import Session
from app.worker.background import LatestTask
from app.worker.failures import Failure, describe
from models.chat.prompting import Prompt, Prompting

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from app.session.chat_model import ChatModel
    from models.chat.own_template import Message

AT_ONCE = 20_000
"""Characters that are turned into tokens within a keystroke; more are beside the window."""

_PATIENCE_MS = 60


@dataclass(frozen=True, eq=False)
class Outlook:
    """The next prompt: `whole` if nothing is left out, `given` as it will be, with the oldest messages left out.

    n_written: how many tokens of `given` are of what is being written, and of what asks for the reply.
    """

    whole: Prompt
    given: Prompt
    n_written: int
    tokenizer: Tokenizer

    @property
    def n_system(self) -> int:
        """Tokens of the system prompt, the template's own or the chat's."""
        first = 1 if self.given.messages and self.given.messages[0]["role"] == "system" else 0
        return self.given.count(-1, first)

    @property
    def too_long(self) -> bool:
        """Whether even the newest message alone does not fit."""
        return len(self.given.ids) > self.given.context_length


class NextPrompt(QObject):
    """Follows the conversation, what is being written, and the settings of prompts.

    Signals:
        changed(): `outlook` or `failure` is new.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._messages: list[Message] = []
        self._written = ""
        self.prompting = Prompting()
        self.outlook: Outlook | None = None
        self.failure: Failure | None = None
        self._task = LatestTask(self)
        self.patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self.patience.timeout.connect(self._work_out)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        session.chat.model_changed.connect(self.refresh)

    @property
    def messages(self) -> list[Message]:
        """The conversation, with what is being written as its newest message."""
        asks = self._written or not self._messages or self._messages[-1]["role"] != "user"
        return [*self._messages, {"role": "user", "content": self._written}] if asks else list(self._messages)

    def set_conversation(self, messages: Sequence[Mapping[str, str]]) -> None:
        """The messages so far; of a model that does not talk, none."""
        self._messages = [dict(message) for message in messages]
        self.refresh()

    def set_written(self, text: str) -> None:
        """What is being written."""
        if text != self._written:
            self._written = text
            self.refresh()

    def set_prompting(self, prompting: Prompting) -> None:
        """The settings of prompts."""
        if prompting != self.prompting:
            self.prompting = prompting
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Work it out again, at the next pause in typing where that takes a while."""
        self._task.cancel()
        if self._takes_long:
            self.patience.start()
        else:
            self.patience.stop()
            self._work_out()

    @property
    def _takes_long(self) -> bool:
        """Whether it may be more than a keystroke's work: any template may take as long as the sandbox lets it."""
        model, n_characters = self._session.chat.model, len(self.prompting.system) + len(self._written)
        n_characters += sum(len(message["content"]) for message in self._messages)
        return bool(self.prompting.template or (model and model.form.template)) or n_characters > AT_ONCE

    @property
    def busy(self) -> bool:
        """Whether it is being worked out beside the window."""
        return self.patience.isActive() or self._task.busy

    @Slot()
    def _work_out(self) -> None:
        model, tokenizer = self._session.chat.model, self._session.chat.tokenizer
        if model is None or tokenizer is None:
            self._on_done(None)
            return
        messages, written, prompting = self.messages, self._written, self.prompting

        def look() -> Outlook:
            if model.is_chat_model:
                return _of_messages(model, tokenizer, messages, prompting)
            return _of_text(model, tokenizer, written)

        if self._takes_long:
            self._task.ask(look)
            return
        try:
            self._on_done(look())
        except ValueError as error:
            self._on_failed(describe(error))

    @Slot(object)
    def _on_done(self, outlook: Outlook | None) -> None:
        self.outlook, self.failure = outlook, None
        self.changed.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.outlook, self.failure = None, failure
        self.changed.emit()


def _of_messages(model: ChatModel, tokenizer: Tokenizer, messages: Sequence[Message], prompting: Prompting) -> Outlook:
    from models.chat.prompting import lay_out, newest_that_fit

    whole = lay_out(model.context_length, tokenizer, messages, prompting, model.form)
    given = newest_that_fit(model.context_length, tokenizer, messages, prompting, model.form)
    n = len(given.messages)
    return Outlook(whole, given, given.count(n - 1, n + 1), tokenizer)


def _of_text(model: ChatModel, tokenizer: Tokenizer, text: str) -> Outlook:
    import numpy as np

    from models.inference.prompts import encode_for

    ids = np.array(encode_for(model.config, tokenizer, text), np.int64)
    prompt = Prompt(ids, ({"role": "user", "content": text},), np.zeros(len(ids), np.int64), 0, model.context_length)
    return Outlook(prompt, prompt, len(ids), tokenizer)
