"""The conversation that is held: its turns, the reply that is being written, and its file. No widgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal, Slot

from app.chat_store import Chat, ChatStore, Turn
from app.failures import describe
from app.reply_recorder import ReplyRecorder
from app.session import Session
from models.events import Event
from models.inference.settings import SamplingConfig


class Conversation(QObject):
    """One chat at a time, kept on disk after each reply.

    Signals:
        chat_changed(): another conversation is open.
        turn_added(turn): the user has said something.
        reply_began(): the last turn is being replied to.
        reply_grew(text): the reply goes on with this.
        reply_ended(turn, left_out): the last turn as it is now; its `replies` are the same where none came. `left_out`:
            how many of the oldest messages did not fit the model's context.
        saved(): the list of chats on disk is new.
    """

    chat_changed = Signal()
    turn_added = Signal(object)
    reply_began = Signal()
    reply_grew = Signal(str)
    reply_ended = Signal(object, int)
    saved = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.store = ChatStore(session.library)
        self._recorder: ReplyRecorder | None = None
        self._afterwards: Callable[[], None] | None = None
        self.chat = Chat()
        session.chat_events.connect(self._on_events)
        session.reply_ended.connect(self._on_reply_ended)

    def open(self, chat: Chat) -> None:
        """Hold this conversation from now on."""
        self.chat = chat
        self.chat_changed.emit()

    def open_saved(self, chat_id: str) -> None:
        """Hold a conversation of the library; one that cannot be read is told of, and changes nothing."""
        try:
            self.open(self.store.load(chat_id))
        except ValueError as error:
            self._session.job_failed.emit(str(error), "")
            self.chat_changed.emit()

    def when_free(self, action: Callable[[], None]) -> None:
        """Do `action` now, or when the reply that is being written has been stopped."""
        if self._recorder is None:
            action()
        else:
            self._afterwards = action
            self._session.stop_chat()

    def say(self, turn: Turn, sampling: SamplingConfig) -> None:
        """Add what the user says, and ask for a reply; a model that does not talk goes on with it."""
        model = self._session.chat_model
        assert model is not None
        turn = dataclasses.replace(turn, goes_on=model.mode == "text")
        self.chat = dataclasses.replace(self.chat.with_turn(turn), run_id=model.run_id)
        self.turn_added.emit(turn)
        self.reply(sampling)

    def reply(self, sampling: SamplingConfig) -> None:
        """Ask for a reply to the last turn: the first, or another."""
        model = self._session.chat_model
        assert model is not None
        assert self._recorder is None
        self._recorder = ReplyRecorder(model, sampling.seed, strip=not self.chat.turns[-1].goes_on)
        self.reply_began.emit()
        turn = self.chat.turns[-1]
        said = self.chat.messages() if model.talks else turn.prompt
        if not self._session.send_chat(said, sampling):
            self._on_reply_ended()

    def show_version(self, index: int, version: int) -> Turn:
        """Show another of a turn's replies; returns the turn."""
        turns = list(self.chat.turns)
        turns[index] = dataclasses.replace(turns[index], shown=version)
        self.chat = dataclasses.replace(self.chat, turns=tuple(turns))
        self._save()
        return turns[index]

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self._recorder is not None:
            text = self._recorder.take(events)
            if text:
                self.reply_grew.emit(text)

    @Slot()
    def _on_reply_ended(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        turn = self.chat.turns[-1]
        if recorder.started:
            replies = (*turn.replies, recorder.reply())
            turn = dataclasses.replace(turn, replies=replies, shown=len(replies) - 1)
            self.chat = dataclasses.replace(self.chat, turns=(*self.chat.turns[:-1], turn))
        self.reply_ended.emit(turn, recorder.left_out)
        self._save()
        action, self._afterwards = self._afterwards, None
        if action is not None:
            action()

    def _save(self) -> None:
        try:
            self.store.save(self.chat)
        except OSError as error:
            self._session.job_failed.emit(describe(error).sentence, "")
        self.saved.emit()
