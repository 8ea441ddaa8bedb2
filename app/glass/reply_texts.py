"""The replies of a conversation as the glass box looks into them: token by token, as the model read and wrote them."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal, Slot

from app.chat_tree import Made, Message
from app.glass.read_text import ReadText
from app.session import Session
from app.token_names import TokenNames
from models.inference.settings import SamplingConfig


class ReplyTexts(QObject):
    """Makes a `ReadText` of each reply by the open model's run; the same one each time, until something changes.

    Signals:
        changed(): the texts are others now, since another model is open, or its tokens have got their names.
    """

    changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self._names = TokenNames(self)
        self._run_id = ""
        self._known: dict[str, tuple[Made, ReadText]] = {}
        session.chat_model_changed.connect(self._on_model_changed)
        self._names.changed.connect(self._forget)
        self._on_model_changed()

    @property
    def busy(self) -> bool:
        """Whether the tokens' names are being read."""
        return self._names.busy

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
        ids = (*made.prompt_ids, *made.ids)
        return ReadText(
            ids=ids,
            words=self._words(ids),
            n_prompt=len(made.prompt_ids),
            source_ids=made.source_ids,
            source_words=self._words(made.source_ids),
            draws=tuple(token.draw for token in made.tokens),
            sampling=made.sampling or SamplingConfig(seed=made.seed),
            step=made.step,
        )

    def _words(self, ids: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(piece.display for piece in self._names.pieces(ids))

    @Slot()
    def _on_model_changed(self) -> None:
        model = self._session.chat_model
        run_id = "" if model is None else model.run_id
        if run_id != self._run_id:
            self._run_id = run_id
            self._names.read(self._session.library.runs / run_id if run_id else None)
            self._forget()

    @Slot()
    def _forget(self) -> None:
        self._known.clear()
        self.changed.emit()
