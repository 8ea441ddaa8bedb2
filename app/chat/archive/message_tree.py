"""A conversation as a tree of messages: an edit or a retry becomes a sibling branch, and nothing is erased."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import NamedTuple

from terrarium.models.alignment.best_of import ScoredReply
from terrarium.models.chat.prompting import PromptSettings
from terrarium.models.events import Speculated
from terrarium.models.number_words import describe_speculation
from terrarium.models.settings.sampling_config import SamplingConfig

_TITLE_LENGTH = 48
NEW_TITLE = "New chat"


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


class DrawnToken(NamedTuple):
    """One token of a reply, as in `models.events.TokenMade`. None: unknown, or the user chose the token."""

    id: int
    probability: float | None = None
    entropy: float | None = None
    rank: int | None = None
    draw: float | None = None
    speculated: Speculated | None = None


@dataclass(frozen=True, kw_only=True)
class CandidateReplies:
    """The candidate replies of best-of-n sampling, best first, as saved with the chosen reply.

    judge, judge_id: the reward model that scored them: its run's name at that time, and the run's id. taken: the index
    of the reply used as the message. draw_s, score_s: the total time of sampling and of scoring, in seconds.
    """

    judge: str
    judge_id: str
    replies: tuple[ScoredReply, ...]
    taken: int = 0
    draw_s: float = 0.0
    score_s: float = 0.0

    @property
    def n_tokens(self) -> int:
        """The total number of tokens of all replies."""
        return sum(len(reply.ids) for reply in self.replies)

    @property
    def scores(self) -> list[float]:
        """The scores, from highest to lowest."""
        return [reply.score for reply in self.replies]


@dataclass(frozen=True, kw_only=True)
class DraftUse:
    """How a draft model was used: statistics of a reply's own tokens, without its given prefix, as saved with it.

    model, run_id: the draft model: its run's name at that time, and the run's id. n_tokens: the maximum number of
    tokens drafted per pass. n_drafted, n_accepted, n_passes: as in `models.events.ReplyFinished`; for a stopped reply,
    only the drafted tokens that were verified are counted. n_made: the number of the reply's own tokens.
    """

    model: str
    run_id: str = ""
    n_tokens: int = 0
    n_drafted: int = 0
    n_accepted: int = 0
    n_passes: int = 0
    n_made: int = 0

    @property
    def words(self) -> str:
        """A sentence such as “31 of 40 drafted tokens accepted (78 %), 2.9 tokens per pass of the model.”"""
        return describe_speculation(self.n_drafted, self.n_accepted, self.n_made, self.n_passes)

    def counting(self, tokens: Iterable[Speculated | None]) -> DraftUse:
        """Return a copy with counts from the reply's own tokens: all but the last token of each pass were accepted."""
        outcomes = [token.outcome for token in tokens if token is not None]
        n_accepted = outcomes.count("accepted")
        return dataclasses.replace(
            self,
            n_drafted=n_accepted + outcomes.count("replaced"),
            n_accepted=n_accepted,
            n_passes=len(outcomes) - n_accepted,
            n_made=len(outcomes),
        )


@dataclass(frozen=True, kw_only=True)
class GenerationInfo:
    """How a model generated a reply.

    seed, sampling: the settings used; `sampling` is None if only the seed is known (chats of older versions).
    prompt_ids: the decoder's input before the reply. For an encoder-decoder: the beginning of the decoder's input;
        `source_ids` is the encoder's input.
    tokens: all tokens of the reply; the first `n_prefix` of them were given (a continued or branched reply).
    n_left_out: how many of the oldest messages did not fit the context. summary: what replaced them, or "".
    first_token_s: seconds from the request to the first token. tokens_per_s: speed of the tokens after it.
    reason: stop, length, stopped (by the user), failed, or "" if the program ended before the reply did.
    drawn: the candidates of best-of-n sampling that include this reply; None if it is the only one.
    draft: speculative decoding with a draft model; None without one.
    """

    model: str
    run_id: str = ""
    step: int = 0
    seed: int = 0
    sampling: SamplingConfig | None = None
    prompt_ids: tuple[int, ...] = ()
    source_ids: tuple[int, ...] = ()
    tokens: tuple[DrawnToken, ...] = ()
    n_prefix: int = 0
    n_prompt: int = 0
    n_tokens: int = 0
    n_left_out: int = 0
    summary: str = ""
    first_token_s: float = 0.0
    tokens_per_s: float = 0.0
    context_length: int = 0
    reason: str = ""
    drawn: CandidateReplies | None = None
    draft: DraftUse | None = None

    @property
    def ids(self) -> tuple[int, ...]:
        """The reply's token ids; () if unknown."""
        return tuple(token.id for token in self.tokens)

    @property
    def can_continue(self) -> bool:
        """Whether the reply was cut short, so that the model can continue it."""
        return bool(self.tokens) and self.reason != "stop"


