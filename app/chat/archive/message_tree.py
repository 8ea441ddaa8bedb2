"""A conversation as a tree of messages: an edit or another try is a branch beside the first, and nothing is erased."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

from models.chat.prompting import Prompting
from models.settings.sampling_config import SamplingConfig

_TITLE_LENGTH = 48
NEW_TITLE = "New chat"


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class DrawnToken(NamedTuple):
    """One token of a reply, as in `models.events.TokenMade`. None: not known, or the user chose the token."""

    id: int
    probability: float | None = None
    entropy: float | None = None
    rank: int | None = None
    draw: float | None = None


@dataclass(frozen=True, kw_only=True)
class Made:
    """How a model made a reply.

    seed and sampling: as it was drawn; `sampling` is None where only the seed is known (chats of older versions).
    prompt_ids: what a decoder had read before the reply; of an encoder-decoder what its text begins with, and
        `source_ids` is what its encoder read.
    tokens: all tokens of the reply; the first `n_begun` of them stood already when the model went on.
    n_left_out: so many of the oldest messages did not fit into the context; `summary` stood for them, if there was one.
    first_token_s: from asking to the first token. tokens_per_s: of those after it.
    reason: stop, length, stopped (by the user), failed, or "" where the program ended before the reply did.
    """

    model: str
    run_id: str = ""
    step: int = 0
    seed: int = 0
    sampling: SamplingConfig | None = None
    prompt_ids: tuple[int, ...] = ()
    source_ids: tuple[int, ...] = ()
    tokens: tuple[DrawnToken, ...] = ()
    n_begun: int = 0
    n_prompt: int = 0
    n_tokens: int = 0
    n_left_out: int = 0
    summary: str = ""
    first_token_s: float = 0.0
    tokens_per_s: float = 0.0
    context_length: int = 0
    reason: str = ""

    @property
    def ids(self) -> tuple[int, ...]:
        """The reply's tokens; () where they are not known."""
        return tuple(token.id for token in self.tokens)

    @property
    def can_go_on(self) -> bool:
        """Whether it was cut short, so that the model can go on with it."""
        return bool(self.tokens) and self.reason != "stop"


