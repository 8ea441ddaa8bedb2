"""The conversation that is held: its messages, the reply that is being written, and its file. No widgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from app.chat.archive.message_tree import Chat, DrawnToken, Made, Message
from app.chat.archive.shelf import ChatShelf
from app.chat.conversation.reply_recorder import ReplyRecorder
from app.session.chat_model import ChatModel
from app.session.session import Session
from models.chat.prompting import Prompting
from models.events import Event, Phase, Progress
from models.inference.reply import ReplyStarted
from models.settings.sampling_config import SamplingConfig

_SAVE_EVERY_MS = 1000


class Conversation(QObject):
    """One chat at a time, kept on disk at each message and every second of a long reply.

    Signals:
        chat_changed(): another conversation is open.
        path_changed(): other messages of it are shown, or one more.
        reply_began(message): this reply, still empty, is being written.
        reply_waits(words): what is done before the reply can go on.
        reply_grew(text): the reply goes on with this.
        reply_ended(message): the reply as it is kept; None where none came.
    """

    chat_changed = Signal()
    path_changed = Signal()
    reply_began = Signal(object)
    reply_waits = Signal(str)
    reply_grew = Signal(str)
    reply_ended = Signal(object)

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.shelf = ChatShelf(session, self)
        self.shelf.opened.connect(lambda chat: self.when_free(lambda: self.open(chat)))
        self.draw: Callable[[], SamplingConfig] = SamplingConfig
        """Asked for the settings of each reply, its seed among them."""
        self.chat = Chat()
        self._recorder: ReplyRecorder | None = None
        self._waits_for = "Reading"
        self._keep = QTimer(self, interval=_SAVE_EVERY_MS)
        self._keep.timeout.connect(self._keep_partial)
        session.chat.events_came.connect(self._on_events)
        session.chat.reply_ended.connect(self._on_reply_ended)

    # -- Which conversation --------------------------------------------------------------------------------------------

    def open(self, chat: Chat) -> None:
        """Hold this conversation from now on."""
        assert self._recorder is None
        self.shelf.cancel_opening()
        self.chat = chat
        self.chat_changed.emit()

    def open_saved(self, chat_id: str) -> None:
        """Hold a conversation of the library as soon as it has been read; one that cannot be is told of."""
        self.shelf.open(chat_id)

    def rename(self, chat_id: str, name: str) -> None:
        """Call a conversation of the library, or this one, `name`."""
        self.shelf.rename(chat_id, name)
        if chat_id == self.chat.id:
            self.chat = self.chat.called(name)

    def delete(self, chat_id: str) -> None:
        """Move a conversation of the library to the trash; where it is this one, an empty one takes its place."""
        self.shelf.delete(chat_id)
        if chat_id == self.chat.id:
            self.open(Chat())

    def set_prompting(self, prompting: Prompting) -> None:
        """Make the prompts of this conversation in another way from now on."""
        if prompting != self.chat.prompting:
            self.chat = dataclasses.replace(self.chat, prompting=prompting)
            if self.chat.messages:
                self.shelf.save(self.chat)

    def when_free(self, action: Callable[[], None]) -> None:
        """Do `action` now; a reply that is being written is stopped before."""
        if self._recorder is not None:
            self._session.chat.stop()
        action()

    # -- What is said --------------------------------------------------------------------------------------------------

    @property
    def writing(self) -> str:
        """The id of the reply that is being written; "" for none."""
        return "" if self._recorder is None else self._recorder.id

    @property
    def shown(self) -> tuple[Message, ...]:
        """The messages that are shown, the reply that is being written among them."""
        if self._recorder is None:
            return self.chat.path
        reply = self._recorder.message()
        return (*self.chat.path_to(reply.parent), reply)

    @property
    def progress(self) -> tuple[int, float]:
        """How many tokens of the reply that is being written have come, and how many a second."""
        return (0, 0.0) if self._recorder is None else self._recorder.progress

    @property
    def can_reply(self) -> bool:
        """Whether a reply can be asked for now."""
        return self._session.chat.state == "ready" and self._recorder is None

    def can_go_on(self, message: Message) -> bool:
        """Whether the open model is the one that began a reply: its tokens mean nothing to another."""
        made, model = message.made, self._session.chat.model
        return made is not None and made.can_go_on and model is not None and made.run_id == model.run_id

    def say(self, message: Message) -> None:
        """Add what the user says after all that is shown, and ask for a reply."""
        leaf = self.chat.leaf
        self._ask(dataclasses.replace(message, parent=leaf.id if leaf is not None else ""))

    def edit(self, message_id: str, text: str) -> None:
        """Another version of a message, beside it: the user's is sent, a reply stands as the user wrote it."""
        old = self.chat.message(message_id)
        if old.is_reply:
            self._add(Message(parent=old.parent, role=old.role, content=text, edited=True))
        else:
            self._ask(Message(parent=old.parent, content=text, fresh=old.fresh))

    def retry(self, message_id: str) -> None:
        """Another reply, to a message of the user's or to the one that this reply is to."""
        message = self.chat.message(message_id)
        self._reply(message.parent if message.is_reply else message_id, self.draw())

    def go_on(self, message_id: str) -> None:
        """Go on with a reply that was cut short: a version beside it begins with its tokens."""
        made = self.chat.message(message_id).made
        assert made is not None
        self._go_on_from(message_id, made.tokens)

    def branch_at(self, message_id: str, n_kept: int, token_id: int) -> None:
        """A reply beside this one that begins with its first tokens and the given one, and goes on from there."""
        made = self.chat.message(message_id).made
        assert made is not None
        entropy = made.tokens[n_kept].entropy if n_kept < len(made.tokens) else None  # of the same distribution
        self._go_on_from(message_id, (*made.tokens[:n_kept], DrawnToken(token_id, entropy=entropy)))

    def show(self, message_id: str) -> None:
        """Show another version of a message, or one that is not on the shown path."""
        if self._recorder is None and message_id in self.chat:
            self.chat = self.chat.showing(message_id)
            self.shelf.save(self.chat)
            self.path_changed.emit()

    def _add(self, message: Message) -> None:
        self.chat = self.chat.with_message(message)
        self.shelf.save(self.chat)
        self.path_changed.emit()

    def _ask(self, message: Message) -> None:
        model = self._model
        self.chat = dataclasses.replace(self.chat, run_id=model.run_id)
        self._add(dataclasses.replace(message, goes_on=model.mode == "text"))
        self._reply(message.id, self.draw())

    def _go_on_from(self, message_id: str, begun: Sequence[DrawnToken]) -> None:
        """With the seed that it had: where nothing else was changed, that gives what would have come."""
        message = self.chat.message(message_id)
        assert message.made is not None
        self._reply(message.parent, dataclasses.replace(self.draw(), seed=message.made.seed), begun)

    def _reply(self, message_id: str, sampling: SamplingConfig, begun: Sequence[DrawnToken] = ()) -> None:
        """Ask for a reply to a message of the user's."""
        assert self._recorder is None
        model, asked = self._model, self.chat.message(message_id)
        made = Made(
            model=model.name,
            run_id=model.run_id,
            step=model.step,
            seed=sampling.seed,
            sampling=sampling,
            tokens=tuple(begun),
            n_begun=len(begun),
            context_length=model.context_length,
        )
        reply = Message(parent=message_id, role="assistant", made=made)
        self._recorder = ReplyRecorder(reply, strip=not asked.goes_on, is_text=model.mode != "fill")
        self.chat = self.chat.showing(message_id)
        self.reply_began.emit(reply)
        self._keep.start()
        said = self.chat.read_for(message_id) if model.is_chat_model else asked.content
        ids = [token.id for token in begun]
        if not self._session.chat.send(said, sampling, ids, self.chat.prompting):
            self._on_reply_ended()

    @property
    def _model(self) -> ChatModel:
        model = self._session.chat.model
        assert model is not None
        return model

    # -- The reply that is being written -------------------------------------------------------------------------------

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self._recorder is not None:
            for event in events:
                if isinstance(event, Phase):
                    self._waits_for = event.name
                    self.reply_waits.emit(f"{event.name} …")
                elif isinstance(event, Progress) and event.done:
                    self.reply_waits.emit(f"{self._waits_for} …  {100 * event.done / event.total:.0f} %")
                elif isinstance(event, ReplyStarted):
                    self._waits_for = "Reading"
            text = self._recorder.take(events)
            if text:
                self.reply_grew.emit(text)

    @Slot()
    def _keep_partial(self) -> None:
        if self._recorder is not None and self._recorder.started:
            self.chat = self.chat.with_message(self._recorder.message())
            self.shelf.save(self.chat)

    @Slot()
    def _on_reply_ended(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        self._keep.stop()
        status = "failed" if self._session.chat.reply_failed else "stopped"
        message = recorder.message(status) if recorder.started else None
        if message is not None:
            self.chat = self.chat.with_message(message)
            self.shelf.save(self.chat)
        self.reply_ended.emit(message)
        self.path_changed.emit()
