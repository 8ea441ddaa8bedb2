"""Conversations on disk: one JSON file each in the library. A reply is never overwritten by another try."""

from __future__ import annotations

import dataclasses
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from models.files import atomic_write_json, read_json
from models.library import Library

FORMAT = 1
_TITLE_LENGTH = 48


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One text by the model, and how it was made. reason: stop, length, or stopped (by the user)."""

    text: str
    model: str
    step: int
    seed: int
    n_prompt: int = 0
    n_tokens: int = 0
    tokens_per_s: float = 0.0
    context_length: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What the user wrote, and the model's replies to it: one for each time it was asked.

    kind, gold and topic (of a story: person, thing, place) come from a starter; `fresh`: the model reads nothing from
    before this turn; `goes_on`: the reply is no answer, but the prompt's own text going on. `shown` is an index.
    """

    prompt: str
    kind: str = ""
    gold: str = ""
    topic: tuple[str, ...] = ()
    fresh: bool = False
    goes_on: bool = False
    replies: tuple[Reply, ...] = ()
    shown: int = 0

    @property
    def reply(self) -> Reply | None:
        """The reply that is shown, None while there is none."""
        return self.replies[self.shown] if self.replies else None


@dataclass(frozen=True, kw_only=True)
class Chat:
    """A conversation. `run_id` is the run that it was last held with."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    run_id: str = ""
    turns: tuple[Turn, ...] = ()

    @property
    def title(self) -> str:
        """The beginning of what the user wrote first."""
        words = " ".join(self.turns[0].prompt.split()) if self.turns else "New chat"
        return words if len(words) <= _TITLE_LENGTH else words[: _TITLE_LENGTH - 1] + "…"

    def messages(self) -> list[dict[str, str]]:
        """What the model reads before its next reply: everything since the last fresh turn, that one included."""
        first = max((i for i, turn in enumerate(self.turns) if turn.fresh), default=0)
        messages = []
        for turn in self.turns[first:]:
            messages.append({"role": "user", "content": turn.prompt})
            if turn is not self.turns[-1] and turn.reply is not None:
                messages.append({"role": "assistant", "content": turn.reply.text})
        return messages

    def with_turn(self, turn: Turn) -> Chat:
        """This chat with a turn more."""
        return dataclasses.replace(self, turns=(*self.turns, turn))


class ChatStore:
    """The chats of a library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def path(self, chat_id: str) -> Path:
        """Where a chat is kept."""
        return self._library.chats / f"{chat_id}.json"

    def save(self, chat: Chat) -> None:
        """Keep `chat`; OSError where the disk does not take it."""
        atomic_write_json(self.path(chat.id), {"format": FORMAT, **dataclasses.asdict(chat)})

    def load(self, chat_id: str) -> Chat:
        """The chat with this id; ValueError names the file where it is missing or damaged."""
        path = self.path(chat_id)
        data = read_json(path)
        try:
            turns = tuple(_turn(turn) for turn in data["turns"])
            return Chat(id=chat_id, created=str(data["created"]), run_id=str(data["run_id"]), turns=turns)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is damaged: {error} is missing or wrong.") from error

    def list(self) -> list[tuple[str, Chat | str]]:
        """Every chat by its id, the newest first; a sentence stands for one that cannot be read."""
        found: list[tuple[str, Chat | str]] = []
        for path in self._library.chats.glob("[!.]*.json"):
            try:
                found.append((path.stem, self.load(path.stem)))
            except ValueError as error:
                found.append((path.stem, str(error)))
        return sorted(found, key=lambda item: item[1].created if isinstance(item[1], Chat) else "", reverse=True)


def _turn(data: dict[str, Any]) -> Turn:
    replies = tuple(Reply(**reply) for reply in data["replies"])
    shown = min(max(int(data["shown"]), 0), max(len(replies) - 1, 0))
    return Turn(
        prompt=str(data["prompt"]),
        kind=str(data["kind"]),
        gold=str(data["gold"]),
        topic=tuple(map(str, data["topic"])),
        fresh=bool(data["fresh"]),
        goes_on=bool(data["goes_on"]),
        replies=replies,
        shown=shown,
    )