@dataclass(frozen=True, kw_only=True)
class Message:
    """What somebody said after `parent` (the id of another message; "" for the first).

    Of a user's: kind, gold and topic (of a story: person, thing, place) come from a starter; `fresh`: the model reads
    nothing from before it; `goes_on`: a reply to it is no answer, but its own text going on.
    Of a reply: `made` says how, None for one that came from elsewhere; `edited`: the user wrote it, or part of it.
    """

    id: str = field(default_factory=_new_id)
    parent: str = ""
    role: str = "user"
    content: str = ""
    created: str = field(default_factory=_now)
    kind: str = ""
    gold: str = ""
    topic: tuple[str, ...] = ()
    fresh: bool = False
    goes_on: bool = False
    made: Made | None = None
    edited: bool = False

    @property
    def is_reply(self) -> bool:
        """Whether it is the model's."""
        return self.role == "assistant"

    @property
    def beginning(self) -> str:
        """Its first words, in one line."""
        return shortened(self.content)


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation.

    name: given by the user, "" for none. run_id: the run that it was last held with.
    messages: all there ever were, parents before children. shown: for a message (""  for the beginning) the one of its
        children that is shown; where it says nothing, that is the newest.
    """

    id: str = field(default_factory=_new_id)
    created: str = field(default_factory=_now)
    name: str = ""
    run_id: str = ""
    prompting: Prompting = field(default_factory=Prompting)
    messages: tuple[Message, ...] = ()
    shown: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _by_id(self) -> dict[str, Message]:
        return {message.id: message for message in self.messages}

    @cached_property
    def _children(self) -> dict[str, tuple[Message, ...]]:
        found: dict[str, list[Message]] = {}
        for message in self.messages:
            found.setdefault(message.parent, []).append(message)
        return {parent: tuple(children) for parent, children in found.items()}

    @cached_property
    def path(self) -> tuple[Message, ...]:
        """The messages that are shown, from the first to the last."""
        path: list[Message] = []
        parent = ""
        while children := self.children(parent):
            wanted = self.shown.get(parent)
            path.append(next((child for child in children if child.id == wanted), children[-1]))
            parent = path[-1].id
        return tuple(path)

    @property
    def leaf(self) -> Message | None:
        """The last message that is shown."""
        return self.path[-1] if self.path else None

    @property
    def title(self) -> str:
        """Its name, else the beginning of what was said first."""
        return self.name or (self.path[0].beginning if self.path else NEW_TITLE)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._by_id

    def message(self, message_id: str) -> Message:
        """The message with this id, which there must be."""
        return self._by_id[message_id]

    def children(self, message_id: str) -> tuple[Message, ...]:
        """What was said after a message ("": at the beginning), the oldest first."""
        return self._children.get(message_id, ())

    def siblings(self, message_id: str) -> tuple[Message, ...]:
        """The versions of a message, itself included, the oldest first."""
        return self.children(self.message(message_id).parent)

    def path_to(self, message_id: str) -> tuple[Message, ...]:
        """The messages from the first to this one; () for ""."""
        path: list[Message] = []
        while message_id:
            path.append(self.message(message_id))
            message_id = path[-1].parent
        return tuple(reversed(path))

    def read_for(self, message_id: str) -> list[dict[str, str]]:
        """What a model reads to reply to a message: all since the last fresh one on the way to it."""
        return _prompt(self.path_to(message_id))

    def prompt(self) -> list[dict[str, str]]:
        """What a model has read of this before the next message: all that is shown since the last fresh one."""
        return _prompt(self.path)

    def with_message(self, message: Message) -> Chat:
        """This chat with another message, which is shown; one of the same id is replaced, as by a reply that grows."""
        if message.id in self:
            messages = tuple(message if old.id == message.id else old for old in self.messages)
            return dataclasses.replace(self, messages=messages)
        assert not message.parent or message.parent in self
        shown = {**self.shown, message.parent: message.id}
        return dataclasses.replace(self, messages=(*self.messages, message), shown=shown).showing(message.parent)

    def showing(self, message_id: str) -> Chat:
        """This chat with a message on the shown path (and below it what was shown there last)."""
        shown = {message.parent: message.id for message in self.path_to(message_id)}
        return dataclasses.replace(self, shown={**self.shown, **shown})

    def joined(self, other: Chat) -> Chat:
        """This chat with the messages that only another state of it has; of a reply in both, the complete one."""
        theirs = {message.id: message for message in other.messages}
        kept = tuple(_more_complete(message, theirs.pop(message.id, message)) for message in self.messages)
        if not theirs and kept == self.messages:
            return self
        return dataclasses.replace(self, messages=(*kept, *theirs.values()), shown={**other.shown, **self.shown})

    def called(self, name: str) -> Chat:
        """This chat with another name; "" for the beginning of what was said first."""
        return dataclasses.replace(self, name=" ".join(name.split()))

    def copy(self) -> Chat:
        """The same conversation as another chat."""
        return dataclasses.replace(self, id=_new_id(), created=_now(), name=f"{self.title} (copy)")


def _more_complete(one: Message, other: Message) -> Message:
    has_ended = one.made is None or bool(one.made.reason)
    return other if not has_ended and other.made is not None and other.made.reason else one


class TreeRow(NamedTuple):
    """One line of a drawn tree: a message, how far to the right it stands, and what leads past it.

    `through`: the lanes (0 = leftmost) at its left whose lines go on to messages further down. `turns_off`: the line
    from its parent comes from the lane beside it, else from above in its own.
    """

    message: Message
    lane: int
    through: tuple[int, ...]
    turns_off: bool


def tree_rows(chat: Chat) -> list[TreeRow]:
    """The messages from top to bottom: older versions of a message turn off to the right, the newest goes straight on.

    So a conversation without branches is one straight line, however long it is.
    """
    rows: list[TreeRow] = []
    # (message, lane, whether it turns off, lanes that go on beside all of its branch)
    waiting: list[tuple[Message, int, bool, tuple[int, ...]]] = []

    def push(parent: str, lane: int, beside: tuple[int, ...]) -> None:
        children = chat.children(parent)
        for i, child in reversed(tuple(enumerate(children))):
            is_last = i == len(children) - 1
            own = (child, lane, False, beside) if is_last else (child, lane + 1, True, (*beside, lane))
            waiting.append(own)

    push("", 0, ())
    while waiting:
        message, lane, turns_off, beside = waiting.pop()
        rows.append(TreeRow(message, lane, beside, turns_off))
        push(message.id, lane, beside)
    return rows


def _prompt(path: Sequence[Message]) -> list[dict[str, str]]:
    first = max((i for i, message in enumerate(path) if message.fresh), default=0)
    return [{"role": message.role, "content": message.content} for message in path[first:]]


def shortened(text: str, length: int = _TITLE_LENGTH) -> str:
    """The first words of a text, in one line of at most so many characters."""
    words = " ".join(text[: 4 * length].split())
    return words if len(words) <= length else words[: length - 1] + "…"
