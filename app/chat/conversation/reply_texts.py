"""The replies of a conversation for the glass box: the exact tokens of prompt and reply."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal, Slot

from terrarium.app.chat.archive.message_tree import GenerationInfo, Message
from terrarium.app.glass.draft_mark import DraftMark
from terrarium.app.glass.names import token_names
from terrarium.app.glass.partial_reply import most_surprising, special_ids
from terrarium.app.glass.read_text import ReadText
from terrarium.app.session.session import Session
from terrarium.models.events import Speculated
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class ReplyTexts(QObject):
    """Makes a `ReadText` of each reply by the open model's run, cached until something changes.

    Signals:
        changed(): another model is open, so the texts have changed.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._tokenizer: Tokenizer | None = None
        self._run_id = ""
        self._words: dict[int, str] = {}
        self._special: frozenset[int] = frozenset()
        self._known: dict[str, tuple[GenerationInfo, ReadText]] = {}
        session.chat.model_changed.connect(self._on_model_changed)
        self._on_model_changed()

    def text_of(self, message: Message) -> ReadText | None:
        """Return the tokens of prompt and reply; None for replies that the open model did not write."""
        generation = message.generation
        if generation is None or generation.run_id != self._run_id or not (generation.prompt_ids or generation.tokens):
            return None
        known = self._known.get(message.id)
        if known is None or known[0] is not generation:
            known = self._known[message.id] = generation, self._read(generation)
        return known[1]

    def _read(self, generation: GenerationInfo) -> ReadText:
        ids, words = (*generation.prompt_ids, *generation.ids), self._words
        told = [token.speculated for token in generation.tokens]
        proposed = {each.proposed for each in told if each is not None and each.proposed >= 0}
        words |= token_names(self._tokenizer, {*ids, *generation.source_ids, *proposed} - words.keys())
        probabilities = [token.probability for token in generation.tokens]
        start = most_surprising(generation.ids, probabilities, self._special, generation.n_prefix)
        is_drawn = generation.sampling is None or generation.sampling.temperature > 0
        return ReadText(
            ids=ids,
            words=tuple(words[id] for id in ids),
            n_prompt=len(generation.prompt_ids),
            source_ids=generation.source_ids,
            source_words=tuple(words[id] for id in generation.source_ids),
            draws=tuple(token.draw for token in generation.tokens),
            marks=tuple(self._mark(each, is_drawn=is_drawn) for each in told) if any(told) else (),
            sampling=generation.sampling or SamplingConfig(seed=generation.seed),
            step=generation.step,
            start=None if start is None else len(generation.prompt_ids) + start,
        )

    def _mark(self, told: Speculated | None, *, is_drawn: bool) -> DraftMark | None:
        if told is None or told.proposed < 0:
            return None if told is None else DraftMark(told.outcome)
        p, q = (told.p, told.q) if is_drawn else (None, None)  # at temperature 0, the probabilities are 0 and 1
        return DraftMark(told.outcome, self._words[told.proposed], p, q)

    @Slot()
    def _on_model_changed(self) -> None:
        model = self._session.chat.model
        run_id = "" if model is None else model.run_id
        if run_id != self._run_id:
            self._run_id, self._tokenizer = run_id, self._session.chat.tokenizer
            self._special = special_ids(self._tokenizer)
            self._known.clear()
            self._words.clear()
            self.changed.emit()
