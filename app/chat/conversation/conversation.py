"""The open conversation: its messages, the reply being generated, and its file. No widgets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QTimer, Signal, Slot

from terrarium.app.chat.archive.chat_library import ChatLibrary
from terrarium.app.chat.archive.message_tree import Chat, DraftUse, DrawnToken, GenerationInfo, Message
from terrarium.app.chat.conversation.reply_recorder import ReplyRecorder
from terrarium.app.session.chat_model import ChatModel
from terrarium.app.session.second_models import BestOf, Drafting
from terrarium.app.session.session import Session
from terrarium.app.session.undo import Step
from terrarium.models.chat.prompting import PromptSettings, check_continuation, with_system
from terrarium.models.events import Event, Phase, Progress
from terrarium.models.inference.reply import ReplyStarted
from terrarium.models.settings.sampling_config import SamplingConfig

if TYPE_CHECKING:
    from terrarium.models.preferences.store import Pair, Reply

_SAVE_EVERY_MS = 1000
_LAST = "open chat"


def _showing(message_id: str) -> Callable[[Chat], Chat]:
    """Return a change that shows a message of a conversation, if it still exists."""
    return lambda chat: chat.showing(message_id) if message_id in chat else chat


class Conversation(QObject):
    """One chat at a time, saved at each message and every second during a long reply.

    Signals:
        chat_changed(): another conversation is open.
        path_changed(): the shown messages have changed.
        prompting_changed(): the prompt settings have changed, and with them which replies can be continued.
        reply_started(message): a reply, still empty, has been requested.
        reply_progressed(text): progress before the reply starts, such as reading a long prompt.
        reply_appended(text): more text of the reply.
        reply_ended(message): the reply as it was saved; None if no token was generated.
        ratings_changed(): the ratings of replies may have changed.
    """

    chat_changed = Signal()
    path_changed = Signal()
    prompting_changed = Signal()
    reply_started = Signal(object)
    reply_progressed = Signal(str)
    reply_appended = Signal(str)
    reply_ended = Signal(object)
    ratings_changed = Signal()

    def __init__(self, session: Session, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.chat_library = ChatLibrary(session, self)
        self.chat_library.deleting.connect(self._on_deleting)
        self.chat_library.opened.connect(lambda chat: self.when_free(lambda: self.open(chat)))
        self.draw: Callable[[], SamplingConfig] = SamplingConfig
        """Returns the sampling settings of the next reply, including its seed."""
        self.best_of: Callable[[], BestOf | None] = lambda: None
        """Called before each reply: returns the settings of best-of-n sampling; None for a single reply."""
        self.drafting: Callable[[], Drafting | None] = lambda: None
        """Called before each reply without best-of-n: returns the draft model's settings; None for no draft model."""
        self.chat = Chat()
        self._recorder: ReplyRecorder | None = None
        self._phase = "Reading"
        self._save_timer = QTimer(self, interval=_SAVE_EVERY_MS)
        self._save_timer.timeout.connect(self._save_partial)
        session.preferences.changed.connect(self.ratings_changed)
        session.chat.events_received.connect(self._on_events)
        session.chat.reply_ended.connect(self._on_reply_ended)

    # -- Which conversation --------------------------------------------------------------------------------------------

    def open(self, chat: Chat) -> None:
        """Make this the open conversation. No reply may be in progress."""
        assert self._recorder is None
        self.chat_library.cancel_opening()
        self.chat = chat
        self._remember()
        self.chat_changed.emit()

    def open_last(self) -> None:
        """Reopen the conversation that was open when the program was last closed; show a notice if it is gone."""
        chat_id = self._session.remembered.get(_LAST, "")
        if not chat_id:
            return
        if Path(chat_id).name == chat_id and self.chat_library.store.path(chat_id).exists():
            self.open_saved(chat_id)
        else:
            self._session.remembered.set(_LAST, "")
            self._session.notices.say("The chat that was open last is gone: it was deleted or moved.")

    def _remember(self) -> None:
        self._session.remembered.set(_LAST, self.chat.id if self.chat.messages else "")

    def open_saved(self, chat_id: str) -> None:
        """Open a saved conversation as soon as it has been read; failures are reported."""
        self.chat_library.open(chat_id)

    def rename(self, chat_id: str, name: str) -> None:
        """Rename a saved conversation, which may be the open one. Undoable."""
        chat = self.chat_library.load(chat_id)
        if chat is None:
            return
        before, title = chat.name, chat.title
        self._rename(chat_id, name)
        step = Step(
            f"renaming of chat “{title}”",
            lambda: self._rename(chat_id, before),
            lambda: self._rename(chat_id, name),
        )
        self._session.undo.add("chat", step)

    def _rename(self, chat_id: str, name: str) -> bool:
        if not self.chat_library.rename(chat_id, name):
            return False
        if chat_id == self.chat.id:
            self.chat = self.chat.called(name)
        return True

    def delete(self, chat_id: str) -> None:
        """Move a conversation to the trash; if it is the open one, an empty one replaces it."""
        self.chat_library.delete(chat_id)

    @Slot(str)
    def _on_deleting(self, chat_id: str) -> None:
        if chat_id == self.chat.id:
            self.when_free(lambda: self.open(Chat()))

    def set_prompting(self, prompting: PromptSettings) -> None:
        """Set the prompt settings of this conversation."""
        if prompting != self.chat.prompting:
            self.chat = dataclasses.replace(self.chat, prompting=prompting)
            if self.chat.messages:
                self.chat_library.save(self.chat)
            self.prompting_changed.emit()

    def when_free(self, action: Callable[[], None]) -> None:
        """Stop the reply in progress, if any, and call `action`."""
        if self._recorder is not None:
            self._session.chat.stop()
        action()

    # -- Messages ------------------------------------------------------------------------------------------------------

    @property
    def writing(self) -> str:
        """The id of the reply being generated; "" for none."""
        return "" if self._recorder is None else self._recorder.id

    @property
    def shown(self) -> tuple[Message, ...]:
        """The shown messages, including the reply being generated."""
        if self._recorder is None:
            return self.chat.path
        reply = self._recorder.message()
        return (*self.chat.path_to(reply.parent), reply)

    @property
    def progress(self) -> tuple[int, float]:
        """The number of tokens of the reply so far, and tokens per second."""
        return (0, 0.0) if self._recorder is None else self._recorder.progress

    @property
    def can_reply(self) -> bool:
        """Whether a reply can be requested now."""
        return self._session.chat.state == "ready" and self._recorder is None

    def why_not_continue(self, message: Message) -> str:
        """Return why the open model cannot continue a reply that was cut short, as a sentence; "" if it can."""
        generation, model = message.generation, self._session.chat.model
        if model is None:
            return "No model is open: choose one above."
        if generation is None or not generation.can_continue:
            return "There is nothing to continue."
        if generation.run_id != model.run_id:  # token ids are meaningless to another model
            return "Only the model that wrote this reply can continue it."
        is_text = not model.is_chat_model
        # In a conversation, older messages can be left out; a text or a single message must fit the context whole.
        n_older = 0 if is_text else len(self.chat.read_for(message.parent)) - 1 - generation.n_left_out
        if n_older > 0:
            return self._why_too_long(message.parent, generation)
        if len(generation.prompt_ids) + len(generation.tokens) <= model.context_length:
            return ""
        full = f"The context is full: the model can read {model.context_length:,} tokens at once, and they are used up."
        return f"{full} “Notebook” goes on with a long text: it reads only its end." if model.mode == "text" else full

    def _why_too_long(self, message_id: str, generation: GenerationInfo) -> str:
        """Return why a reply cannot be continued even if older messages are left out; "" if it can."""
        model, tokenizer = self._model, self._session.chat.tokenizer
        if tokenizer is None:
            return ""
        try:
            check_continuation(
                model.context_length,
                tokenizer,
                self.chat.read_for(message_id),
                self.chat.prompting,
                model.template_config,
                n_prompt=len(generation.prompt_ids),
                n_prefix=len(generation.tokens),
            )
        except ValueError as error:
            return str(error)
        return ""

    def say(self, message: Message) -> None:
        """Add a user message to the shown path, and request a reply."""
        leaf = self.chat.leaf
        self._ask(dataclasses.replace(message, parent=leaf.id if leaf is not None else ""))

    def edit(self, message_id: str, text: str) -> None:
        """Add an edited version of a message: a user message is sent, a reply is saved as the user wrote it."""
        old = self.chat.message(message_id)
        if old.is_reply:
            new = Message(parent=old.parent, role=old.role, content=text, edited=True)
            self._note("edit of a reply", self._without(new, message_id), lambda chat: chat.with_message(new))
            self._add(new)
        else:
            new = Message(parent=old.parent, content=text, fresh=old.fresh)
            self._note("edit of a message", _showing(message_id), _showing(new.id))
            self._ask(new)

    @staticmethod
    def _without(new: Message, before: str) -> Callable[[Chat], Chat]:
        """Return a change that removes an edited reply; if messages follow it, it only shows the previous version."""

        def change(chat: Chat) -> Chat:
            is_last = new.id in chat and not chat.children(new.id)
            return _showing(before)(chat.without(new.id) if is_last else chat)

        return change

    def _note(self, words: str, undo: Callable[[Chat], Chat], redo: Callable[[Chat], Chat], *, key: str = "") -> None:
        """Record a change of this conversation, which the caller makes, on the undo stack."""
        id = self.chat.id
        step = Step(words, lambda: self._change(id, undo), lambda: self._change(id, redo), key=key and f"{id} {key}")
        self._session.undo.add("chat", step)

    def _change(self, chat_id: str, change: Callable[[Chat], Chat]) -> bool:
        """Apply a change to a conversation, and open it if necessary. Return whether it could be read."""

        def do(chat: Chat) -> None:
            changed = change(chat)
            self.chat_library.save(changed)
            if changed.id == self.chat.id:
                self.chat = changed
                self.path_changed.emit()
            else:
                self.open(changed)

        if chat_id == self.chat.id:
            self.when_free(lambda: do(self.chat))
            return True
        chat = self.chat_library.load(chat_id)
        if chat is not None:
            self.when_free(lambda: do(chat))
        return chat is not None

    def retry(self, message_id: str) -> None:
        """Request another reply to a user message, or to the message that this reply answers."""
        message = self.chat.message(message_id)
        self._reply(message.parent if message.is_reply else message_id, self.draw())

    def continue_reply(self, message_id: str) -> None:
        """Continue a reply that was cut short, as a new version that begins with its tokens."""
        generation = self.chat.message(message_id).generation
        assert generation is not None
        self._continue_from(message_id, generation.tokens)

    def branch_from_token(self, message_id: str, n_kept: int, token_id: int) -> None:
        """Generate another version of a reply that continues its first `n_kept` tokens with the given token."""
        generation = self.chat.message(message_id).generation
        assert generation is not None
        tokens = generation.tokens
        entropy = tokens[n_kept].entropy if n_kept < len(tokens) else None  # of the same distribution
        self._continue_from(message_id, (*tokens[:n_kept], DrawnToken(token_id, entropy=entropy)))

    def show(self, message_id: str) -> None:
        """Show another version of a message, or a message that is not on the shown path."""
        if self._recorder is None and message_id in self.chat:
            before, parent = self.chat.leaf, self.chat.message(message_id).parent
            self.chat = self.chat.showing(message_id)
            self.chat_library.save(self.chat)
            if before is not None and self.chat.leaf is not before:
                words = "choice of another version"
                self._note(words, _showing(before.id), _showing(message_id), key=f"version of {parent}")
            self.path_changed.emit()

    def choose_candidate(self, message_id: str, index: int) -> None:
        """Show another candidate (by its index) of a best-of-n reply, as a version of the message."""
        old = self.chat.message(message_id)
        generation = old.generation
        if self._recorder is not None or generation is None or generation.drawn is None:
            return
        drawn = dataclasses.replace(generation.drawn, taken=index)
        for version in self.chat.siblings(message_id):
            if version.generation is not None and version.generation.drawn == drawn:
                self.show(version.id)
                return
        reply = drawn.replies[index]
        made = dataclasses.replace(
            generation,
            drawn=drawn,
            tokens=tuple(DrawnToken(id) for id in reply.ids),
            n_tokens=len(reply.ids),
            reason="stop" if reply.ended else "length",
        )
        new = Message(parent=old.parent, role=old.role, content=reply.text, generation=made)
        self._note("choice of another reply", self._without(new, message_id), lambda chat: chat.with_message(new))
        self._add(new)

    def keep_preference(self, message_id: str, others: Sequence[str]) -> None:
        """Add pairs to the current preference set: this version of a reply is preferred to each of the others."""
        from terrarium.models.preferences.store import Pair

        chosen, preferences = self.chat.message(message_id), self._session.preferences
        prompt = self._prompt_of(chosen)
        pairs = [
            Pair(prompt=prompt, a=_as_reply(chosen), b=_as_reply(other), choice="a")
            for other in map(self.chat.message, others)
            if other.content.strip() and other.content.strip() != chosen.content.strip()
        ]
        known = set(map(_said, preferences.pairs))
        new = [pair for pair in pairs if _said(pair) not in known]
        if not chosen.content.strip() or not pairs:
            self._session.notices.say("The two versions are the same, or one is empty: there is nothing to prefer.")
        elif not new:
            self._session.notices.say(f"That is in “{preferences.name}” already.")
        elif preferences.add(new, "preference") is not None:
            kept = "A preference was" if len(new) == 1 else f"{len(new)} preferences were"
            self._session.notices.say(f"{kept} added to “{preferences.name}” (see Judge replies).")

    def rate(self, message_id: str, is_good: bool) -> None:
        """Rate a reply as good or bad in the current preference set; repeating the same rating removes it."""
        from terrarium.models.preferences.store import Thumb

        message, preferences = self.chat.message(message_id), self._session.preferences
        if not message.content.strip():
            self._session.notices.say("The reply is empty: there is nothing to rate.")
            return
        prompt = self._prompt_of(message)
        preferences.rate(Thumb(prompt=prompt, reply=_as_reply(message), is_good=is_good, message=message_id))

    def rating(self, message_id: str) -> bool | None:
        """Return whether a reply is rated good in the current preference set; None if it is not rated."""
        thumb = self._session.preferences.thumb_of(message_id)
        return None if thumb is None else thumb.is_good

    def _prompt_of(self, reply: Message) -> tuple[Mapping[str, str], ...]:
        """Return the messages that a reply answers, with the system prompt."""
        return tuple(with_system(self.chat.read_for(reply.parent), self.chat.prompting))

    def _add(self, message: Message) -> None:
        self.chat_library.cancel_opening()  # the user has started to write here
        self.chat = self.chat.with_message(message)
        self._remember()
        self.chat_library.save(self.chat)
        self.path_changed.emit()

    def _ask(self, message: Message) -> None:
        model = self._model
        self.chat = dataclasses.replace(self.chat, run_id=model.run_id)
        self._add(dataclasses.replace(message, is_completion=model.mode == "text"))
        self._reply(message.id, self.draw())

    def _continue_from(self, message_id: str, prefix: Sequence[DrawnToken]) -> None:
        """Reuse the reply's seed, so that the same settings reproduce exactly what would have followed."""
        message = self.chat.message(message_id)
        assert message.generation is not None
        self._reply(message.parent, dataclasses.replace(self.draw(), seed=message.generation.seed), prefix)

    def _reply(self, message_id: str, sampling: SamplingConfig, prefix: Sequence[DrawnToken] = ()) -> None:
        """Request a reply to a user message."""
        assert self._recorder is None
        model, prompt = self._model, self.chat.message(message_id)
        best_of = self.best_of() if model.is_chat_model and not prefix else None
        if best_of is not None:  # candidates come from the unmodified distribution: no other settings apply
            sampling = SamplingConfig(temperature=1.0, max_tokens=sampling.max_tokens, seed=sampling.seed)
        drafting = self.drafting() if best_of is None else None
        generation = GenerationInfo(
            model=model.name,
            run_id=model.run_id,
            step=model.step,
            seed=sampling.seed,
            sampling=sampling,
            tokens=tuple(prefix),
            n_prefix=len(prefix),
            context_length=model.context_length,
            draft=DraftUse(model=drafting.name, run_id=drafting.run_id, n_tokens=drafting.n_tokens)
            if drafting is not None
            else None,
        )
        reply = Message(parent=message_id, role="assistant", generation=generation)
        self._recorder = ReplyRecorder(reply, strip=not prompt.is_completion, is_text=model.writes, best_of=best_of)
        self.chat = self.chat.showing(message_id)
        self.reply_started.emit(reply)
        self._save_timer.start()
        messages = self.chat.read_for(message_id) if model.is_chat_model else prompt.content
        ids = [token.id for token in prefix]
        if not self._session.chat.send(messages, sampling, ids, self.chat.prompting, best_of, drafting):
            self._on_reply_ended()

    @property
    def _model(self) -> ChatModel:
        model = self._session.chat.model
        assert model is not None
        return model

    # -- The reply that is being generated -----------------------------------------------------------------------------

    @Slot(object)
    def _on_events(self, events: tuple[Event, ...]) -> None:
        if self._recorder is not None:
            for event in events:
                if isinstance(event, Phase):
                    self._phase = event.name
                    self.reply_progressed.emit(f"{event.name}…")
                elif isinstance(event, Progress) and event.done:
                    self.reply_progressed.emit(f"{self._phase}…  {100 * event.done / event.total:.0f} %")
                elif isinstance(event, ReplyStarted):
                    self._phase = "Reading"
            text = self._recorder.take(events)
            if text:
                self.reply_appended.emit(text)

    @Slot()
    def _save_partial(self) -> None:
        if self._recorder is not None and self._recorder.started:
            self.chat = self.chat.with_message(self._recorder.message())
            self.chat_library.save(self.chat)

    @Slot()
    def _on_reply_ended(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        self._save_timer.stop()
        status = "failed" if self._session.chat.reply_failed else "stopped"
        message = recorder.message(status) if recorder.started else None
        if message is not None:
            self.chat = self.chat.with_message(message)
            self.chat_library.save(self.chat)
        self.reply_ended.emit(message)
        self.path_changed.emit()


def _as_reply(message: Message) -> Reply:
    """Return a message as one side of a preference pair."""
    from terrarium.models.preferences.store import Reply

    generation = message.generation
    if generation is None:
        return Reply(content=message.content.strip(), edited=message.edited)
    return Reply(
        content=message.content.strip(),
        run=generation.run_id,
        model=generation.model,
        step=generation.step,
        seed=generation.seed,
        temperature=generation.sampling.temperature if generation.sampling is not None else None,
        ended=generation.reason == "stop",
        edited=message.edited,
    )


def _said(pair: Pair) -> tuple[object, ...]:
    """Return what a pair states, without who judged it and when."""
    better, worse = pair.better, pair.worse
    prompt = tuple((message["role"], message["content"]) for message in pair.prompt)
    return (prompt, better.content if better else "", worse.content if worse else "")