@dataclass(frozen=True, kw_only=True)
class Message:
    """A message that follows `parent` (the id of another message; "" for the first).

    User messages: kind, gold and topic (of a story: person, thing, place) come from a starter; `fresh`: the messages
    before it are not part of the prompt; `is_completion`: the reply continues this text instead of answering it.
    Replies: `generation` is None unless a model generated the reply; `edited`: written or changed by the user.
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
    is_completion: bool = False
    generation: GenerationInfo | None = None
    edited: bool = False

    @property
    def is_reply(self) -> bool:
        """Whether the message is the model's."""
        return self.role == "assistant"

    @property
    def beginning(self) -> str:
        """The message's first words, on one line."""
        return shortened(self.content)


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation.

    name: given by the user, "" for none. run_id: the run of the last model used.
    messages: all branches, parents before children. shown: message id ("" for the root) -> id of the child on the
        shown path; the newest child if there is no entry.
    """

    id: str = field(default_factory=_new_id)
    created: str = field(default_factory=_now)
    name: str = ""
    run_id: str = ""
    prompting: PromptSettings = field(default_factory=PromptSettings)
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
        """The messages of the shown path, from first to last."""
        path: list[Message] = []
        parent = ""
        while children := self.children(parent):
            wanted = self.shown.get(parent)
            path.append(next((child for child in children if child.id == wanted), children[-1]))
            parent = path[-1].id
        return tuple(path)

    @cached_property
    def rows(self) -> tuple[TreeRow, ...]:
        """The rows of the drawn tree."""
        return _tree_rows(self)

    def prepared(self) -> Chat:
        """Compute the cached properties that views need, and return the chat. Call it in a worker thread if it is
        long.
        """
        _ = self._by_id, self.path, self.rows  # each is a cached property
        return self

    @property
    def leaf(self) -> Message | None:
        """The last message of the shown path."""
        return self.path[-1] if self.path else None

    @property
    def title(self) -> str:
        """The name, or the beginning of the first message."""
        return self.name or (self.path[0].beginning if self.path else NEW_TITLE)

    def __contains__(self, message_id: object) -> bool:
        return message_id in self._by_id

    def message(self, message_id: str) -> Message:
        """Return the message with this id; raise KeyError if missing."""
        return self._by_id[message_id]

    def children(self, message_id: str) -> tuple[Message, ...]:
        """Return the messages that follow a message ("": the first messages), oldest first."""
        return self._children.get(message_id, ())

    def siblings(self, message_id: str) -> tuple[Message, ...]:
        """Return all versions of a message, including itself, oldest first."""
        return self.children(self.message(message_id).parent)

    def path_to(self, message_id: str) -> tuple[Message, ...]:
        """Return the messages from the first to this one; () for ""."""
        path: list[Message] = []
        while message_id:
            path.append(self.message(message_id))
            message_id = path[-1].parent
        return tuple(reversed(path))

    def read_for(self, message_id: str) -> list[dict[str, str]]:
        """Return the messages of the prompt for a reply to a message: the path to it from the last fresh message."""
        path = self.path_to(message_id)
        first = max((i for i, message in enumerate(path) if message.fresh), default=0)
        return [{"role": message.role, "content": message.content} for message in path[first:]]

    def with_message(self, message: Message) -> Chat:
        """Return the chat with a message added and shown; a message with the same id is replaced (a growing reply)."""
        if message.id in self:
            messages = tuple(message if old.id == message.id else old for old in self.messages)
            return dataclasses.replace(self, messages=messages)
        assert not message.parent or message.parent in self
        shown = {**self.shown, message.parent: message.id}
        return dataclasses.replace(self, messages=(*self.messages, message), shown=shown).showing(message.parent)

    def without(self, message_id: str) -> Chat:
        """Return the chat without a message that has no children."""
        assert not self.children(message_id)
        kept = tuple(message for message in self.messages if message.id != message_id)
        return dataclasses.replace(self, messages=kept)

    def showing(self, message_id: str) -> Chat:
        """Return the chat with a message on the shown path, followed by what was last shown below it."""
        shown = {message.parent: message.id for message in self.path_to(message_id)}
        return dataclasses.replace(self, shown={**self.shown, **shown})

    def joined(self, other: Chat) -> Chat:
        """Return the chat merged with another version of itself; of a reply in both, the complete one is retained."""
        theirs = {message.id: message for message in other.messages}
        kept = tuple(_more_complete(message, theirs.pop(message.id, message)) for message in self.messages)
        if not theirs and kept == self.messages:
            return self
        return dataclasses.replace(self, messages=(*kept, *theirs.values()), shown={**other.shown, **self.shown})

    def called(self, name: str) -> Chat:
        """Return the chat with another name; "" to use the beginning of the first message."""
        return dataclasses.replace(self, name=" ".join(name.split()))

    def copy(self) -> Chat:
        """Return a copy of this conversation with a new id."""
        return dataclasses.replace(self, id=_new_id(), created=_now(), name=f"{self.title} (copy)")


def _more_complete(one: Message, other: Message) -> Message:
    has_ended = one.generation is None or bool(one.generation.reason)
    return other if not has_ended and other.generation is not None and other.generation.reason else one


class TreeRow(NamedTuple):
    """One row of the drawn tree: a message, its lane (0 = leftmost), and the lines that pass by.

    `through`: the lanes to its left whose lines continue downwards. `turns_off`: the line from its parent comes from
    the lane to its left; otherwise from above in its own lane.
    """

    message: Message
    lane: int
    through: tuple[int, ...]
    turns_off: bool


def _tree_rows(chat: Chat) -> tuple[TreeRow, ...]:
    """Lay out the messages from top to bottom: older versions branch off to the right, the newest continues straight
    down, so a conversation without branches is one straight line.
    """
    rows: list[TreeRow] = []
    # (message, lane, whether it turns off, lanes that pass by its whole branch)
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
    return tuple(rows)


def shortened(text: str, length: int = _TITLE_LENGTH) -> str:
    """Return the first words of a text, on one line of at most `length` characters."""
    words = " ".join(text[: 4 * length].split())
    return words if len(words) <= length else words[: length - 1] + "…"
