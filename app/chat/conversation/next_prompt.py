"""The prompt that would be sent with the current draft, updated while typing. No widgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.session.session import Session
from terrarium.app.worker.background import LatestTask
from terrarium.app.worker.failures import Failure, describe
from terrarium.models.chat.prompting import Prompt, PromptSettings, check_fits

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from terrarium.app.session.chat_model import ChatModel
    from terrarium.models.chat.own_template import Message

MAX_SYNC_CHARACTERS = 20_000
"""The maximum length tokenized between two keystrokes; longer texts are tokenized in the background."""

_PATIENCE_MS = 60


@dataclass(frozen=True, eq=False)
class PromptPreview:
    """The next prompt: `full` with all messages; `fitted` as it would be sent, with the oldest messages left out.

    n_draft: the number of tokens of `fitted` in the draft and the generation prompt after it.
    """

    full: Prompt
    fitted: Prompt
    n_draft: int
    tokenizer: Tokenizer

    @property
    def n_system(self) -> int:
        """The number of tokens of the system prompt, either the template's default or the chat's."""
        first = 1 if self.fitted.messages and self.fitted.messages[0]["role"] == "system" else 0
        return self.fitted.count(-1, first)

    @property
    def too_long(self) -> bool:
        """Whether even the newest message alone does not fit."""
        return len(self.fitted.ids) > self.fitted.context_length


class NextPrompt(QObject):
    """Computes the preview from the conversation, the draft and the prompt settings.

    Signals:
        changed(): `preview` or `failure` is new.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._messages: list[Message] = []
        self._draft = ""
        self._text: Sequence[int] = ()
        self.prompting = PromptSettings()
        self.preview: PromptPreview | None = None
        self.failure: Failure | None = None
        self._task = LatestTask(self)
        self.patience = QTimer(self, singleShot=True, interval=_PATIENCE_MS)
        self.patience.timeout.connect(self._recompute)
        self._task.done.connect(self._on_done)
        self._task.failed.connect(self._on_failed)
        session.chat.model_changed.connect(self.refresh)

    @property
    def messages(self) -> list[Message]:
        """The conversation with the draft as its newest message."""
        asks = self._draft or not self._messages or self._messages[-1]["role"] != "user"
        return [*self._messages, {"role": "user", "content": self._draft}] if asks else list(self._messages)

    def set_conversation(self, messages: Sequence[Mapping[str, str]]) -> None:
        """Set the messages so far; none for a model that is not a chat model."""
        self._messages = [dict(message) for message in messages]
        self.refresh()

    def set_text(self, ids: Sequence[int]) -> None:
        """Set the text so far that the model continues; () for a chat model.

        It fills the context while there is no draft of another text.
        """
        if ids != self._text:
            self._text = ids
            self.refresh()

    def set_draft(self, text: str) -> None:
        """Set the draft."""
        if text != self._draft:
            self._draft = text
            self.refresh()

    def set_prompting(self, prompting: PromptSettings) -> None:
        """Set the prompt settings."""
        if prompting != self.prompting:
            self.prompting = prompting
            self.refresh()

    @Slot()
    def refresh(self) -> None:
        """Recompute the preview; debounced if that takes long."""
        self._task.cancel()
        if self._takes_long:
            self.patience.start()
        else:
            self.patience.stop()
            self._recompute()

    @property
    def _takes_long(self) -> bool:
        """Whether the computation may take long: a custom template may use its whole time limit, a few seconds."""
        model, n_characters = self._session.chat.model, len(self.prompting.system) + len(self._draft)
        n_characters += sum(len(message["content"]) for message in self._messages)
        return (
            bool(self.prompting.template or (model and model.template_config.template))
            or n_characters > MAX_SYNC_CHARACTERS
        )

    def problem_of(self, draft: str) -> str | None:
        """Return why the model cannot read the draft, as a sentence; "" if it can; None until its tokens are counted.

        A draft with fewer bytes than the context has tokens is accepted immediately: no token is shorter than a byte.
        """
        self.set_draft(draft)
        model = self._session.chat.model
        if self.busy:
            return "" if model is None or len(draft.encode()) < model.context_length else None
        try:
            if self.preview is not None:
                check_fits(self.preview.fitted)
        except ValueError as error:
            return str(error)
        return ""

    @property
    def busy(self) -> bool:
        """Whether the preview is being computed in the background."""
        return self.patience.isActive() or self._task.busy

    @Slot()
    def _recompute(self) -> None:
        model, tokenizer = self._session.chat.model, self._session.chat.tokenizer
        if model is None or tokenizer is None:
            self._on_done(None)
            return
        messages, written, prompting, text = self.messages, self._draft, self.prompting, self._text

        def compute() -> PromptPreview:
            if model.is_chat_model:
                return _of_messages(model, tokenizer, messages, prompting)
            return _of_text(model, tokenizer, written, () if written else text)

        if self._takes_long:
            self._task.ask(compute)
            return
        try:
            self._on_done(compute())
        except ValueError as error:
            self._on_failed(describe(error))

    @Slot(object)
    def _on_done(self, preview: PromptPreview | None) -> None:
        self.preview, self.failure = preview, None
        self.changed.emit()

    @Slot(object)
    def _on_failed(self, failure: Failure) -> None:
        self.preview, self.failure = None, failure
        self.changed.emit()


def _of_messages(
    model: ChatModel, tokenizer: Tokenizer, messages: Sequence[Message], prompting: PromptSettings
) -> PromptPreview:
    from terrarium.models.chat.prompting import encode_untruncated, truncate_to_fit

    full = encode_untruncated(model.context_length, tokenizer, messages, prompting, model.template_config)
    fitted = truncate_to_fit(model.context_length, tokenizer, messages, prompting, model.template_config)
    n = len(fitted.messages)
    return PromptPreview(full, fitted, fitted.count(n - 1, n + 1), tokenizer)


def _of_text(model: ChatModel, tokenizer: Tokenizer, text: str, before: Sequence[int]) -> PromptPreview:
    import numpy as np

    from terrarium.models.inference.prompts import encode_for

    draft = encode_for(model.config, tokenizer, text)
    ids = np.array([*before[: model.context_length], *draft], np.int64)  # the last token of a full context is not read
    prompt = Prompt(ids, ({"role": "user", "content": text},), np.zeros(len(ids), np.int64), 0, model.context_length)
    return PromptPreview(prompt, prompt, len(draft), tokenizer)
