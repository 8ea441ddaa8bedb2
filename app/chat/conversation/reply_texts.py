"""The replies of a conversation as the glass box looks into them: token by token, as the model read and wrote them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from app.chat.archive.message_tree import Made, Message
from app.glass.names import token_names
from app.glass.read_text import ReadText
from app.session.session import Session
from models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class ReplyTexts(QObject):
    """Makes a `ReadText` of each reply by the open model's run; the same one each time, until something changes.

    Signals:
        changed(): the texts are others now, since another model is open.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._tokenizer: Tokenizer | None = None
        self._run_id = ""
        self._words: dict[int, str] = {}
        self._known: dict[str, tuple[Made, ReadText]] = {}
        session.chat.model_changed.connect(self._on_model_changed)
        self._on_model_changed()

    def text_of(self, message: Message) -> ReadText | None:
        """What the model read and wrote; None for what it did not write, or another model did."""
        made = message.made
        if made is None or made.run_id != self._run_id or not (made.prompt_ids or made.tokens):
            return None
        known = self._known.get(message.id)
        if known is None or known[0] is not made:
            known = self._known[message.id] = made, self._read(made)
        return known[1]

    def _read(self, made: Made) -> ReadText:
        ids, words = (*made.prompt_ids, *made.ids), self._words
        words |= token_names(self._tokenizer, {*ids, *made.source_ids} - words.keys())
        return ReadText(
            ids=ids,
            words=tuple(words[id] for id in ids),
            n_prompt=len(made.prompt_ids),
            source_ids=made.source_ids,
            source_words=tuple(words[id] for id in made.source_ids),
            draws=tuple(token.draw for token in made.tokens),
            sampling=made.sampling or SamplingConfig(seed=made.seed),
            step=made.step,
        )

    @Slot()
    def _on_model_changed(self) -> None:
        model = self._session.chat.model
        run_id = "" if model is None else model.run_id
        if run_id != self._run_id:
            self._run_id, self._tokenizer = run_id, self._session.chat.tokenizer
            self._known.clear()
            self._words.clear()
            self.changed.emit()
